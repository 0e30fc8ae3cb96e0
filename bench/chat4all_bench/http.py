"""HTTP/1.1 requests over connections that are kept, as cheap as they can be made.

An asyncio protocol on raw bytes that parses only what it needs, so that the generator is not what
is measured. One request at a time on a connection, as browsers and k6 do.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    import ssl

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_RETRY: Final = re.compile(rb"\r\nretry-after: *(\d+)", re.IGNORECASE)
_LOCATION: Final = re.compile(rb"\r\nlocation: *([^\r]+)\r", re.IGNORECASE)
_LAST: Final = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
TIMEOUT: Final = 30.0
"""Seconds after which an answer is given up; k6 waits for 60."""


class NoAnswer(Exception):
    """The connection failed, ended or stayed silent: the outcome is not known."""


class Answer(Struct, frozen=True):
    """What the server said."""

    status: int
    body: bytes
    retry_after: float | None = None
    """Seconds to wait, as the server asks for."""
    location: str | None = None
    """Where to ask instead."""

    def json(self) -> Any:
        """The body.

        Raises:
            msgspec.DecodeError: it is no JSON.
        """
        return msgspec.json.decode(self.body)


def request(
    method: str,
    path: str,
    host: str,
    *,
    token: str | None = None,
    user: str | None = None,
    body: object = None,
) -> bytes:
    """A whole request; `body` is sent as JSON, `user` is in whose name a service client asks."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n"
    if token is not None:
        head += f"Authorization: Bearer {token}\r\n"
    if user is not None:
        head += f"X-On-Behalf-Of: {user}\r\n"
    if body is None:
        return f"{head}\r\n".encode()
    data = msgspec.json.encode(body)
    head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


class Connection(asyncio.Protocol):
    """One connection; `ask` from one task at a time."""

    def __init__(self) -> None:
        self._buffer = b""
        self._end = 0
        """Where the answer ends, once its head has come."""
        self._answer: asyncio.Future[Answer] | None = None
        self.open = True
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods

    async def ask(self, data: bytes) -> Answer:
        """Send a request and wait for its answer.

        Raises:
            NoAnswer: there is none.
        """
        if not self.open:
            raise NoAnswer("the connection is closed")
        loop = asyncio.get_running_loop()
        self._answer = loop.create_future()
        patience = loop.call_later(TIMEOUT, self._fail, f"no answer in {TIMEOUT:.0f} s")
        self._transport.write(data)
        try:
            return await self._answer
        finally:
            patience.cancel()

    def close(self) -> None:
        """Hang up."""
        self.open = False
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._buffer = buffer = self._buffer + data if self._buffer else data
        if not self._end:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            length = _LENGTH.search(buffer, 0, end)
            if length is None and buffer[9:12] != b"204":
                self._fail("an answer without a length")
                return
            self._end = end + 4 + (0 if length is None else int(length[1]))
        if len(buffer) < self._end:
            return
        head_end = buffer.find(b"\r\n\r\n")
        status = int(buffer[9:12])
        moved = _LOCATION.search(buffer, 0, head_end + 2) if 300 <= status < 400 else None
        retry = _RETRY.search(buffer, 0, head_end) if status >= 400 else None
        answer = Answer(
            status,
            buffer[head_end + 4 : self._end],
            retry_after=None if retry is None else float(retry[1]),
            location=None if moved is None else moved[1].decode("latin-1"),
        )
        if _LAST.search(buffer, 0, head_end) is not None:
            self.close()
        self._buffer, self._end = buffer[self._end :], 0
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._fail(str(exc) if exc else "the connection was closed")

    def _fail(self, why: str) -> None:
        if self.open:
            self.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(NoAnswer(why))


class Server:
    """Where a server is, and the connections to it that are free."""

    def __init__(self, url: str, *, most: int = 10_000) -> None:
        """At most so many connections; who needs another one waits for one that is given back."""
        parts = urlsplit(url)
        self.tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            import ssl

            self.tls = ssl.create_default_context()
        self.host = parts.hostname or "127.0.0.1"
        self.port = parts.port or (443 if self.tls else 80)
        self.name = parts.netloc
        """As the Host field has it."""
        self._free: list[Connection] = []
        self._taking = asyncio.Semaphore(most)
        self.opened = 0
        """Connections so far."""

    async def connect(self) -> Connection:
        """Return a connection of one's own.

        Raises:
            NoAnswer: nobody listens there.
        """
        try:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(
                Connection, self.host, self.port, ssl=self.tls
            )
        except OSError as error:
            raise NoAnswer(f"{self.name}: {error}") from error
        self.opened += 1
        return connection

    async def ask(self, data: bytes, *, until: float = math.inf) -> Answer:
        """Send a request over a free connection, or a new one.

        Raises:
            NoAnswer: there is none, or no connection until that time of the monotonic clock.
        """
        async with self._taking:
            if time.monotonic() > until:
                raise NoAnswer("no connection was free in time")
            connection = await self._connection()
            try:
                return await connection.ask(data)
            finally:
                if connection.open:
                    self._free.append(connection)

    async def _connection(self) -> Connection:
        while self._free:
            connection = self._free.pop()
            if connection.open:
                return connection
        return await self.connect()

    async def call(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        user: str | None = None,
        body: object = None,
    ) -> Answer:
        """Send a request that is made here.

        Raises:
            NoAnswer: there is none.
        """
        return await self.ask(request(method, path, self.name, token=token, user=user, body=body))

    def close(self) -> None:
        """Close the free connections."""
        for connection in self._free:
            connection.close()
        self._free.clear()
