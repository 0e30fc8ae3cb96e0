"""HTTP over trio, one request to a connection: it can be broken off at any byte."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import trio
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

PIECE: Final = 256 * 1024
SILENCE: Final = 30.0
"""Seconds after which a request is given up."""


class NoAnswer(Exception):
    """It did not come, or not whole: whether the request was carried out is not known."""


class Answer(Struct, frozen=True):
    """What came."""

    status: int
    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        """What the body says."""
        return json.loads(self.body)


async def ask(
    url: str,
    method: str = "GET",
    *,
    headers: Mapping[str, str] | None = None,
    data: bytes = b"",
) -> Answer:
    """Send a request, and read its whole answer.

    Raises:
        NoAnswer: it does not come.
    """
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    fields = {"Host": parts.netloc, "Connection": "close", **(headers or {})}
    if data or method in ("POST", "PUT"):
        fields["Content-Length"] = str(len(data))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {text}" for name, text in fields.items())]
    head = "\r\n".join([*lines, "", ""]).encode()
    try:
        with trio.fail_after(SILENCE):
            stream = await trio.open_tcp_stream(parts.hostname, parts.port)
            async with stream:
                return await _exchange(stream, head, data)
    except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
        raise NoAnswer(type(error).__name__) from error


async def _exchange(stream: trio.SocketStream, head: bytes, data: bytes) -> Answer:
    received = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_send, stream, head, data)
        await _receive(stream, received)
        nursery.cancel_scope.cancel()  # who is refused early is not read to the end
    return _answer(bytes(received))


async def _send(stream: trio.SocketStream, head: bytes, data: bytes) -> None:
    try:
        await stream.send_all(head)
        for start in range(0, len(data), PIECE):
            await stream.send_all(memoryview(data)[start : start + PIECE])
    except trio.BrokenResourceError:
        return  # the answer, or that there is none, says it


async def _receive(stream: trio.SocketStream, received: bytearray) -> None:
    try:
        async for piece in stream:
            received += piece
    except trio.BrokenResourceError:
        return  # what came before a reset counts if it is whole


def _answer(received: bytes) -> Answer:
    head, _, body = received.partition(b"\r\n\r\n")
    if b" 100 " in head.partition(b"\r\n")[0]:
        head, _, body = body.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    if not status_line:
        raise NoAnswer("the connection ended")
    headers = {}
    for line in lines:
        name, _, text = line.partition(":")
        headers[name.strip().lower()] = text.strip()
    if len(body) != int(headers.get("content-length", len(body))):
        raise NoAnswer("the answer was broken off")
    return Answer(int(status_line.split(" ")[1]), headers, body)
