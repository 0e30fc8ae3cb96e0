"""Commands of ours as processes, forked from one that has imported the server already.

Each is a process like any other: with memory, descriptors, signals and an exit code of its own. It
was not `exec`ed, so that its imports, most of a second of a processor, are not made again; a suite
starts hundreds. `tests/life/test_cli.py` starts some as people do.
"""

from __future__ import annotations

import atexit
import functools
import os
import signal
import socket
import subprocess
import sys
import weakref
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from .preloaded import Order

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).parents[2]


class Process:
    """One that runs, or has ended. Threads and tasks may wait for its end at the same time."""

    def __init__(self, told: socket.socket) -> None:
        self._told = told
        weakref.finalize(self, told.close)
        line = b""
        while not line.endswith(b"\n"):
            data = told.recv(1)
            if not data:
                raise RuntimeError("the preloaded process has ended")
            line += data
        self.pid = int(line)

    def poll(self) -> int | None:
        """The exit code, or the negative number of the signal that killed it; None: it runs."""
        return self._status(socket.MSG_DONTWAIT)

    def wait(self) -> int:
        """Block until it has ended: likewise."""
        status = self._status(0)
        assert status is not None
        return status

    async def ended(self) -> int:
        """Wait until it has ended: likewise."""
        while (status := self.poll()) is None:
            await trio.lowlevel.wait_readable(self._told)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Nothing happens if it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9."""
        self.send_signal(signal.SIGKILL)

    def _status(self, flags: int) -> int | None:
        # It stays in the socket, for others who ask.
        try:
            data = self._told.recv(32, socket.MSG_PEEK | flags)
        except BlockingIOError:
            return None
        if not data:
            raise RuntimeError("the preloaded process has ended")
        return int(data)


def start(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    stdout: int,
    stderr: int,
    stdin: int | None = None,
    cwd: Path | None = None,
) -> Process:
    """Run `python -m ARGUMENTS` with these descriptors, which stay open here; nothing to read."""
    ours, theirs = socket.socketpair()
    order = Order(list(arguments), dict(env), str(cwd or ROOT))
    with theirs, _nothing() as nothing:
        streams = [nothing if stdin is None else stdin, stdout, stderr, theirs.fileno()]
        socket.send_fds(_preloaded(), [msgspec.json.encode(order)], streams)
    return Process(ours)


@contextmanager
def _nothing() -> Iterator[int]:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@functools.cache
def _preloaded() -> socket.socket:
    """The way to the process that forks; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.preloaded", str(theirs.fileno())],
            cwd=ROOT,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours
