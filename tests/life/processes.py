"""`chat4all serve` and other commands as processes, without an event loop of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tests.support import forked
from tests.support.server import UNLIMITED, environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.support.forked import Process

ANNOUNCEMENT = "listening on "


@dataclass(frozen=True)
class ServerProcess:
    """A server that listens."""

    process: Process
    url: str
    log: Path
    """What it wrote to standard error."""
    stdout: IO[str]
    """What follows the announcement."""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/ws"

    @property
    def memory(self) -> int:
        """Resident bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def tell(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Tell it to end; its exit code. Blocks until it has ended."""
        self.tell(number)
        return self.process.wait()


@contextmanager
def serving(
    data_dir: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> Iterator[ServerProcess]:
    """A server over `data_dir`, killed at the end of the block if it still runs.

    It listens on a free port unless the arguments say otherwise; rates are unlimited unless `env`
    says otherwise.
    """
    port = () if "--port" in arguments else ("--port", "0")
    data_dir.mkdir(exist_ok=True)
    log = data_dir / "stderr.log"
    reading, writing = os.pipe()
    with log.open("a") as stderr, open(reading) as stdout:
        try:
            process = forked.start(
                ["chat4all_actors", "serve", "--data-dir", str(data_dir), *port, *arguments],
                env=environment({**UNLIMITED, **(env or {})}),
                stdout=writing,
                stderr=stderr.fileno(),
            )
        finally:
            os.close(writing)
        try:
            line = stdout.readline()
            assert line.startswith(ANNOUNCEMENT), log.read_text()
            url = line.removeprefix(ANNOUNCEMENT).strip()
            yield ServerProcess(process, url, log, stdout)
        finally:
            process.kill()
            process.wait()


def chat4all(
    *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `chat4all ARGUMENTS` to its end."""
    line = ["chat4all_actors", *arguments]
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = forked.start(
            line,
            env=environment(env),
            cwd=cwd or Path.cwd(),
            stdout=stdout.fileno(),
            stderr=stderr.fileno(),
        )
        status = process.wait()
        stdout.seek(0)
        stderr.seek(0)
        said, told = stdout.read().decode(), stderr.read().decode()
        return subprocess.CompletedProcess(line, status, said, told)
