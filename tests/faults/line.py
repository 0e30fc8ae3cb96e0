"""A client's socket, with what a test does to it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL_BUFFER: Final = 4 * 1024
LARGE_BUFFER: Final = 128 * 1024


class Line(trio.abc.Stream):
    """A stream over a socket that says when it has ended, until it is `settled`.

    While the WebSocket library waits for the answer to its handshake, it does not notice.
    """

    def __init__(self, socket: trio.socket.SocketType, on_end: Callable[[], object]) -> None:
        self.settled = False
        self._stream = trio.SocketStream(socket)
        self._on_end = on_end

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `trio.abc.ReceiveStream`."""
        data = b""
        try:
            data = await self._stream.receive_some(max_bytes)
        finally:
            if not data and not self.settled:
                self._on_end()
        return data

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource`."""
        await self._stream.aclose()

    def close(self) -> None:
        """End it, without a word to the other side."""
        self._stream.socket.close()

    def cut(self) -> None:
        """Break the connection at once, as a network does."""
        with suppress(OSError):  # it just broke by itself
            self._stream.socket.shutdown(trio.socket.SHUT_RDWR)

    def keep(self, size: int) -> None:
        """Let the kernel keep so many bytes that were not read."""
        with suppress(OSError):  # closed just now
            self._stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, size)
