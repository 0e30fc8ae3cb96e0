"""Notes what became of deliveries, those of a moment together: one write in place of many."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from chat4all_storage.ports.deliveries import Finish


class Finishing:
    """While one write is under way, the next one collects."""

    def __init__(self, write: Callable[[Sequence[Finish]], Awaitable[None]]) -> None:
        """`write` returns when all of them stand."""
        self._write = write
        self._waiting: list[tuple[Finish, trio.Event]] = []
        self._wake = trio.Event()

    async def note(self, finish: Finish) -> None:
        """Return when it stands; `run` does that."""
        done = trio.Event()
        self._waiting.append((finish, done))
        self._wake.set()
        await done.wait()

    async def run(self) -> NoReturn:
        """Write until cancelled."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            some, self._waiting = self._waiting, []
            await self._write([finish for finish, _ in some])
            for _, done in some:
                done.set()
