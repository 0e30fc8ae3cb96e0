"""Sockets and nothing else: what neither a server nor a generator of ours can be faster than.

One epoll, no WebSocket logic beyond finding where a frame ends: that the client's mask is zero, as
the generator's is, is taken for granted. At `/echo` it shows how much load the generator can make;
at `/room` it is a bare loop of `socket.send` with one frame for all. Sockets are blocking, so that
a full one makes it wait and nothing is lost.
"""

from __future__ import annotations

import base64
import hashlib
import select
import socket
from typing import Final

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE: Final = 8

rooms: dict[bytes, list[Connection]] = {}


class Connection:
    """One client."""

    __slots__ = ("buffer", "echoes", "room", "socket", "upgraded")

    def __init__(self, accepted: socket.socket) -> None:
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = accepted
        self.buffer = b""
        self.upgraded = False
        self.echoes = False
        self.room: list[Connection] | None = None

    def serve(self) -> bool:
        """Serve what has come; False when the client has gone."""
        try:
            data = self.socket.recv(65536)
            if not data:
                return False
            if self.buffer:
                data = self.buffer + data
            if not self.upgraded:
                data = self.upgrade(data)
            return self.frames(data)
        except (ConnectionResetError, BrokenPipeError):
            return False

    def upgrade(self, data: bytes) -> bytes:
        """Answer the opening handshake when it is whole; what is left to look at."""
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            return data
        lines = head.split(b"\r\n")
        key = next(line for line in lines if line.lower().startswith(b"sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(key.partition(b": ")[2] + GUID).digest())
        self.socket.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self.upgraded = True
        self.echoes = lines[0].split(b" ")[1] == b"/echo"
        return rest

    def frames(self, data: bytes) -> bool:
        """Pass on each whole frame, and keep the rest; False after a close."""
        position, size = 0, len(data)
        while self.upgraded and size - position >= 6:
            length = data[position + 1] & 0x7F
            start = position + 6
            if length == 126:
                length = int.from_bytes(data[position + 2 : position + 4], "big")
                start += 2
            end = start + length
            if end > size:
                break
            if data[position] & 0x0F == CLOSE:
                return False
            self.frame(data[position:start], data[start:end])
            position = end
        self.buffer = data[position:]
        return True

    def frame(self, head: bytes, payload: bytes) -> None:
        """Pass on a frame without its mask."""
        size = bytes((head[1] & 0x7F,)) + head[2:-4]
        frame = head[:1] + size + payload
        if self.echoes:
            self.socket.send(frame)
        elif self.room is None:
            self.room = rooms.setdefault(payload, [])
            self.room.append(self)
            self.socket.send(frame)
        else:
            for member in self.room:
                member.socket.send(frame)

    def leave(self) -> None:
        """Close, and leave the room."""
        if self.room is not None:
            self.room.remove(self)
        self.socket.close()


def main() -> None:
    """Serve until the process is ended."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    connections: dict[int, Connection] = {}
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                accepted, _ = listener.accept()
                connections[accepted.fileno()] = Connection(accepted)
                poll.register(accepted, select.EPOLLIN)
            elif not connections[fd].serve():
                poll.unregister(fd)
                connections.pop(fd).leave()


main()
