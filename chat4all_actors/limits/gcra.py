"""Rate limits in the node's memory, by the generic cell rate algorithm.

Each key costs one float: its *theoretical arrival time*, when the next message would be due if
messages came evenly. A message is refused when that lies more than the burst ahead.
"""

from __future__ import annotations

from typing import Final

import trio

_PRUNE_EVERY: Final = 10_000


class RateLimiter:
    """`per_minute` in the long run and `burst` at once, for each key."""

    __slots__ = ("_calls", "_due", "_interval", "_tolerance")

    def __init__(self, per_minute: int, burst: int) -> None:
        """0 per minute is unlimited."""
        self._interval = 60.0 / per_minute if per_minute else 0.0
        self._tolerance = self._interval * (burst - 1)
        self._due: dict[str, float] = {}
        self._calls = 0

    def take(self, key: str) -> float:
        """Count one message of `key`: 0 if it may pass, else seconds until one would."""
        if not self._interval:
            return 0.0
        now = trio.current_time()
        due = max(self._due.get(key, now), now)
        early = due - now - self._tolerance
        if early > 1e-9:  # a sum of floats that should be zero
            return early
        self._due[key] = due + self._interval
        self._calls += 1
        if self._calls % _PRUNE_EVERY == 0:
            self._due = {name: at for name, at in self._due.items() if at > now}
        return 0.0
