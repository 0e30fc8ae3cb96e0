"""A bus that fails on demand: each node's handle of one `MemoryBus` that outlives the nodes."""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING

import trio

from chat4all_storage.memory.bus import MemoryBus
from chat4all_storage.ports.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chat4all_storage.ports.bus import Arrival, Beat


class BusFault(Enum):
    """What becomes of one append."""

    LOST = "its entries vanish, and the sender is not told"
    REFUSED = "nothing happens, and the sender is told so"
    DOUBT = "its entries are there, and the sender is told that it failed"


class FaultyBus:
    """The bus of all nodes, and how well it works."""

    def __init__(self) -> None:
        self.inner = MemoryBus()
        self.faults: deque[BusFault] = deque()
        """Of the next appends."""
        self.lag = 0.0
        """Seconds that entries are under way."""
        self.lost = False
        """Entries have vanished that the bus had taken: that shows only when others follow."""

    def heal(self) -> None:
        self.inner.down = False
        self.faults.clear()
        self.lag = 0.0

    def rewind(self, entries: int) -> None:
        """Fall back to a copy that lacks the last entries, and gives their positions again."""
        bus = self.inner
        self.lost = True
        bus._ids = max(0, bus._ids - entries)
        for stream in bus._streams.values():
            stream[:] = [entry for entry in stream if entry[0] <= bus._ids]


class NodeBus:
    """A `Bus`; once `cut`, its node is dead and tells nobody anything any more."""

    def __init__(self, bus: FaultyBus) -> None:
        self.bus = bus
        self.cut = False

    async def append(self, entries: Sequence[tuple[str, bytes]]) -> None:
        self._reach()
        fault = self.bus.faults.popleft() if self.bus.faults else None
        if fault is BusFault.REFUSED:
            raise Unavailable("the bus takes nothing")
        self.bus.lost |= fault is BusFault.LOST
        await self.bus.inner.append([] if fault is BusFault.LOST else entries)
        if fault is BusFault.DOUBT:
            raise Unavailable("the connection broke")

    async def read(self, node: str, after: str, *, wait: float, limit: int) -> list[Arrival]:
        self._reach()
        found = await self.bus.inner.read(node, after, wait=wait, limit=limit)
        if self.bus.lag:
            await trio.sleep(self.bus.lag)
        return found

    async def beat(self, node: str, data: bytes) -> Beat:
        self._reach()
        return await self.bus.inner.beat(node, data)

    async def remove(self, node: str, unless: bytes | None = None) -> bool:
        self._reach()
        return await self.bus.inner.remove(node, unless)

    async def close(self) -> None:
        await self.bus.inner.close()

    def _reach(self) -> None:
        if self.cut:
            raise Unavailable("the node is dead")
