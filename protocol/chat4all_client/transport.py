"""WebSocket connections by trio-websocket, and the one interface the client uses of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, cast
from urllib.parse import urlsplit, urlunsplit

import trio
import trio_websocket

from chat4all_protocol.codec import MAX_SERVER_FRAME
from chat4all_protocol.frames import SUBPROTOCOL

from .wake import single_cause

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

CLOSING: Final = 2.0
"""Seconds for the closing handshake."""
_NO_CODE: Final = frozenset({1005, 1006})
"""Codes that stand for "there was no close frame" or "it had no code"."""


class TransportClosed(Exception):
    """The connection is over."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(reason or "the connection was lost")
        self.code = code
        """The WebSocket close code; None when it broke without a close frame."""
        self.reason = reason


class TransportRefused(Exception):
    """The server answered the handshake with an HTTP error."""

    def __init__(self, status: int, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.status = status
        """The HTTP status."""
        self.reason = reason
        self.retry_after = retry_after
        """Seconds to wait before the next attempt, if the server said so."""


class Transport(Protocol):
    """An open WebSocket connection."""

    async def send(self, data: bytes) -> None:
        """Send a binary message.

        Raises:
            TransportClosed: the connection is over.
        """
        ...

    async def receive(self) -> bytes:
        """The next message.

        Raises:
            TransportClosed: the connection is over.
        """
        ...


Opener: TypeAlias = Callable[[], AbstractAsyncContextManager[Transport]]
"""Opens a connection, or raises OSError or `TransportRefused`; closes it at the end."""


def websocket_url(url: str) -> str:
    """The WebSocket address for a server's address: `http(s)` or `ws(s)`, with or without `/ws`.

    Raises:
        ValueError: it is neither, or it has a query or credentials, which do not belong there.
    """
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError(f"{url!r} is no address like http://127.0.0.1:8000 or wss://example.org")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("the address has no query, fragment or credentials; tokens go elsewhere")
    path = parts.path.rstrip("/")
    if not path.endswith("/ws"):
        path += "/ws"
    return urlunsplit((scheme, parts.netloc, path, "", ""))


class _WebSocket:
    """A `Transport` on trio-websocket."""

    def __init__(self, connection: trio_websocket.WebSocketConnection) -> None:
        self._connection = connection

    async def send(self, data: bytes) -> None:
        try:
            await self._connection.send_message(data)
        except trio_websocket.ConnectionClosed as error:
            raise _closed(error) from None

    async def receive(self) -> bytes:
        try:
            data = await self._connection.get_message()
        except trio_websocket.ConnectionClosed as error:
            raise _closed(error) from None
        if isinstance(data, str):
            raise TransportClosed(None, "the server sent text")
        return data


def _closed(error: trio_websocket.ConnectionClosed) -> TransportClosed:
    reason = error.reason
    if reason is None or reason.code in _NO_CODE:
        return TransportClosed(None, "")
    return TransportClosed(reason.code, reason.reason or "")


def websocket_opener(
    url: str, *, ssl_context: ssl.SSLContext | None = None, timeout: float = 10.0
) -> Opener:
    """Opens connections to `url`; each attempt may take `timeout` seconds."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Transport]:
        failure: BaseException | None = None
        stream: trio.abc.Stream | None = None
        try:
            async with trio.open_nursery() as nursery:
                try:
                    with trio.fail_after(timeout):
                        stream = await _open_stream(url, ssl_context)
                        connection = await _handshake(nursery, stream, url)
                except trio.TooSlowError:
                    raise TimeoutError(f"no answer within {timeout:g} s") from None
                yield _WebSocket(connection)
                with trio.move_on_after(CLOSING):
                    await connection.aclose()
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            failure = single_cause(group)
        finally:
            # trio-websocket leaves it open when the other side refuses or closes.
            if stream is not None:
                await trio.aclose_forcefully(stream)
        if isinstance(failure, trio_websocket.ConnectionRejected):
            raise _refused(failure)
        if failure is not None:
            raise failure

    return opened


async def _open_stream(url: str, ssl_context: ssl.SSLContext | None) -> trio.abc.Stream:
    parts = urlsplit(url)
    assert parts.hostname is not None  # `websocket_url` sees to it
    secure = parts.scheme == "wss"
    port = parts.port or (443 if secure else 80)
    try:
        if not secure:
            return await trio.open_tcp_stream(parts.hostname, port)
        return await trio.open_ssl_over_tcp_stream(
            parts.hostname, port, ssl_context=ssl_context, https_compatible=True
        )
    except OSError as error:
        raise OSError(_why(error)) from error


async def _handshake(
    nursery: trio.Nursery, stream: trio.abc.Stream, url: str
) -> trio_websocket.WebSocketConnection:
    parts = urlsplit(url)
    watched = _WatchedStream(stream)
    opened: trio_websocket.WebSocketConnection | None = None
    with trio.CancelScope() as scope:
        watched.at_end = scope.cancel
        opened = await trio_websocket.wrap_client_stream(
            nursery,
            cast("trio.SocketStream", watched),
            parts.netloc,
            parts.path,
            subprotocols=[SUBPROTOCOL],
            message_queue_size=64,
            max_message_size=MAX_SERVER_FRAME,
            receive_buffer_size=64 * 1024,
        )
    watched.at_end = None
    if opened is None:
        raise OSError("the server hung up during the handshake")
    return opened


class _WatchedStream(trio.abc.Stream):
    """A stream that tells of its end, for which trio-websocket's handshake does not look."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.at_end: Callable[[], None] | None = None

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        try:
            data = await self._stream.receive_some(max_bytes)
        except trio.BrokenResourceError:
            data = b""
        if not data and self.at_end is not None:
            self.at_end()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


def _why(error: OSError) -> str:
    """The system's words, without Python's wrapping."""
    cause: BaseException = error
    while (inner := cause.__cause__) is not None:
        cause = inner
    if isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
        return os.strerror(cause.errno)
    return str(cause) or type(cause).__name__


def _refused(error: trio_websocket.ConnectionRejected) -> TransportRefused:
    body = (error.body or b"").decode("utf-8", "replace").strip()
    retry_after = None
    for name, value in error.headers:
        if name.lower() == b"retry-after" and value.isdigit():
            retry_after = float(value)
    return TransportRefused(error.status_code, body[:200] or "refused", retry_after)
