"""One connection to the server: its socket, its frames, and what is remembered of its messages."""

from __future__ import annotations

import errno
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from .frames import CLOSE, PING, PONG, frame, parse
from .reactor import IN, OUT

if TYPE_CHECKING:
    from ..dialects.base import Seat
    from .reactor import Reactor

CLOSED: Final = 0
CONNECTING: Final = 1
UPGRADING: Final = 2
OPENING: Final = 3
"""It is a WebSocket; the dialect has not said that it is ready."""
CATCHING_UP: Final = 4
"""What it missed is still to come."""
READY: Final = 5

_BIND_ADDRESS_NO_PORT: Final = 24
"""Of Linux: the port is chosen at `connect`, so each may be used towards several servers."""
_READ: Final = 65536
_LEAST_BUFFER: Final = 2048


class Crowd(Protocol):
    """Who has the clients."""

    reactor: Reactor

    def on_open(self, client: Client) -> None:
        """It has become a WebSocket."""
        ...

    def on_payload(self, client: Client, payload: bytes, now: int) -> None:
        """A message has come."""
        ...

    def on_closed(self, client: Client, why: str) -> None:
        """The connection has ended, by whomever."""
        ...


class Arrival(Protocol):
    """Who waits until clients are ready."""

    def ready(self, client: Client) -> None:
        """It is."""
        ...

    def failed(self, client: Client) -> None:
        """Its connection has ended before."""
        ...


class Client:
    """See the module's docstring. Small: there may be 15,000 in a process."""

    __slots__ = (
        "_buffer",
        "_crowd",
        "_queue",
        "_socket",
        "_unsent",
        "arrival",
        "began",
        "comes_back",
        "head",
        "leaving",
        "number",
        "paused",
        "position",
        "received",
        "refused",
        "seat",
        "small",
        "stage",
        "state",
        "waiting",
        "was_ready",
    )

    def __init__(self, crowd: Crowd, seat: Seat, *, small: bool) -> None:
        self._crowd = crowd
        self._socket: socket.socket | None = None
        self._buffer = b""
        self._queue: list[bytes] | None = None
        self._unsent = b""
        self.seat = seat
        self.state = CLOSED
        self.stage = 0
        self.position = 0
        self.head = 0
        """Until which position it has to catch up."""
        self.number = 0
        """Of the last message that it wrote."""
        self.waiting: dict[int, int] | None = {} if seat.speaker >= 0 else None
        """When the messages were due that were not answered yet."""
        self.refused: list[int] | None = None
        """Numbers of messages that were not taken."""
        self.received: list[int] | None = [0] * seat.speakers if seat.speakers else None
        """The greatest number that has come from each speaker of its room."""
        self.arrival: Arrival | None = None
        """Who waits until it is ready."""
        self.was_ready = False
        self.began = 0.0
        self.small = small
        self.paused = False
        self.leaving = False
        """It disconnects as soon as it has all answers."""
        self.comes_back = False
        """If the server ends the connection, it comes back for what it missed."""

    def connect(self, address: tuple[str, int], source: str | None) -> None:
        """Begin to connect.

        Raises:
            OSError: that is not possible.
        """
        self._socket = sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.small:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _LEAST_BUFFER)
        if source is not None:
            sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
            sock.bind((source, 0))
        self.began = time.monotonic()
        self.state = CONNECTING
        self.stage = 0
        self._buffer = self._unsent = b""
        with suppress(BlockingIOError):
            sock.connect(address)
        self._crowd.reactor.register(sock.fileno(), self, OUT)

    def upgrade(self, request: bytes) -> None:
        """Begin to become a WebSocket, as soon as it is connected."""
        self._unsent = request

    def send(self, payload: bytes, opcode: int) -> bool:
        """Send a message with the next `flush`; whether it is the first one for it."""
        data = frame(payload, opcode)
        if self._queue is None:
            self._queue = [data]
            return True
        self._queue.append(data)
        return False

    def flush(self) -> None:
        """Send what is queued, in one piece."""
        queue, self._queue = self._queue, None
        if queue is None or self._socket is None:
            return
        data = queue[0] if len(queue) == 1 else b"".join(queue)
        if self._unsent:
            self._unsent += data
        else:
            self._send_now(data)

    def pause(self, paused: bool) -> None:
        """Stop to read, or go on."""
        self.paused = paused
        if self._socket is not None:
            self._crowd.reactor.modify(self._socket.fileno(), self._wanted())

    def close(self) -> None:
        """End the connection, without a word."""
        if self._socket is not None:
            self._crowd.reactor.unregister(self._socket.fileno())
            self._socket.close()
            self._socket = None
        self.state = CLOSED
        self._queue = None
        self._buffer = self._unsent = b""

    def on_ready(self, events: int) -> None:
        """See `reactor.Ready`."""
        if self.state == CONNECTING:
            self._connected()
            return
        if events & OUT:
            data, self._unsent = self._unsent, b""
            self._send_now(data)
            if self._socket is None:
                return
            if not self._unsent:
                self._crowd.reactor.modify(self._socket.fileno(), self._wanted())
        if events & ~OUT:
            self._read()

    def _wanted(self) -> int:
        return (0 if self.paused else IN) | (OUT if self._unsent else 0)

    def _connected(self) -> None:
        assert self._socket is not None
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._end(f"no connection: {_name_of(error)}")
            return
        self.state = UPGRADING
        data, self._unsent = self._unsent, b""
        self._send_now(data)
        if self._socket is not None:
            self._crowd.reactor.modify(self._socket.fileno(), self._wanted())

    def _send_now(self, data: bytes) -> None:
        assert self._socket is not None
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._end(f"broken: {_name_of(error.errno)}")
            return
        if sent < len(data):
            self._unsent = data[sent:]
            self._crowd.reactor.modify(self._socket.fileno(), self._wanted())

    def _read(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(_READ)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(f"broken: {_name_of(error.errno)}")
            return
        if not data:
            self._end("closed without a word")
            return
        if self._buffer:
            data = self._buffer + data
        if self.state == UPGRADING:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = data
                return
            if not data.startswith(b"HTTP/1.1 101"):
                self._end(f"HTTP {data[9:12].decode('latin-1')}")
                return
            self.state = OPENING
            data = data[end + 4 :]
            self._crowd.on_open(self)
        try:
            frames, self._buffer = parse(data)
        except ValueError as error:
            self._end(str(error))
            return
        now = time.monotonic_ns() // 1000
        for opcode, payload in frames:
            if opcode < CLOSE:
                self._crowd.on_payload(self, payload, now)
            elif opcode == PING:
                if self.send(payload, PONG):
                    self.flush()
            elif opcode == CLOSE:
                self._end(f"closed with {int.from_bytes(payload[:2], 'big')}")
            if self._socket is None:
                return

    def _end(self, why: str) -> None:
        self.close()
        self._crowd.on_closed(self, why)


def _name_of(number: int | None) -> str:
    """`ECONNREFUSED` and the like."""
    return errno.errorcode.get(number or 0, f"error {number}")
