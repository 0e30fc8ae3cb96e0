"""Two WebSocket clients that others wrote, behind one face."""

from __future__ import annotations

import ssl
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

import trio
from trio_websocket import ConnectionClosed as TrioClosed
from trio_websocket import WebSocketConnection, wrap_client_stream
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from chat4all_protocol.codec import encode
from chat4all_protocol.connection import ClientConnection as Rules
from chat4all_protocol.frames import Connect, Hello, Ready
from tests.support.server import token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_protocol.frames import AnyClientFrame, AnyServerFrame

HOST = "127.0.0.1"
SUBPROTOCOL = "chat4all.v1"


class Link(Protocol):
    """One WebSocket of some library."""

    subprotocol: str | None

    async def send(self, *fragments: bytes) -> None:
        """Send one message."""

    async def receive(self) -> bytes:
        """The next message; `Closed` when the server has closed."""
        ...

    async def ping(self, payload: bytes) -> None:
        """Send a ping, and wait for its pong."""

    async def close(self, code: int, reason: str) -> None:
        """Close, and wait for the answer."""


class Closed(Exception):
    """The connection is closed: by which code of the server's."""

    def __init__(self, code: int | None, reason: str | None) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class TrioLink:
    """trio-websocket, on wsproto."""

    def __init__(self, websocket: WebSocketConnection) -> None:
        self._websocket = websocket
        self.subprotocol: str | None = websocket.subprotocol

    async def send(self, *fragments: bytes) -> None:
        await self._websocket.send_message(b"".join(fragments))

    async def receive(self) -> bytes:
        try:
            return cast("bytes", await self._websocket.get_message())
        except TrioClosed as closed:
            reason = closed.reason
            assert reason is not None
            raise Closed(reason.code, reason.reason) from None

    async def ping(self, payload: bytes) -> None:
        await self._websocket.ping(payload)

    async def close(self, code: int, reason: str) -> None:
        await self._websocket.aclose(code, reason)


class ThreadLink:
    """websockets, each call in a thread."""

    def __init__(self, websocket: ClientConnection) -> None:
        self._websocket = websocket
        self.subprotocol: str | None = websocket.subprotocol

    async def send(self, *fragments: bytes) -> None:
        message = fragments[0] if len(fragments) == 1 else list(fragments)
        await trio.to_thread.run_sync(self._websocket.send, message)

    async def receive(self) -> bytes:
        receive: partial[str | bytes] = partial(self._websocket.recv, decode=False)
        try:
            received = await trio.to_thread.run_sync(receive, abandon_on_cancel=True)
        except ConnectionClosed as closed:
            close = closed.rcvd
            if close is None:
                raise Closed(None, None) from None
            raise Closed(close.code, close.reason) from None
        assert isinstance(received, bytes)
        return received

    async def ping(self, payload: bytes) -> None:
        answered = await trio.to_thread.run_sync(self._websocket.ping, payload)
        await trio.to_thread.run_sync(answered.wait, abandon_on_cancel=True)

    async def close(self, code: int, reason: str) -> None:
        await trio.to_thread.run_sync(self._websocket.close, code, reason)
        received = self._websocket.protocol.close_rcvd
        assert received is not None
        assert received.code == code


@asynccontextmanager
async def trio_link(port: int, tls: ssl.SSLContext | None) -> AsyncIterator[Link]:
    plain = await trio.open_tcp_stream(HOST, port)
    stream: trio.SocketStream | trio.SSLStream[trio.SocketStream] = plain
    if tls is not None:
        stream = trio.SSLStream(plain, tls, server_hostname="localhost", https_compatible=True)
    async with trio.open_nursery() as nursery:
        try:
            yield TrioLink(
                await wrap_client_stream(
                    nursery, stream, f"{HOST}:{port}", "/ws", subprotocols=[SUBPROTOCOL]
                )
            )
        finally:
            await trio.aclose_forcefully(stream)
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def thread_link(port: int, tls: ssl.SSLContext | None) -> AsyncIterator[Link]:
    options: dict[str, Any] = {"subprotocols": [SUBPROTOCOL]}
    if tls is not None:
        # It reads in one thread and writes in another, which OpenSSL does not allow on one
        # connection (https://github.com/python/cpython/issues/143756). With TLS 1.3 tickets come
        # right after the handshake, and while they are read what is written may wait for ever.
        tls.maximum_version = ssl.TLSVersion.TLSv1_2
        options |= {"ssl": tls, "server_hostname": "localhost"}
    # It offers permessage-deflate, as it does by default.
    url = f"{'ws' if tls is None else 'wss'}://{HOST}:{port}/ws"
    opening = connect(url, ping_interval=None, proxy=None, **options)
    with ExitStack() as stack:
        websocket = await trio.to_thread.run_sync(stack.enter_context, opening)
        try:
            yield ThreadLink(websocket)
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(stack.close)


LINKS = {"trio-websocket": trio_link, "websockets": thread_link}


class Peer:
    """Speaks the protocol over a link."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.rules = Rules()

    async def send(self, frame: AnyClientFrame) -> None:
        await self.link.send(encode(frame))

    async def receive(self) -> AnyServerFrame:
        frame = self.rules.receive(await self.link.receive())
        assert frame is not None
        return frame

    async def connect(self, name: str, device: str = "device") -> Ready:
        connect = Connect(token=token(name), device=device)
        self.rules.connecting(connect)
        await self.send(connect)
        ready = await self.receive()
        assert isinstance(ready, Ready)
        return ready


@asynccontextmanager
async def open_peer(
    library: str, port: int, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Peer]:
    """A peer that was greeted, over one of `LINKS`."""
    async with LINKS[library](port, tls) as link:
        peer = Peer(link)
        assert isinstance(await peer.receive(), Hello)
        yield peer
