"""One task that reads all plain WebSockets, through an epoll of its own.

A task that waits for its own socket costs an `epoll_ctl` and a wake-up for each message, as trio
arms every wait anew. Here a socket is registered once, level-triggered, and what comes is handled
where it is read. The connection's own task sleeps until a message has to wait for something.
"""

from __future__ import annotations

import select
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

import outcome
import trio

if TYPE_CHECKING:
    import socket
    from contextvars import Context

MAX_EVENTS: Final = 256
"""Sockets that are asked for at once."""
SLICE: Final = 0.002
"""Seconds after which other tasks get their turn."""
RECEIVE_BYTES: Final = 64 * 1024

Take: TypeAlias = Callable[[bytes], bool | Awaitable[bool]]
"""Handles what has come, and says whether it wants more. What has to be waited for before that can
be said is awaited by the task of the connection, and nothing is read meanwhile."""


class Pump:
    """Reads sockets, and gives what comes to who handles it."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._epoll = select.epoll()
        self._flows: dict[int, _Flow] = {}

    def __len__(self) -> int:
        return len(self._flows)

    async def pour(self, sock: socket.socket, take: Take) -> None:
        """Give what comes on `sock` to `take` until that has enough, or the stream ends.

        `take` is called with the context variables of this task, which gets what it raises.
        """
        fd = sock.fileno()
        flow = _Flow(sock, take, trio.lowlevel.current_task().context)
        self._flows[fd] = flow
        try:
            going = True
            while going:
                self._resume(fd, flow)
                # Asleep until the answer is anything but to read on. Here, not in a method: a
                # coroutine of its own would be a quarter of a KiB of every session that sleeps.
                flow.task = trio.lowlevel.current_task()
                answer = await trio.lowlevel.wait_task_rescheduled(flow.abort)
                going = answer if isinstance(answer, bool) else await answer
        finally:
            del self._flows[fd]
            self._pause(fd, flow)

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Read until cancelled; once."""
        task_status.started()
        clock = self._clock
        flows = self._flows
        with self._epoll as epoll:
            while True:
                await trio.lowlevel.wait_readable(epoll.fileno())
                until = clock() + SLICE
                for fd, _ in epoll.poll(0, MAX_EVENTS):
                    # It may have gone while others had their turn. Should another socket have got
                    # its number since, that one is read in vain.
                    flow = flows.get(fd)
                    if flow is not None and not flow.read():
                        self._pause(fd, flow)
                    if clock() >= until:
                        await trio.lowlevel.checkpoint()
                        until = clock() + SLICE

    def _resume(self, fd: int, flow: _Flow) -> None:
        if not flow.watched:
            self._epoll.register(fd, select.EPOLLIN)
            flow.watched = True

    def _pause(self, fd: int, flow: _Flow) -> None:
        if flow.watched and not self._epoll.closed:
            self._epoll.unregister(fd)
        flow.watched = False


class _Flow:
    """One socket that is read, and the task that sleeps meanwhile."""

    __slots__ = ("_context", "_socket", "_take", "task", "watched")

    def __init__(self, sock: socket.socket, take: Take, context: Context) -> None:
        self._socket = sock
        self._take = take
        self._context = context
        self.task: trio.lowlevel.Task | None = None
        """While it sleeps."""
        self.watched = False
        """Whether the epoll tells of it: not while the task is busy and there is more to read."""

    def read(self) -> bool:
        """Read once; False, and nothing is read, while the task is busy."""
        if self.task is None:
            return False
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        try:
            # The end of the stream is never the other side's last word to be handled.
            answer = self._context.run(self._take, data) if data else False
        except Exception as error:
            self._interrupt(outcome.Error(error))
        else:
            if answer is not True:
                self._interrupt(outcome.Value(answer))
        return True

    def abort(self, _: object) -> trio.lowlevel.Abort:
        """For trio: the task that sleeps is cancelled."""
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _interrupt(self, answer: outcome.Outcome[bool | Awaitable[bool]]) -> None:
        task, self.task = self.task, None
        if task is not None:  # it is, unless it was cancelled by what it was given
            trio.lowlevel.reschedule(task, answer)
