"""A small HTTP/1.1 server on trio, for whatever plays a provider or is called back by one.

For tests: it trusts who calls it, and bounds only what it holds. A fake has to close a connection
in the middle of a call, or not to answer at all, and an application of an ASGI server can't.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

import h11
import msgspec
import trio
from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

MAX_BODY: Final = 128 * 1024 * 1024
"""Bytes of a request; more than any provider takes."""


class Hangup(Exception):
    """Raised by a handler: close the connection without an answer."""


class Response(Struct, frozen=True):
    """What to answer."""

    status: int = 200
    body: bytes = b""
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def json_response(content: object, status: int = 200, **headers: str) -> Response:
    """An answer in JSON; `_` in the names of headers stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, msgspec.json.encode(content), headers=named)


class Request:
    """A call, of which the head has been read."""

    def __init__(self, head: h11.Request, connection: _Connection) -> None:
        target = urlsplit(head.target.decode("ascii"))
        self.method = head.method.decode("ascii")
        self.path = unquote(target.path)
        self.query = dict(parse_qsl(target.query, keep_blank_values=True))
        self.headers = {
            name.decode("ascii").lower(): value.decode("latin-1") for name, value in head.headers
        }
        self._connection = connection
        self._body: bytes | None = None

    async def read(self) -> bytes:
        """Its body, as it came.

        Raises:
            Hangup: it is too long, or the caller has gone.
        """
        if self._body is None:
            self._body = await self._connection.read_body()
        return self._body


Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


class _Connection:
    def __init__(self, stream: trio.SocketStream, handler: Handler) -> None:
        self._stream = stream
        self._handler = handler
        self._http = h11.Connection(h11.SERVER)

    async def serve(self) -> None:
        async with self._stream:
            try:
                while await self._answer_one():
                    self._http.start_next_cycle()
            except (Hangup, trio.BrokenResourceError, h11.RemoteProtocolError):
                pass  # the caller left, or is to be left

    async def _answer_one(self) -> bool:
        head = await self._next_event()
        if not isinstance(head, h11.Request):
            return False
        request = Request(head, self)
        response = await self._handler(request)
        await request.read()
        await self._send(response)
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def read_body(self) -> bytes:
        if self._http.they_are_waiting_for_100_continue:
            await self._stream.send_all(
                self._http.send(h11.InformationalResponse(status_code=100, headers=[])) or b""
            )
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            if len(body) > MAX_BODY:
                raise Hangup
        return bytes(body)

    async def _next_event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._stream.receive_some())
        return event

    async def _send(self, response: Response) -> None:
        headers = {
            "Content-Length": str(len(response.body)),
            "Content-Type": response.media_type,
            **response.headers,
        }
        parts = [
            self._http.send(
                h11.Response(status_code=response.status, headers=list(headers.items()))
            ),
            self._http.send(h11.Data(data=response.body)) if response.body else b"",
            self._http.send(h11.EndOfMessage()),
        ]
        await self._stream.send_all(b"".join(part or b"" for part in parts))


async def serve(handler: Handler, listener: trio.SocketListener) -> None:
    """Answer all calls that come in there, for ever."""

    async def one(stream: trio.SocketStream) -> None:
        await _Connection(stream, handler).serve()

    await trio.serve_listeners(one, [listener])


@asynccontextmanager
async def open_server(handler: Handler, port: int = 0) -> AsyncIterator[str]:
    """A server on this machine, by its address."""
    [listener] = await trio.open_tcp_listeners(port, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, handler, listener)
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()
