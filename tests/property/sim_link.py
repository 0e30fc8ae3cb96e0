"""One connection without a socket: the `Outlet` of a session, and the client's end of it."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import trio
from msgspec import Struct

from chat4all_actors.session.session import Session
from chat4all_protocol.codec import encode
from chat4all_protocol.codes import CloseCode
from chat4all_protocol.connection import ClientConnection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chat4all_actors.kernel import Member
    from chat4all_actors.node import Node
    from chat4all_protocol.frames import AnyClientFrame

    from .sim_client import Device


class _Close(Struct):
    code: int


def payloads(data: bytes) -> Iterator[bytes]:
    """The messages in whole, unmasked WebSocket frames."""
    at = 0
    while at < len(data):
        assert data[at] == 0x82, "not a whole binary message"
        size, at = data[at + 1], at + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(data[at : at + width], "big"), at + width
        assert at + size <= len(data), "a frame was cut"
        yield data[at : at + size]
        at += size


class Link:
    """The wire between a session and a device; `blocked` is a device that takes no bytes."""

    def __init__(self, device: Device, node: Node) -> None:
        self.device = device
        self.rules = ClientConnection()
        self.allowed: set[str] = set()
        """Conversations that the server has shown to be this user's, and not taken back."""
        self.receipts: dict[tuple[str, str], tuple[int, int]] = {}
        self.last_rid: dict[str, int] = {}
        """By conversation: the request whose event was stored last."""
        self.closed_with: int | None = None
        self.over = False
        """The client's end is gone."""
        self.blocked = False
        self._queue: deque[bytes | _Close] = deque()
        self._queued = 0
        self._progress_at = 0.0
        self._close_sent = False
        self._pinged = False
        self._waiting = trio.lowlevel.ParkingLot()
        self._to_server, self._incoming = trio.open_memory_channel[bytes](math.inf)
        self._member: Member | None = None
        self.session = Session(node, self)
        self.node = node

    # --- the server's end ---------------------------------------------------------------------

    def start(self) -> None:
        """Live in the node's pool, as an accepted connection does."""
        edge = self.node.edge
        edge._open += 1
        edge.sessions[self.session] = "127.0.0.1"
        self._member = self.node._connections.start_soon("connection", self._serve)

    async def _serve(self) -> None:
        edge, session = self.node.edge, self.session
        try:
            session.start()
            async for data in self._incoming:
                session.touched()
                await session.receive(data)
        except Exception:
            session.close_internal()
            raise
        finally:
            session.ended()
            self.hang_up()
            del edge.sessions[session]
            edge.closed()

    # --- as an `Outlet` -----------------------------------------------------------------------

    @property
    def queued(self) -> int:
        return self._queued

    @property
    def stalled_since(self) -> float | None:
        return self._progress_at if self._queued else None

    def send_nowait(self, data: bytes) -> None:
        if self._close_sent or self.over:
            return
        if self._queue or self.blocked:
            if not self._queue:
                self._progress_at = trio.current_time()
            self._queue.append(data)
            self._queued += len(data)
        else:
            self._take(data)

    def offer(self, data: bytes, most: int) -> bool:
        if self._queued and self._queued + len(data) > most:
            return False
        self.send_nowait(data)
        return True

    def cork(self) -> None:
        """Nothing is kept: what is sent may go out at once."""

    def uncork(self) -> None:
        """Nothing was kept."""

    async def room(self, below: int) -> None:
        while self._queued >= below and not self.over:
            await self._waiting.park()

    def ping(self) -> None:
        self._pinged = True
        if not self.blocked:
            self._pong()

    def _pong(self) -> None:
        if self._pinged and not self.over:
            self._pinged = False
            self.session.touched()

    def close(self, code: int, reason: str, *, discard: bool = False) -> None:
        if self._close_sent:
            return
        if code == CloseCode.NO_HEARTBEAT and not self._pinged:
            self.device.complain("closed as silent, but it was never asked")
        if discard:
            self._queue.clear()
            self._queued = 0
        self._close_sent = True
        if self._queue or self.blocked:
            self._queue.append(_Close(code))
            self._queued += 4
        elif not self.over:
            self._take(_Close(code))

    def abort(self) -> None:
        self.hang_up()
        if self._member is not None:
            self._member.cancel()

    # --- the client's end ---------------------------------------------------------------------

    def send(self, frame: AnyClientFrame) -> None:
        if not self.over:
            self._to_server.send_nowait(encode(frame))

    def hang_up(self) -> None:
        """The client is gone: what is queued never arrives."""
        self.over = True
        self._queue.clear()
        self._queued = 0
        self._waiting.unpark_all()
        self._to_server.close()

    def take_queued(self, chunks: float = math.inf) -> None:
        """Let the client read up to so many chunks."""
        while self._queue and chunks > 0 and not self.over:
            chunk = self._queue.popleft()
            self._queued -= len(chunk) if isinstance(chunk, bytes) else 4
            self._progress_at = trio.current_time()
            chunks -= 1
            self._take(chunk)
            self._waiting.unpark_all()
            if not self._queue and not self.over:
                self.session.drained()

    def unblock(self) -> None:
        self.blocked = False
        self._pong()
        self.take_queued()

    def _take(self, chunk: bytes | _Close) -> None:
        if isinstance(chunk, _Close):
            self.closed_with = chunk.code
            self.hang_up()
            self.device.link_closed(self)
            return
        for payload in payloads(chunk):
            self.device.receive(self, payload)
