"""The bus in memory, for nodes of one trio run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from ..ports.bus import Arrival, Beat
from ..ports.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence


class MemoryBus:
    """A bus for nodes of one trio run; `down` and `forget` are its faults."""

    def __init__(self, *, max_entries: int = 1000) -> None:
        self.down = False
        """Nothing works while it is true."""
        self.appended = 0
        """Entries given to `append`."""
        self._max_entries = max_entries
        self._epoch = 0
        self._ids = 0
        self._streams: dict[str, list[tuple[int, bytes]]] = {}
        self._beats: dict[str, bytes] = {}
        self._news = trio.Event()

    def forget(self) -> None:
        """Lose everything, as after a restart without files."""
        self._epoch += 1
        self._streams.clear()
        self._beats.clear()

    async def append(self, entries: Sequence[tuple[str, bytes]]) -> None:
        """See `Bus.append`."""
        await self._reach()
        for node, data in entries:
            if node in self._streams:
                self._put(node, data)
        self.appended += len(entries)

    async def read(self, node: str, after: str, *, wait: float, limit: int) -> list[Arrival]:
        """See `Bus.read`."""
        await self._reach()
        with trio.move_on_after(wait):
            while not (found := self._after(node, int(after))):
                await self._news.wait()
        await self._reach()
        return [Arrival(str(id_), data) for id_, data in found[:limit]]

    async def beat(self, node: str, data: bytes) -> Beat:
        """See `Bus.beat`."""
        await self._reach()
        self._beats[node] = data
        self._streams.setdefault(node, [])
        self._put(node, data)
        return Beat(str(self._epoch), str(self._ids), dict(self._beats))

    async def remove(self, node: str, unless: bytes | None = None) -> bool:
        """See `Bus.remove`."""
        await self._reach()
        if unless is not None and self._beats.get(node) != unless:
            return False
        self._streams.pop(node, None)
        return self._beats.pop(node, None) is not None

    async def close(self) -> None:
        """Nothing to give up."""
        await trio.lowlevel.checkpoint()

    def _put(self, node: str, data: bytes) -> None:
        self._ids += 1
        stream = self._streams[node]
        stream.append((self._ids, data))
        del stream[: -self._max_entries]
        self._news.set()
        self._news = trio.Event()

    def _after(self, node: str, after: int) -> list[tuple[int, bytes]]:
        return [entry for entry in self._streams.get(node, ()) if entry[0] > after]

    async def _reach(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.down:
            raise Unavailable("the bus is down")
