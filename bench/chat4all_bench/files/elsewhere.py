"""Uploads from a process of its own that gives way to all others, as it stands for other machines.

It is told on stdin: an `Order` in a line; an empty line to begin; to end by the end of it. What
came of it is on stdout. Where processors are shared out by sessions (sched(7), *autogroup*), its
session has the lowest priority, too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from ..running.pool import GeneratorFailed
from .beside import Uploaded, Uploads
from .content import Content
from .transfers import Transfers

LOWEST: Final = 19
"""The niceness of the lowest priority."""


class Order(Struct):
    """What to upload, to whom."""

    url: str
    token: str
    name: str
    seed: int
    size: int
    """Bytes."""
    at_once: int
    parts_at_once: int


class UploadsElsewhere:
    """The process, as seen by who tells it what to do."""

    def __init__(self, order: Order) -> None:
        """It is ready when this returns."""
        command = [sys.executable, "-m", "chat4all_bench.files.elsewhere"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._told, self._said = self._process.stdin, self._process.stdout
        self._tell(msgspec.json.encode(order))
        self._said.readline()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def begin(self) -> None:
        """See `Uploads.begin`."""
        self._tell(b"")

    def end(self) -> Uploaded:
        """See `Uploads.end`.

        Raises:
            GeneratorFailed: it has ended by itself; why is on stderr.
        """
        self._told.close()
        said = self._said.read()
        self.close()
        if not said:
            raise GeneratorFailed(f"the process that uploads ended with {self._process.returncode}")
        return msgspec.json.decode(said, type=Uploaded)

    def close(self) -> None:
        """End it, whatever it does."""
        with suppress(BrokenPipeError):
            self._told.close()
        self._process.kill()
        self._process.wait()
        self._said.close()

    def _tell(self, line: bytes) -> None:
        try:
            self._told.write(line + b"\n")
            self._told.flush()
        except BrokenPipeError:
            raise GeneratorFailed("the process that uploads has ended") from None


def _give_way() -> None:
    os.nice(LOWEST)
    with suppress(OSError):  # there may be no such thing
        Path("/proc/self/autogroup").write_text(str(LOWEST), encoding="ascii")


def main() -> None:
    """The process."""
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    content = Content(order.seed, order.size)
    sha256 = content.digest()
    transfers = Transfers(order.url, order.token, parts_at_once=order.parts_at_once)
    uploads = Uploads(lambda: transfers.upload(order.name, content, sha256), at_once=order.at_once)
    _give_way()
    sys.stdout.buffer.write(b"ready\n")
    sys.stdout.buffer.flush()
    if not sys.stdin.buffer.readline():
        return
    uploads.begin()
    sys.stdin.buffer.read()
    uploaded = uploads.end()
    uploaded.histograms = transfers.histograms
    transfers.close()
    sys.stdout.buffer.write(msgspec.json.encode(uploaded))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
