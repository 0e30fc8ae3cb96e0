"""The tally in memory, for nodes of one trio run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from ..ports.errors import Unavailable
from ..ports.tally import INTEREST, Standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..ports.tally import Usage


class MemoryTally:
    """A tally for nodes of one trio run; `down` and `forget` are its faults."""

    def __init__(self) -> None:
        self.down = False
        """Nothing works while it is true."""
        self.exchanges = 0
        self._due: dict[str, float] = {}
        self._seen: dict[str, dict[str, float]] = {}

    def forget(self) -> None:
        """Lose everything, as after a restart without files."""
        self._due.clear()
        self._seen.clear()

    async def exchange(self, node: str, usages: Sequence[Usage]) -> list[Standing]:
        """See `Tally.exchange`."""
        await trio.lowlevel.checkpoint()
        if self.down:
            raise Unavailable("the tally is down")
        self.exchanges += 1
        now = trio.current_time()
        return [self._add(node, usage, now) for usage in usages]

    async def close(self) -> None:
        """Nothing to give up."""
        await trio.lowlevel.checkpoint()

    def _add(self, node: str, usage: Usage, now: float) -> Standing:
        due = max(self._due.get(usage.key, now), now) + usage.cost
        due = min(max(due, now + usage.known), now + usage.ceiling)
        seen = {
            name: at
            for name, at in self._seen.get(usage.key, {}).items()
            if at + INTEREST > now
        } | {node: now}  # fmt: skip
        self._due[usage.key] = due
        self._seen[usage.key] = seen
        return Standing(due - now, len(seen))
