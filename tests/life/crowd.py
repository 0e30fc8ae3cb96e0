"""Clients that cost little, for many messages at once."""

from __future__ import annotations

import socket
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from chat4all_protocol.codec import encode
from chat4all_protocol.frames import Connect, Fetch, Send, TextBody
from chat4all_protocol.ids import new_id
from tests.actors.rfc6455_cases import BINARY, CLOSE, frame
from tests.life.raw_sockets import ServerFrames, close_code, request
from tests.support.server import token

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterable

    from chat4all_protocol.frames import AnyClientFrame

RECEIVE_BYTES = 1 << 18
PADDING = "x" * 3000


class Ended(Exception):
    """The server closed: with which code, if it told."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Member:
    """One connection; what it does not `receive` stays in the kernel."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.node = ""
        """The one it is connected to."""
        self._frames = ServerFrames()
        self._ready: list[dict[str, Any]] = []
        self._code: int | None = None

    async def send(self, *frames: AnyClientFrame) -> None:
        data = b"".join(frame(BINARY, encode(sent), mask=bytes(4)) for sent in frames)
        await self._stream.send_all(data)

    async def receive(self) -> dict[str, Any]:
        """The next frame of the protocol; pings are ignored. Raises `Ended`."""
        while not self._ready:
            if self._code is not None:
                raise Ended(self._code)
            try:
                data = await self._stream.receive_some(RECEIVE_BYTES)
            except trio.BrokenResourceError:
                data = b""
            if not data:
                raise Ended(None)
            self._take(data)
        return self._ready.pop(0)

    def _take(self, data: bytes | bytearray) -> None:
        for opcode, payload in self._frames.feed(data):
            if opcode == BINARY:
                self._ready.append(msgspec.msgpack.decode(payload))
            elif opcode == CLOSE:
                self._code = close_code(payload)

    async def open(self, name: str, device: str, cursors: dict[str, int] | None) -> None:
        await self._stream.send_all(request())
        head = b""
        while b"\r\n\r\n" not in head:
            head += await self._stream.receive_some(1)
        hello = await self.receive()
        assert hello["t"] == "hello"
        self.node = hello["node"]
        await self.send(Connect(token=token(name), device=device, cursors=cursors))
        assert (await self.receive())["t"] == "ready"

    async def fetch_after(self, conv: str, after: int) -> list[dict[str, Any]]:
        """Every event after a seq; what else comes meanwhile is passed over."""
        found: list[dict[str, Any]] = []
        more = True
        while more:
            await self.send(Fetch(rid=1, conv=conv, after=after + len(found)))
            while (page := await self.receive()).get("rid") != 1:
                pass
            assert page["t"] == "page", page
            found += page["items"]
            more = page["more"]
        return found


@asynccontextmanager
async def member(
    port: int,
    name: str,
    device: str = "device",
    *,
    cursors: dict[str, int] | None = None,
    receive_buffer: int | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Member]:
    sock = trio.socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        await sock.connect(("127.0.0.1", port))
    except OSError:
        sock.close()
        raise
    stream: trio.abc.Stream = trio.SocketStream(sock)
    if tls is not None:
        stream = trio.SSLStream(stream, tls, server_hostname="localhost", https_compatible=True)
    try:
        client = Member(stream)
        await client.open(name, device, cursors)
        yield client
    finally:
        await trio.aclose_forcefully(stream)


def batches(count: int, size: int) -> Iterable[int]:
    """`count` in numbers of at most `size`."""
    for start in range(0, count, size):
        yield min(size, count - start)


async def flood(sender: Member, conv: str, count: int, *, window: int = 32) -> None:
    """Send messages that tell when they were sent, so many at a time, each answered."""
    for size in batches(count, window):
        body = TextBody(f"{time.perf_counter()} {PADDING}")
        await sender.send(
            *(Send(rid=rid, conv=conv, id=new_id(), body=body) for rid in range(size))
        )
        for rid in range(size):
            answer = await sender.receive()
            assert (answer["t"], answer.get("rid")) == ("sent", rid), answer


async def follow(reader: Member, position: int, upto: int) -> list[float]:
    """Receive every message after `position` up to `upto`, in order; how long each took."""
    latencies = []
    for seq in range(position + 1, upto + 1):
        message = await reader.receive()
        assert (message["t"], message.get("seq")) == ("msg", seq), message
        sent = float(message["body"]["text"].split()[0])
        latencies.append(time.perf_counter() - sent)
    return latencies
