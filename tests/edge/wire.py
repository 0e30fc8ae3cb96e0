"""A transport and its other side, in one process."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import trio

from chat4all_actors.edge.pump import Pump
from chat4all_actors.edge.transport import Transport
from chat4all_actors.session.heartbeat import Heartbeat

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


BIG = bytes(range(256)) * 4096
"""A MiB: more than the kernel takes at once."""


class Wire:
    """A transport, its other end, and what it says."""

    def __init__(self, nursery: trio.Nursery) -> None:
        ours, self.peer = socket.socketpair()
        ours.setblocking(False)
        self.peer.setblocking(False)
        self.ours = ours
        self.heartbeat = Heartbeat()
        self.senders = 0
        self.stopping = False
        self.drained = 0
        self.broken = 0
        self._nursery = nursery
        self.transport = Transport(ours, heartbeat=self.heartbeat, spawn=self._spawn, pump=Pump())
        self.transport.watch(on_drained=self._on_drained, on_broken=self._on_broken)

    def _spawn(self, send: Callable[[], Awaitable[None]]) -> bool:
        if self.stopping:
            return False
        self.senders += 1
        self._nursery.start_soon(send)
        return True

    def _on_drained(self) -> None:
        self.drained += 1

    def _on_broken(self) -> None:
        self.broken += 1

    def fill(self) -> bytes:
        """Send until something is queued; what was sent."""
        self.transport.send_nowait(BIG)
        assert 0 < self.transport.queued < len(BIG)
        return BIG

    def taken(self, size: int = 1 << 30) -> bytes:
        """What the other end can read right now."""
        data = bytearray()
        while len(data) < size:
            try:
                chunk = self.peer.recv(min(65536, size - len(data)))
            except BlockingIOError:
                break
            if not chunk:
                break
            data += chunk
        return bytes(data)

    async def read(self, size: int) -> bytes:
        """So many bytes at the other end."""
        data = b""
        while len(data) < size:
            await trio.lowlevel.wait_readable(self.peer)
            data += self.taken(size - len(data))
        return data

    def close_peer(self) -> None:
        """The other end goes away without a word."""
        self.peer.close()
