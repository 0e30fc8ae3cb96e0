"""A WebSocket client of plain blocking sockets: it sends any bytes and sees every byte."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from tests.actors.rfc6455_cases import BINARY, CLOSE, NO_CODE, frame

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from chat4all_protocol.frames import AnyClientFrame

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
HANG = 60.0
"""Seconds of silence after which a read fails, so that a hang is a failure."""
UPGRADE = {
    "Host": "chat.example",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


def request(
    *lines: str, method: str = "GET", target: str = "/ws", version: str = "1.1", **changes: Any
) -> bytes:
    """An opening handshake; `changes` replace a field (None leaves it out), `lines` add."""
    fields = {**UPGRADE, **{name.replace("_", "-"): value for name, value in changes.items()}}
    head = [f"{method} {target} HTTP/{version}"]
    head += [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([*head, *lines, "", ""]).encode("latin-1")


@dataclass(frozen=True)
class Response:
    """A whole HTTP response, or the head of one that switches protocols."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """The error of the REST format."""
        assert self.headers["content-type"] == "application/json"
        (error,) = json.loads(self.body).values()
        assert isinstance(error, dict)
        return error


def parse_response(data: bytes) -> Response:
    head, separator, body = data.partition(b"\r\n\r\n")
    assert separator, data
    status_line, *lines = head.decode("ascii").split("\r\n")
    version, status, _ = status_line.split(" ", 2)
    assert version == "HTTP/1.1"
    headers: dict[str, str] = {}
    for line in lines:
        name, value = line.split(": ", 1)
        known = headers.get(name.lower())
        headers[name.lower()] = value if known is None else f"{known}, {value}"
    return Response(int(status), headers, body)


class ServerFrames:
    """Cuts what a server sends into frames, and lets it break no rule of RFC 6455."""

    def __init__(self, data: bytes = b"") -> None:
        self._buffer = bytearray(data)

    def feed(self, data: bytes | bytearray) -> Iterator[tuple[int, bytes]]:
        """The opcode and the payload of each frame that is now complete."""
        self._buffer += data
        start = 0
        while (cut := self._cut(start)) is not None:
            opcode, payload, start = cut
            yield opcode, payload
        del self._buffer[:start]

    def _cut(self, start: int) -> tuple[int, bytes, int] | None:
        buffer = self._buffer
        if len(buffer) < start + 2:
            return None
        first, size = buffer[start], buffer[start + 1]
        assert first & 0xF0 == 0x80, "fin, and no reserved bits"
        assert size < 0x80, "a server does not mask"
        begin = start + 2
        if size >= 126:
            begin += 2 if size == 126 else 8
            if len(buffer) < begin:
                return None
            least = 126 if size == 126 else 1 << 16
            size = int.from_bytes(buffer[start + 2 : begin], "big")
            assert size >= least, "the shortest form of the length"
        end = begin + size
        return None if len(buffer) < end else (first & 0xF, bytes(buffer[begin:end]), end)

    @property
    def rest(self) -> bytes:
        """What belongs to a frame that is not complete."""
        return bytes(self._buffer)


def close_code(payload: bytes) -> int:
    return int.from_bytes(payload[:2], "big") if payload else NO_CODE


class RawSocket:
    """One TCP connection to a server."""

    def __init__(
        self,
        port: int,
        *,
        receive_buffer: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(HANG)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            sock.connect(("127.0.0.1", port))
            self.socket = (
                sock if tls is None else tls.wrap_socket(sock, server_hostname="localhost")
            )
        except OSError:
            sock.close()
            raise
        self._frames = ServerFrames()
        self._ready: list[tuple[int, bytes]] = []

    def __enter__(self) -> RawSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    # --- bytes --------------------------------------------------------------------------------

    def send(self, data: bytes, *, pieces: int | None = None) -> None:
        """Send everything, in so many bytes at once; a server that listens no more is no error."""
        size = pieces or max(1, len(data))
        try:
            for start in range(0, len(data), size):
                self.socket.sendall(data[start : start + size])
        except (BrokenPipeError, ConnectionResetError):
            return

    def end(self) -> None:
        """Tell the server that nothing more comes."""
        self.socket.shutdown(socket.SHUT_WR)

    def rest(self) -> bytes:
        """Everything up to the server's end of the stream."""
        data = b""
        while chunk := self.socket.recv(1 << 16):
            data += chunk
        return data

    # --- HTTP and WebSocket -------------------------------------------------------------------

    def response(self) -> Response:
        """The response, after which the server has closed."""
        return parse_response(self.rest())

    def upgrade(self, opening: bytes | None = None, *, pieces: int | None = None) -> Response:
        """Become a WebSocket; the head of the response."""
        self.send(request() if opening is None else opening, pieces=pieces)
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = self.socket.recv(1 << 16)
            assert chunk, data
            data += chunk
        head, _, behind = data.partition(b"\r\n\r\n")
        response = parse_response(head + b"\r\n\r\n")
        assert response.status == 101, data
        digest = hashlib.sha1((KEY + GUID).encode(), usedforsecurity=False).digest()
        assert response.headers["sec-websocket-accept"] == base64.b64encode(digest).decode()
        self._ready += self._frames.feed(behind)
        return response

    def receive(self) -> tuple[int, bytes] | None:
        """The next WebSocket frame, or None at the end of the stream."""
        while not self._ready:
            data = self.socket.recv(1 << 16)
            if not data:
                assert not self._frames.rest, "the stream ends within a frame"
                return None
            self._ready += self._frames.feed(data)
        return self._ready.pop(0)

    def receive_message(self) -> dict[str, Any]:
        """The next frame, which holds a frame of the protocol, as a map."""
        received = self.receive()
        assert received is not None
        opcode, payload = received
        assert opcode == BINARY, received
        fields = msgspec.msgpack.decode(payload)
        assert isinstance(fields, dict)
        return fields

    def receive_close(self) -> int:
        """The code of the close, which comes after whatever is still under way."""
        while (received := self.receive()) is not None:
            if received[0] == CLOSE:
                return close_code(received[1])
        raise AssertionError("the stream ended without a close")

    def send_frame(self, sent: AnyClientFrame) -> None:
        self.send(frame(BINARY, msgspec.msgpack.encode(sent)))
