"""Erasures in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from ..ports.erasures import Erasure
    from .directory import MemoryDirectory


class MemoryErasures:
    """See `Erasures`."""

    def __init__(self, directory: MemoryDirectory) -> None:
        self._directory = directory
        self._open: dict[str, tuple[Erasure, int]] = {}
        self._claimed: dict[str, int] = {}

    def begin(self, erasure: Erasure) -> None:
        """The user is gone from the directory."""
        self._open[erasure.user_id] = (erasure, self._directory.clock_ms())
        self._directory.reserved.add(erasure.username.lower())

    async def claim(self, delay: float, lease: float) -> Erasure | None:
        """See `Erasures.claim`."""
        await trio.lowlevel.checkpoint()
        now = self._directory.clock_ms()
        for id_, (erasure, began) in self._open.items():
            if began <= now - delay * 1000 and self._claimed.get(id_, 0) < now:
                self._claimed[id_] = now + int(lease * 1000)
                return erasure
        return None

    async def finish(self, user_id: str) -> None:
        """See `Erasures.finish`."""
        await trio.lowlevel.checkpoint()
        erasure, _ = self._open.pop(user_id)
        self._directory.reserved.discard(erasure.username.lower())
