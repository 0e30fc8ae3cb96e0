"""An S3 server for tests: moto's, with signature checks of ours, in a process that can be killed.

What is stored is in its memory. Without trio, so that a fixture of a whole session can own it; it
ends with this process whatever happens.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from tests.support.s3_rights import ACCESS_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
BUCKET: Final = "files"
REGION: Final = "us-east-1"
Fault = Literal["refuse", "drop", "lose answer", "error in 200", "break off"]


class S3Server:
    """A server that runs, and what can happen to it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, secret_key: str) -> None:
        self._process = process
        self._secret_key = secret_key
        self.port = port

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to use it, and no other."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": self._secret_key,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self) -> Any:
        """Botocore's own client, to look at what is there."""
        # Here, because its import takes longer than most tests.
        import botocore.session
        from botocore.config import Config

        return botocore.session.get_session().create_client(
            "s3",
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=self._secret_key,
            config=Config(s3={"addressing_style": "path"}),
        )

    # --- faults

    def later(self, seconds: float) -> None:
        """Let its clock go ahead (or back)."""
        self._arrange({"ahead": seconds})

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Every connection breaks before it is answered; what is stored stays."""
        self._arrange({"down": True})
        try:
            yield
        finally:
            self._arrange({"down": False})

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Nothing in it moves, as when its machine hangs; connections stay open."""
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def go_wrong(self, how: Fault, method: str, has: str, *, times: int = 1) -> None:
        """Let the next requests of this method, with this in their path or query, go wrong."""
        self._arrange({"faults": [{"how": how, "method": method, "has": has, "times": times}]})

    def kill(self) -> None:
        """End it at once; all that it had is lost."""
        self._process.kill()
        self._process.wait()

    def _arrange(self, wanted: dict[str, Any]) -> None:
        connection = HTTPConnection("127.0.0.1", self.port)
        try:
            connection.request("POST", "/-/faults", json.dumps(wanted))
            assert connection.getresponse().status == 200
        finally:
            connection.close()


@contextmanager
def run_s3(bucket: str | None = BUCKET) -> Iterator[S3Server]:
    """Run a server with this bucket for as long as the block lasts."""
    secret_key = secrets.token_hex(16)
    environment = os.environ | {"S3_SECRET_KEY": secret_key}
    command = [sys.executable, "-m", "tests.support.s3_process"]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            assert said, _read(log)
            server = S3Server(process, json.loads(said)["port"], secret_key)
            if bucket is not None:
                server.client().create_bucket(Bucket=bucket)
            yield server
        finally:
            process.stdin.close()
            process.wait()


def _read(log: Any) -> str:
    log.seek(0)
    text: str = log.read().decode()
    return text
