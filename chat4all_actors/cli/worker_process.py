"""One worker process, as its parent sees it. `worker` is the other side.

The parent writes the worker's orders, a line of JSON, into the worker's standard input, where no
secret is seen by others, and keeps it open: its end, however it comes about, tells the worker to
drain. The worker writes lines of JSON to its standard output: `{"ready": true}` when it accepts
work, `{"leaving": true}` when it lets in nobody more, and `{"error": [message, mend, code]}` when
it can't start. It inherits its listening sockets.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio
from msgspec import Struct

from ..config import Settings  # noqa: TC001 - decoding needs it
from .main import INTERNAL, CommandError

if TYPE_CHECKING:
    from .listening import Doors

# Not from the current directory, where anything may lie.
_WORKER: Final = (sys.executable, "-P", "-m", "chat4all_actors.cli.worker")


class Orders(Struct, frozen=True):
    """What a worker is told at its start."""

    number: int
    """Of its place among the workers, from 1."""
    settings: Settings
    public: list[int]
    """Descriptors of its listening sockets."""
    admin: list[int]


class WorkerProcess:
    """One process, from its start to its end."""

    def __init__(self, number: int, settings: Settings, doors: Doors) -> None:
        """`settings` name every server that the node needs, and its key."""
        public = [listener.fileno() for listener in doors.public]
        admin = [listener.fileno() for listener in doors.admin]
        self.number = number
        self.pid = 0
        self.leaving = trio.Event()
        """It lets in nobody more, or has ended."""
        self.ended = trio.Event()
        self.status: int | None = None
        """How it ended: its exit code, or the negative number of the signal that killed it."""
        self._orders = Orders(number, settings, public, admin)
        self._process: trio.Process | None = None
        self._ready = False
        self._error: CommandError | None = None

    def __str__(self) -> str:
        return f"worker {self.number} (pid {self.pid})"

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the process to its end; started when it accepts work, killed when cancelled.

        Raises:
            CommandError: it ended before it accepted work.
        """
        orders = self._orders
        self._process = process = await trio.lowlevel.open_process(
            _WORKER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a terminal's Ctrl-C is the parent's, who forwards it
            pass_fds=[*orders.public, *orders.admin],
        )
        self.pid = process.pid
        try:
            with suppress(trio.BrokenResourceError):  # it has died already: its status says how
                assert process.stdin is not None
                await process.stdin.send_all(msgspec.json.encode(orders) + b"\n")
            await self._listen(process, task_status)
            await process.wait()
        finally:
            with trio.CancelScope(shield=True):
                if process.returncode is None:
                    process.kill()
                self.status = await process.wait()
            self.drain()
            self.leaving.set()
            self.ended.set()
        if not self._ready:
            raise self._error or CommandError(
                f"{self} {self.end} before it accepted work", "its log says more", code=INTERNAL
            )

    async def _listen(self, process: trio.Process, task_status: trio.TaskStatus[None]) -> None:
        assert process.stdout is not None
        async with process.stdout:
            buffer = b""
            while data := await process.stdout.receive_some():
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    said = msgspec.json.decode(line, type=dict[str, Any])
                    if "ready" in said:
                        self._ready = True
                        task_status.started()
                    elif "leaving" in said:
                        self.leaving.set()
                    elif "error" in said:
                        message, mend, code = said["error"]
                        self._error = CommandError(message, mend, code=code)

    def drain(self) -> None:
        """Tell it to let in nobody more, to finish its work and to end."""
        if self._process is not None:
            assert isinstance(self._process.stdin, trio.lowlevel.FdStream)  # asked for as a pipe
            self._process.stdin.close()

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()

    @property
    def end(self) -> str:
        """How it ended, for people."""
        if self.status is not None and self.status < 0:
            return f"was ended by {signal.Signals(-self.status).name}"
        return f"ended with {self.status}"
