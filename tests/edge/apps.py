"""Small ASGI applications, and raw HTTP clients' reading of answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import h11
import trio

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass
class Reply:
    """One answer, as a client reads it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        assert self.headers["content-type"] == "application/json"
        error = json.loads(self.body)["error"]
        assert error["trace_id"] == self.headers["x-trace-id"]
        return cast("dict[str, Any]", error)


class Client:
    """Reads answers one after the other from a connection; what is sent is up to the test."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def reply(self, method: str = "GET") -> Reply:
        """The next answer; interim ones are skipped.

        Raises:
            EOFError: there is none, or not all of it.
        """
        if self._h11.our_state is h11.MUST_CLOSE:
            raise EOFError
        if self._h11.our_state is h11.DONE:
            self._h11.start_next_cycle()
        # What h11 believes to be the request; the test has sent its own.
        self._h11.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        self._h11.send(h11.EndOfMessage())
        status, headers, body = 0, {}, b""
        while True:
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                raise EOFError from error
            if event is h11.NEED_DATA:
                self._h11.receive_data(bytes(await self.stream.receive_some()))
                continue
            if isinstance(event, h11.Response):
                status = event.status_code
                headers = {name.decode(): value.decode() for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return Reply(status, headers, body)
            elif isinstance(event, h11.ConnectionClosed):
                raise EOFError

    async def closed(self) -> bool:
        """Whether the server says no more."""
        return not await self.stream.receive_some()


def request(
    target: str = "/",
    *lines: str,
    method: str = "GET",
    body: bytes = b"",
    host: str = "x",
    version: str = "1.1",
) -> bytes:
    fields = [f"Host: {host}", *lines]
    if body:
        fields.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([f"{method} {target} HTTP/{version}", *fields, "", ""])
    return head.encode("latin-1") + body


class Recorder:
    """An application that remembers who asked for what, and answers what is to be answered."""

    def __init__(
        self,
        status: int = 200,
        body: bytes = b"well",
        headers: Iterable[tuple[bytes, bytes]] = ((b"content-type", b"application/json"),),
    ) -> None:
        self.status = status
        self.body = body
        self.headers = list(headers)
        self.scopes: list[Any] = []
        self.bodies: list[bytes] = []
        self.reads = True
        """Whether it reads what it is sent before it answers."""
        self.go = trio.Event()
        """It answers when this is set."""
        self.go.set()
        self.disconnected = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        data = b""
        while self.reads:
            event = await receive()
            if event["type"] == "http.disconnect":
                self.disconnected += 1
                return
            data += event["body"]
            if not event["more_body"]:
                break
        self.bodies.append(data)
        await self.go.wait()
        headers = [*self.headers, (b"content-length", b"%d" % len(self.body))]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})
