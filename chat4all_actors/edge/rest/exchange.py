"""One request through Quart, in the task that the edge has started for it.

quart-trio runs a nursery and two tasks for each request, so that a client who leaves cancels the
handler, and it sends the head, the body and the end of an answer one by one. Here a body is read
when the handler asks for it, an answer that is there whole is sent at once, and a handler goes on
when its client leaves: what it does for good is then done, not left half-way, and its time is
bounded by the edge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quart.utils import encode_headers
from quart.wrappers.response import DataBody, Response
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIHTTPConnection
from quart_trio.wrappers import TrioRequest
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

if TYPE_CHECKING:
    from collections.abc import Generator

    from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable


class PulledBody:
    """The body of a request, received when it is awaited."""

    receive: ASGIReceiveCallable

    def __init__(self, expected: int | None, limit: int | None) -> None:
        """`limit` is the most bytes it may have, `expected` what the client has announced."""
        self._limit = limit
        self._too_large = expected is not None and limit is not None and expected > limit
        self._data = b""
        self._whole = False

    def __await__(self) -> Generator[Any, None, bytes]:
        """Receive the rest of it.

        Raises:
            RequestEntityTooLarge: it has more bytes than it may have.
            ClientDisconnected: it did not come whole.
        """
        return self._receive().__await__()

    def clear(self) -> None:
        """Let go of what was received."""
        self._data = b""

    async def _receive(self) -> bytes:
        if self._too_large:
            raise RequestEntityTooLarge
        if self._whole:
            return self._data
        parts: list[bytes] = []
        size = 0
        while not self._whole:
            event = await self.receive()
            if event["type"] != "http.request":
                raise ClientDisconnected
            part = event.get("body", b"")
            size += len(part)
            if self._limit is not None and size > self._limit:
                raise RequestEntityTooLarge
            parts.append(part)
            self._whole = not event.get("more_body", False)
        self._data = b"".join(parts)
        return self._data


class Request(TrioRequest):
    """A request whose body is pulled."""

    body_class: Any = PulledBody


class Exchange(TrioASGIHTTPConnection):
    """A request and its answer."""

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer the request."""
        request = self._create_request_from_scope(send)
        body: Any = request.body  # a `PulledBody`
        body.receive = receive
        response = await self.app.handle_request(request)
        if not (isinstance(response, Response) and isinstance(response.response, DataBody)):
            await self._send_response(send, response)
            return
        await send(
            {
                "type": "http.response.start",
                "status": response.status_code,
                "headers": encode_headers(response.headers),
            }
        )
        whole = response.response
        data = whole.data[whole.begin : whole.end]
        await send({"type": "http.response.body", "body": data, "more_body": False})


class Application(QuartTrio):
    """Quart, with these."""

    request_class = Request
    asgi_http_class = Exchange
