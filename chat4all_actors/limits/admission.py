"""Who may come in, and when: so that a storm of reconnects is worked off, and does not pile up.

A handshake costs this node's time: the `Gate` lets in so many a second. The answer to `connect`
costs the databases': the `Turnstile` lets in so many at once. Both let those beyond wait for a
while, in the order in which they came, and turn away who would wait for longer, with a time to
come back.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS: Final = 1.0
LONGEST_RETRY: Final = 60 * SECONDS
"""A client that was turned away is never told to stay away for longer."""


class Overloaded(Exception):
    """There are too many to wait."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"overloaded; try again in {retry_after:.1f} s")
        self.retry_after = retry_after
        """Seconds after which there should be room."""


class Gate:
    """Lets in `rate` a second in the long run and `burst` at once.

    Who waits is let in after `patience` seconds at most, so no more than `rate * patience` wait.
    """

    def __init__(self, rate: float, burst: int, patience: float) -> None:
        """A rate of 0 is unlimited."""
        self._interval = 1 / rate if rate else 0.0
        self._tolerance = self._interval * (burst - 1)
        self._patience = patience
        self._next = float("-inf")
        """When the next one is let in, if it comes before; with a burst this lies in the past."""
        self._turn = float("-inf")
        """When the last of those who were turned away is to come back."""

    def take(self) -> float:
        """Seconds to wait before going in.

        Raises:
            Overloaded: it would be too long; those turned away come back evenly spread.
        """
        if not self._interval:
            return 0.0
        now = trio.current_time()
        slot = max(self._next, now - self._tolerance)
        if slot - now > self._patience:
            self._turn = max(self._turn, now + self._patience) + self._interval
            raise Overloaded(min(self._turn - now, LONGEST_RETRY))
        self._next = slot + self._interval
        return max(0.0, slot - now)


class Turnstile:
    """Lets in `at_once`; `queue` others may wait, for `patience` seconds at most."""

    def __init__(
        self,
        at_once: int,
        queue: int,
        patience: float,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`chance` gives numbers in [0, 1)."""
        self._free = at_once
        self._queue = queue
        self._patience = patience
        self._chance = chance
        self._within: set[object] = set()
        self._waiting = trio.lowlevel.ParkingLot()
        self.refused = 0
        """How many were turned away."""

    async def enter(self, member: object) -> None:
        """Wait for room, and take it until `leave`.

        Raises:
            Overloaded: too many wait, or it took too long.
        """
        if self._free:
            self._free -= 1
        elif len(self._waiting) >= self._queue:
            raise self._overloaded()
        else:
            with trio.move_on_after(self._patience) as patience:
                await self._waiting.park()  # who wakes us leaves us the room
            if patience.cancelled_caught:
                raise self._overloaded()
        self._within.add(member)

    def leave(self, member: object) -> None:
        """Make room; nothing if `member` is not within (any more)."""
        if member not in self._within:
            return
        self._within.remove(member)
        if self._waiting:
            self._waiting.unpark()
        else:
            self._free += 1

    def __len__(self) -> int:
        return len(self._within)

    def _overloaded(self) -> Overloaded:
        self.refused += 1
        # How long the others take is not known: about as long as one may wait for them.
        return Overloaded(min(self._patience * (1 + self._chance()), LONGEST_RETRY))
