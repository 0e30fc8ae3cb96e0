"""Gives the owners of entries their answers, while the next commit is under way."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

import trio

from .entries import by_owner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .entries import Answer, Entry

TOLD_AT_ONCE: Final = 128
"""Owners that are given their answers before other tasks get a turn: about 4 ms."""


class Telling:
    """The answers that are to be given, a flush after the other."""

    def __init__(self) -> None:
        self._untold: deque[Sequence[tuple[Entry[Any], Answer]]] = deque()
        self._news = trio.lowlevel.ParkingLot()
        self._ended = False

    def tell_nowait(self, answers: Sequence[tuple[Entry[Any], Answer]]) -> None:
        """Let the owners have these answers, after those that came before."""
        self._untold.append(answers)
        self._news.unpark()

    def end(self) -> None:
        """No more answers come."""
        self._ended = True
        self._news.unpark()

    async def run(self) -> None:
        """Give each owner its answers of a flush, in order, in one call, up to the last.

        A cancel does not end it: only who calls `end` knows when all has been said.
        """
        with trio.CancelScope(shield=True):
            while True:
                while not self._untold:
                    if self._ended:
                        return
                    await self._news.park()
                owners = by_owner(self._untold.popleft())
                for number, (owner, mine) in enumerate(owners.items(), 1):
                    owner(mine)
                    if number % TOLD_AT_ONCE == 0:
                        await trio.lowlevel.checkpoint()
