"""Many WebSocket clients in one process, as cheap as they can be made.

A client here is an asyncio protocol on raw bytes: it masks with a zero key (the server can't tell
the cost apart) and parses only what it needs, so that the generator is not what is measured.
"""

from __future__ import annotations

import asyncio
import base64
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_ZERO_MASK: Final = b"\0\0\0\0"


def masked(payload: bytes) -> bytes:
    """A binary frame from a client."""
    size = len(payload)
    if size < 126:
        return bytes((0x82, 0x80 | size)) + _ZERO_MASK + payload
    if size < 65536:
        return b"\x82\xfe" + size.to_bytes(2, "big") + _ZERO_MASK + payload
    return b"\x82\xff" + size.to_bytes(8, "big") + _ZERO_MASK + payload


def upgrade_request(host: str, path: str = "/ws") -> bytes:
    """The opening handshake."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


class Peer(asyncio.Protocol):
    """One connection. `on_message(payload)` gets each message; control frames are answered."""

    def __init__(self, host: str, on_message: Callable[[bytes], None]) -> None:
        self._host = host
        self.on_message = on_message
        self._buffer = b""
        self._upgraded = False
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(upgrade_request(self._host))

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        buffer = self._buffer + data if self._buffer else data
        position = 0
        if not self._upgraded:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = buffer
                return
            if not buffer.startswith(b"HTTP/1.1 101"):
                self.opened.set_exception(ConnectionError(buffer[:80].decode("latin-1")))
                return
            self._upgraded = True
            self.opened.set_result(None)
            position = end + 4
        size = len(buffer)
        while size - position >= 2:
            length = buffer[position + 1]
            start = position + 2
            if length == 126:
                if size - position < 4:
                    break
                length = int.from_bytes(buffer[start : start + 2], "big")
                start += 2
            elif length == 127:
                if size - position < 10:
                    break
                length = int.from_bytes(buffer[start : start + 8], "big")
                start += 8
            if size - start < length:
                break
            opcode = buffer[position] & 0x0F
            position = start + length
            if opcode == 2:
                self.on_message(buffer[start:position])
            elif opcode == 9:
                self.transport.write(b"\x8a\x80" + _ZERO_MASK)
        self._buffer = buffer[position:]

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self.closed = True
        if not self.opened.done():
            self.opened.set_exception(exc or ConnectionError("closed"))


async def open_peer(host: str, port: int, on_message: Callable[[bytes], None]) -> Peer:
    """A connection that has become a WebSocket."""
    loop = asyncio.get_running_loop()
    _, peer = await loop.create_connection(lambda: Peer(f"{host}:{port}", on_message), host, port)
    await peer.opened
    return peer
