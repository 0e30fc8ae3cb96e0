"""The running server keeps to the document that it serves.

schemathesis reads `/openapi.json` of a real server and asks for everything in it: the examples,
each value at its bounds, random ones that fit the document and random ones that do not, and chains
of requests along the document's links. `schemathesis.toml` beside this says how much of it, and
what is right. The same is asked in every run; a failure prints the `curl` command that repeats it.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.life.processes import ServerProcess, chat4all, serving

if TYPE_CHECKING:
    from tests.support.storage_servers import PostgresServer

CONFIG = Path(__file__).with_name("schemathesis.toml")
PASSWORD = "a password"
PEOPLE = ("ana", "bob", "carla", "dora")
"""The examples in the document speak of `bob` and `carla`."""
UNLIMITED = {
    f"CHAT4ALL_RATE_{what}_PER_MINUTE": "0"
    for what in ("REQUESTS", "LOGINS", "LOGINS_PER_ADDRESS", "REGISTRATIONS")
}


def log_in(server: ServerProcess, name: str) -> str:
    """An access token, as clients get it."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    body = json.dumps({"username": name, "password": PASSWORD})
    connection.request("POST", "/v1/auth/token", body, {"Content-Type": "application/json"})
    answer = json.load(connection.getresponse())
    connection.close()
    token: str = answer["access_token"]
    return token


def test_the_server_answers_as_its_document_says(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    with postgres_server.fresh_database() as dsn:
        flags = ["--postgres", dsn]
        assert chat4all("user", "add", *PEOPLE, "--password", PASSWORD, *flags).returncode == 0
        with serving(tmp_path / "server", *flags, env=UNLIMITED) as server:
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "schemathesis.cli", "--no-color"),
                    *("--config-file", str(CONFIG), "run", f"{server.url}/openapi.json"),
                    *("--continue-on-failure", "--checks", "all"),
                ],
                cwd=tmp_path,
                env={
                    **os.environ,
                    "TOKEN": log_in(server, "ana"),
                    "OTHER_TOKEN": log_in(server, "dora"),
                },
                capture_output=True,
                text=True,
                check=False,
            )
            log = server.log.read_text()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ERROR" not in log
    followed, links = map(int, re.findall(r"(\d+) covered / (\d+) selected", done.stdout)[0])
    assert followed > links / 3, done.stdout
