"""WebSocket frames as a client writes and reads them, in as few steps as possible.

The mask is a zero key: a server must unmask like any other, and can't tell the cost apart.
"""

from __future__ import annotations

import base64
import os
from functools import lru_cache
from typing import Final

ZERO_MASK: Final = b"\0\0\0\0"
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10


def frame(payload: bytes, opcode: int) -> bytes:
    """Write a whole, final frame from a client."""
    return _head(len(payload), opcode) + payload


@lru_cache(maxsize=4096)
def _head(size: int, opcode: int) -> bytes:
    """What comes before so many bytes: messages of a load have few different sizes."""
    first = 0x80 | opcode
    if size < 126:
        return bytes((first, 0x80 | size)) + ZERO_MASK
    if size < 65536:
        return bytes((first, 0xFE)) + size.to_bytes(2, "big") + ZERO_MASK
    return bytes((first, 0xFF)) + size.to_bytes(8, "big") + ZERO_MASK


def upgrade_request(host: str, path: str, subprotocol: str | None) -> bytes:
    """Write the opening handshake."""
    key = base64.b64encode(os.urandom(16)).decode()
    offer = "" if subprotocol is None else f"Sec-WebSocket-Protocol: {subprotocol}\r\n"
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
    ).encode()


def parse(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Cut bytes from a server into (opcode, payload) of each whole frame, and what is left.

    Raises:
        ValueError: a frame is fragmented or masked, which none of the servers we know does.
    """
    found: list[tuple[int, bytes]] = []
    position, size = 0, len(data)
    while size - position >= 2:
        first, length = data[position], data[position + 1]
        start = position + 2
        if length >= 126:
            if length == 126:
                if size - position < 4:
                    break
                length = int.from_bytes(data[start : start + 2], "big")
                start += 2
            elif length == 127:
                if size - position < 10:
                    break
                length = int.from_bytes(data[start : start + 8], "big")
                start += 8
            else:
                raise ValueError("a masked frame from the server")
        end = start + length
        if size < end:
            break
        if not first & 0x80 or not first & 0x0F:
            raise ValueError("a fragmented message")
        found.append((first & 0x0F, data[start:end]))
        position = end
    return found, data[position:] if position < size else b""
