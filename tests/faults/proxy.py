"""TCP connections to a server, and what networks do to them: delay, silence, breaks at any byte.

A proxy knows nothing of what it carries. Each direction of a connection is a task that reads a
piece, waits as the proxy says, and writes it, so that a side that does not read holds up the other
as it would without a proxy.
"""

from __future__ import annotations

import struct
from contextlib import asynccontextmanager, contextmanager
from math import inf
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    Dial = Callable[[], Awaitable[trio.SocketStream]]

PIECE: Final = 64 * 1024
_ABORT: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: a close is a reset, and nothing of what waits is sent."""


def tcp(port: int) -> Dial:
    """Dial a server on this machine."""

    async def dial() -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", port)

    return dial


def unix(path: str) -> Dial:
    """Dial a server's unix socket."""

    async def dial() -> trio.SocketStream:
        return await trio.open_unix_socket(path)

    return dial


class Proxy:
    """One listener. Made by `open_proxy`."""

    def __init__(self, dial: Dial, rng: random.Random, port: int) -> None:
        self.port = port
        self.latency = 0.0
        """Seconds for which each piece is held, in either direction."""
        self._dial = dial
        self._rng = rng
        self._links: set[_Link] = set()
        self._closed = False
        self._flowing = trio.Event()
        self._flowing.set()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._links)

    # --- faults -------------------------------------------------------------------------------

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Nothing arrives, and nothing breaks: everything comes later."""
        self._flowing = trio.Event()
        try:
            yield
        finally:
            self._flowing.set()

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Every connection is broken, and new ones are as soon as they are made."""
        self._closed = True
        self.cut()
        try:
            yield
        finally:
            self._closed = False

    def cut(self) -> None:
        """Break every connection now."""
        for link in self._links:
            link.scope.cancel()

    def cut_within(self, bytes_: int) -> None:
        """Break every connection after fewer than so many bytes more, in the middle of anything."""
        for link in self._links:
            link.allowance = self._rng.randrange(bytes_)

    def lose_replies(self) -> None:
        """Let the next thing the server says on each connection be lost, and the connection too."""
        for link in self._links:
            link.deaf = True

    # --- traffic ------------------------------------------------------------------------------

    async def _serve(self, client: trio.SocketStream) -> None:
        link = _Link()
        server: trio.SocketStream | None = None
        try:
            with link.scope:
                self._links.add(link)
                if not self._closed:
                    await self._flowing.wait()
                    server = await self._dial()
                    await self._carry(link, client, server)
        except OSError:
            pass  # nobody there
        finally:
            self._links.discard(link)
            _close(client, server, abort=not link.finished)

    async def _carry(
        self, link: _Link, client: trio.SocketStream, server: trio.SocketStream
    ) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pump, link, client, server, False)
            nursery.start_soon(self._pump, link, server, client, True)
        link.finished = not link.scope.cancel_called

    async def _pump(
        self, link: _Link, source: trio.SocketStream, sink: trio.SocketStream, replies: bool
    ) -> None:
        """Carry one direction to its end. Where either side breaks, the whole connection does."""
        try:
            while piece := await source.receive_some(PIECE):
                if self.latency:
                    await trio.sleep(self.latency)
                await self._flowing.wait()
                if replies and link.deaf:
                    link.scope.cancel()
                    return
                if len(piece) > link.allowance:
                    await sink.send_all(piece[: int(link.allowance)])
                    link.scope.cancel()
                    return
                link.allowance -= len(piece)
                await sink.send_all(piece)
            await sink.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            link.scope.cancel()


class _Link:
    """One connection through the proxy."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.allowance = inf
        """Bytes that still pass."""
        self.deaf = False
        self.finished = False
        """Whether both sides had said everything."""


def _close(*streams: trio.SocketStream | None, abort: bool) -> None:
    for stream in streams:
        if stream is not None:
            if abort and stream.socket.family != trio.socket.AF_UNIX:
                stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, _ABORT)
            stream.socket.close()


@asynccontextmanager
async def open_proxy(dial: Dial, rng: random.Random) -> AsyncIterator[Proxy]:
    """A proxy to what `dial` connects to, on a free port of this machine."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    proxy = Proxy(dial, rng, listener.socket.getsockname()[1])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, proxy._serve, [listener])
        yield proxy
        nursery.cancel_scope.cancel()
