"""Where the application stands, saved a while after it moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from .wake import Signal

if TYPE_CHECKING:
    from .cursors import CursorStore
    from .history import History

SAVE_TIMEOUT: Final = 5.0
"""Seconds that leaving `open_client` takes at most to save the cursors."""


class CursorSaver:
    """Hands the cursors of a client to its store."""

    def __init__(self, history: History, store: CursorStore, interval: float) -> None:
        """Changes are collected for `interval` seconds."""
        self._history = history
        self._store = store
        self._interval = interval
        self._moved = Signal()

    def look(self) -> None:
        """The cursors may have moved."""
        if self._history.dirty:
            self._moved.set()

    async def run(self) -> None:
        """Save until cancelled; what the store raises ends it."""
        while True:
            await self._moved.wait()
            await trio.sleep(self._interval)
            with trio.CancelScope(shield=True):
                await self._save()

    async def finish(self) -> None:
        """Save what is left, also when cancelled."""
        with trio.move_on_after(SAVE_TIMEOUT, shield=True):
            await self._save()

    async def _save(self) -> None:
        if self._history.dirty:
            await self._store.save(self._history.save())
