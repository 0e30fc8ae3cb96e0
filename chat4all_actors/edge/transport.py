"""A socket that never makes its writer wait.

What the kernel does not take is queued, and a task that exists only while something is queued
sends it when there is room. TLS is the standard library's, on the same non-blocking socket.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import sys
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..session.heartbeat import Heartbeat
    from .pump import Pump, Take

    InThread: TypeAlias = Callable[..., Awaitable[Any]]
    """Runs a call that may block, with its arguments, where it holds up nobody."""

RECEIVE_BYTES: Final = 64 * 1024
_LATER: Final = (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError)
LINGER: Final = 2.0
"""Seconds to wait for the other side's end of the stream."""
UNSEALED_BYTES: Final = 256 * 1024
"""Of a file, that are sealed at once."""
AT_ONCE: Final = 0.001
"""Seconds that a thread waits for more to come or to be taken, before its task does."""
TURN: Final = 0.05
"""Seconds after which a thread lets others have their turn, even if there is more."""
JOIN_BYTES: Final = 128 * 1024
"""Queued chunks are joined up to this size for one send."""


class Transport:
    """Bytes in and out of one connected socket."""

    __slots__ = (
        "_corked",
        "_heartbeat",
        "_on_broken",
        "_on_drained",
        "_partial",
        "_progress_at",
        "_pump",
        "_queue",
        "_socket",
        "_spawn",
        "_waiting",
        "broken",
        "queued",
    )

    def __init__(
        self,
        sock: socket.socket,
        *,
        heartbeat: Heartbeat,
        spawn: Callable[[Callable[[], Awaitable[None]]], bool],
        pump: Pump,
    ) -> None:
        """Take over `sock`, which is non-blocking.

        `spawn` starts the sending task, or is False when the node stops.
        """
        self._socket = sock
        self._pump = pump
        self._heartbeat = heartbeat
        self._spawn = spawn
        self._queue: deque[bytes] | None = None
        self._corked = False
        """Whether the queue is only kept together until `uncork`."""
        self._partial = False
        """Whether the first of the queue may have been sent in part, so that it must be finished.

        A TLS socket that could not send has taken what it was given, and wants it again.
        """
        self._progress_at = 0.0
        self._waiting: trio.lowlevel.ParkingLot | None = None
        self._on_drained: Callable[[], None] | None = None
        self._on_broken: Callable[[], None] | None = None
        self.queued = 0
        """Bytes that the kernel has not taken."""
        self.broken = False

    def watch(self, *, on_drained: Callable[[], None], on_broken: Callable[[], None]) -> None:
        """Call these when the queue has become empty, and when a send has failed."""
        self._on_drained = on_drained
        self._on_broken = on_broken

    @property
    def stalled_since(self) -> float | None:
        """When the kernel last took anything, by the heartbeat; None while nothing is queued."""
        return self._progress_at if self.queued and not self._corked else None

    @property
    def local_address(self) -> tuple[str, int]:
        """The address and the port of this end."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    async def handshake(self, context: ssl.SSLContext) -> None:
        """Become a TLS server on this socket.

        Raises:
            OSError: the client does not want to, or went away.
        """
        tls = context.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
        self._socket = tls
        try:
            await _shake_hands(tls)
        except BaseException:
            self._break()  # there is nothing to send on: not in the clear, and not sealed yet
            raise

    async def receive(self) -> bytes:
        """Bytes from the other side; none at the end of its stream, however it ended."""
        sock = self._socket
        tls = isinstance(sock, ssl.SSLSocket)
        while True:
            # TLS may hold decrypted bytes that the kernel knows nothing of: try before waiting.
            if not tls:
                await trio.lowlevel.wait_readable(sock)
            try:
                data = sock.recv(RECEIVE_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                if tls:
                    await trio.lowlevel.wait_readable(sock)
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(sock)
            except OSError:
                return b""
            else:
                if tls:
                    await trio.lowlevel.checkpoint()
                return data

    async def readable(self) -> None:
        """Wait until there may be something to take."""
        sock = self._socket
        if not (isinstance(sock, ssl.SSLSocket) and sock.pending()):
            await trio.lowlevel.wait_readable(sock)

    def drain(self, buffer: memoryview) -> int | None:
        """In a thread: take what has come, as far as there is room; 0 at the end of the stream.

        None: nothing comes at once. The task of the connection awaits the thread.
        """
        sock = self._socket
        while True:
            try:
                return sock.recv_into(buffer)
            except _LATER as error:
                wanted = ssl.SSLWantWriteError
                poll = select.poll()
                poll.register(sock, select.POLLOUT if isinstance(error, wanted) else select.POLLIN)
                if not poll.poll(AT_ONCE * 1000):
                    return None
            except OSError:
                return 0

    async def send_file(self, fd: int, start: int, size: int, in_thread: InThread) -> int:
        """Send of a file at most `size` bytes, while nothing is queued; how many.

        0 when the connection is broken, or the file has no more. What has to be read is read
        `in_thread`, from where the kernel sends it without a copy of ours.
        """
        sock = self._socket
        if isinstance(sock, ssl.SSLSocket):
            data: bytes = await in_thread(os.pread, fd, min(size, UNSEALED_BYTES), start)
            self.send_nowait(data)
            await self.room(1)
            return 0 if self.broken else len(data)
        while not self.broken:
            await trio.lowlevel.wait_writable(sock)
            try:
                sent: int | None = await in_thread(_send_file, sock, fd, start, size)
            except OSError:
                self._break()
            else:
                if sent is not None:
                    return sent
        return 0

    def receive_nowait(self) -> bytes:
        """Bytes that have come already, in the clear; none when there are none."""
        try:
            return self._socket.recv(RECEIVE_BYTES)
        except OSError:
            return b""  # nothing yet, or broken: `receive` tells

    def pour(self, take: Take) -> Awaitable[None]:
        """Give what comes to `take` until that has enough, or the stream ends; see `Pump`."""
        if isinstance(self._socket, ssl.SSLSocket):
            return self._pour_unsealed(take)
        return self._pump.pour(self._socket, take)

    async def _pour_unsealed(self, take: Take) -> None:
        """The same for TLS: the kernel does not know what has been decrypted already."""
        going = True
        while going and (data := await self.receive()):
            answer = take(data)
            going = answer if isinstance(answer, bool) else await answer

    def send_nowait(self, data: bytes) -> None:
        """Send, or queue what can't be sent now; nothing once the connection is broken."""
        self.offer(data, sys.maxsize)

    def offer(self, data: bytes, most: int) -> bool:
        """The same, unless more than `most` bytes would then be queued: False, and nothing is.

        What is first in the queue is always taken.
        """
        if self._queue is not None:  # the sending task is at work
            if self.queued and self.queued + len(data) > most:
                return False
            self._queue.append(data)
            self.queued += len(data)
            return True
        if self.broken:
            return True
        try:
            sent = self._socket.send(data)
        except OSError as error:
            sent = self._not_sent(error)
        if sent != len(data):
            self._begin_queue(data, sent)
        return True

    def cork(self) -> None:
        """Keep what is sent from here on together, until `uncork` or until somebody waits."""
        if self._queue is None and not self.broken:
            self._queue = deque()
            self._corked = True

    def uncork(self) -> None:
        """Send at once what was held: one system call instead of one for each part."""
        if not self._corked:
            return
        self._corked = False
        held, self._queue = self._queue, None
        self.queued = 0
        if held:
            self.send_nowait(b"".join(held))
        if self._queue is None and not self.broken and self._on_drained is not None:
            self._on_drained()

    def _begin_queue(self, data: bytes, sent: int) -> None:
        if self.broken:
            return
        self._queue = deque([data[sent:]])
        self._partial = sent > 0 or isinstance(self._socket, ssl.SSLSocket)
        self.queued = len(data) - sent
        self._progress_at = self._heartbeat.now
        if not self._spawn(self._send_queue):
            self._break()

    def discard_queue(self) -> None:
        """Drop what is queued and not begun: a frame is never cut in the middle."""
        if self._queue:
            first = self._queue[0] if self._partial else None
            self._queue.clear()
            self.queued = 0
            if first is not None:
                self._queue.append(first)
                self.queued = len(first)
            if self._waiting is not None:
                self._waiting.unpark_all()

    async def room(self, below: int) -> None:
        """Wait until fewer than `below` bytes are queued, or the connection is broken."""
        if self.queued >= below:
            self.uncork()
        while self.queued >= below and not self.broken:
            if self._waiting is None:
                self._waiting = trio.lowlevel.ParkingLot()
            await self._waiting.park()

    async def finish(self) -> None:
        """Send what is queued, say that nothing more comes, and wait a little for the end.

        A socket that is closed with unread data in it is reset, and the reset may overtake what
        was sent last: so what still comes is read and dropped.
        """
        await self.room(1)
        if self.broken:
            return
        if isinstance(self._socket, ssl.SSLSocket):
            # Tells the end under TLS too, so that nobody takes it for a cut. That the other side
            # tells its own is not waited for: this raises then.
            with suppress(OSError):
                self._socket.unwrap()
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return
        with trio.move_on_after(LINGER):
            while await self.receive():
                pass

    def close(self) -> None:
        """Close the socket; whoever waits on it is told it is broken."""
        self._break()
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    def _try_send(self, data: bytes) -> int:
        try:
            return self._socket.send(data)
        except OSError as error:
            return self._not_sent(error)

    def _not_sent(self, error: OSError) -> int:
        if not isinstance(error, _LATER):
            self._break()
        return 0

    async def _send_queue(self) -> None:
        queue = self._queue
        if queue is None:
            return  # broken before this task began
        while queue and not self.broken:
            try:
                await trio.lowlevel.wait_writable(self._socket)
            except (trio.ClosedResourceError, OSError):
                return  # closed meanwhile
            if not queue or self.broken:
                break  # discarded, or broken, while waiting
            data = queue.popleft()
            while queue and len(data) + len(queue[0]) <= JOIN_BYTES:
                data += queue.popleft()
            sent = self._try_send(data)
            if sent:
                self._progress_at = self._heartbeat.now
                self.queued -= sent
            if sent < len(data):
                queue.appendleft(data[sent:])
                self._partial |= sent > 0 or isinstance(self._socket, ssl.SSLSocket)
            else:
                self._partial = False
            if self._waiting is not None:
                self._waiting.unpark_all()
        self._queue = None
        if not self.broken and self._on_drained is not None:
            self._on_drained()

    def _break(self) -> None:
        if self.broken:
            return
        self.broken = True
        self._corked = False
        self._queue = None
        self.queued = 0
        if self._waiting is not None:
            self._waiting.unpark_all()
        if self._on_broken is not None:
            self._on_broken()


def _send_file(sock: socket.socket, fd: int, start: int, size: int) -> int | None:
    """In a thread: send what the other side takes at once, but not for long; None: nothing now."""
    sent, until = 0, time.perf_counter() + TURN
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    while sent < size and time.perf_counter() < until:
        try:
            count = os.sendfile(sock.fileno(), fd, start + sent, size - sent)
        except BlockingIOError:
            if not poll.poll(AT_ONCE * 1000):
                return sent or None
        else:
            if not count:
                return sent
            sent += count
    return sent or None


async def _shake_hands(tls: ssl.SSLSocket) -> None:
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            await trio.lowlevel.wait_readable(tls)
        except ssl.SSLWantWriteError:
            await trio.lowlevel.wait_writable(tls)
        else:
            return
