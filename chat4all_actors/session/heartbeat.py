"""One clock for all sessions of a node, in place of timers of their own.

Each session is visited every few seconds, a slice of them each second; one that waits for
something soon (`connect`, the end of a close) is visited every second. A visit compares a few
numbers, so time-outs may come late by the time between visits, never early.
"""

from __future__ import annotations

from typing import Final, NoReturn, Protocol

import trio

TICK: Final = 1.0
"""Seconds between visits to the hurried, and the resolution of `now`."""
SLICES: Final = 5
"""The others are visited every so many ticks."""


class Pulse(Protocol):
    """Something whose time-outs the clock looks after."""

    def beat(self, now: float) -> None:
        """Compare deadlines with `now`; never waits, never raises."""


class Heartbeat:
    """Visits every member in turn."""

    def __init__(self) -> None:
        self.now = trio.current_time()
        """The time of the last tick: cheap to read for a time stamp."""
        # Dicts for their order: a set would visit in another order on each run.
        self._hurried: dict[Pulse, None] = {}
        self._slices: list[dict[Pulse, None]] = [{} for _ in range(SLICES)]
        self._next = 0

    def add(self, member: Pulse) -> None:
        """Visit `member` every tick, until it is `calm` or removed."""
        self._hurried[member] = None

    def calm(self, member: Pulse) -> None:
        """Visit `member` less often from now on."""
        if member in self._hurried:
            del self._hurried[member]
            self._slices[self._next][member] = None
            self._next = (self._next + 1) % SLICES

    def hurry(self, member: Pulse) -> None:
        """Visit `member` every tick again."""
        self._discard_calm(member)
        self._hurried[member] = None

    def remove(self, member: Pulse) -> None:
        """Visit `member` no more."""
        self._hurried.pop(member, None)
        self._discard_calm(member)

    def _discard_calm(self, member: Pulse) -> None:
        for members in self._slices:
            members.pop(member, None)

    def __len__(self) -> int:
        return len(self._hurried) + sum(len(members) for members in self._slices)

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Tick until cancelled."""
        task_status.started()
        tick = 0
        while True:
            await trio.sleep(TICK)
            self.now = trio.current_time()
            tick += 1
            for member in [*self._hurried, *self._slices[tick % SLICES]]:
                member.beat(self.now)
