"""Rate limits in the node's memory, by the generic cell rate algorithm.

Each key costs one number: when it is *due*, its theoretical arrival time. That is when the next
message would come if messages came evenly, and a message is refused when that lies more than the
burst ahead. So nothing is counted per minute, and there is no edge between two minutes to abuse.

A limiter may be kept in step with those of other nodes (`in_step.py`): then it notes what was used
since the last exchange, and holds back where it does not know what the others have accepted.
"""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_KEYS: Final = 100_000
SWEEP: Final = 4
"""Keys that each new one looks at: those that are at rest go faster than new ones come."""
OVERFLOW: Final = 16
"""When there is no room, new keys share budgets: one for so many keys that are held."""
OVERSHOOT: Final = 0.2
"""Part of a minute's limit that all nodes together may accept beyond it."""
BLIND: Final = 2
"""What any node may accept without asking, however many nodes there are."""
ASKING: Final = 0.25
"""Seconds until the other nodes have been asked about a key, and one more."""
_EXACT: Final = 1e-9
"""A sum of floats that should be zero is less."""


class Rate(Struct, frozen=True):
    """`per_minute` in the long run and `burst` at once; 0 per minute is unlimited."""

    per_minute: float
    burst: int

    @property
    def interval(self) -> float:
        """Seconds from one to the next in the long run; 0 when there is no limit."""
        return 60.0 / self.per_minute if self.per_minute else 0.0

    @property
    def tolerance(self) -> float:
        """Seconds that a key may be ahead and still pass."""
        return self.interval * (self.burst - 1)

    @property
    def ceiling(self) -> float:
        """Seconds that a key may be ahead at most, debts to all nodes included."""
        return self.tolerance + max(60.0, 10 * self.interval)

    def part(self, nodes: int) -> Rate:
        """What one of `nodes` may accept when none can ask the others: one at once at least."""
        return Rate(self.per_minute, max(1, self.burst // nodes))

    def blind(self, nodes: int) -> float:
        """How much one of `nodes` may accept of a key until it has asked the others.

        In the worst case another node gives the whole burst, and each of the rest this much twice:
        just before it asks and just after. All that stays within `OVERSHOOT`.
        """
        others = nodes - 1
        beyond = OVERSHOOT * (self.per_minute + self.burst)
        if others * self.burst <= beyond:
            return math.inf  # the burst is the bound
        return max(BLIND, beyond // (2 * others))


class Entry(Struct, gc=False):
    """What is known of a key."""

    due: float = 0.0
    pending: int = 0
    """Accepted since the other nodes were told."""
    sole_until: float = 0.0
    """Until then it is known that no other node has to do with this key."""


class RateLimiter:
    """One rate for each of many keys.

    At most `max_keys` keys are held, and a sixteenth more: while there are as many that are not
    at rest, new ones share budgets. That is stricter than their own, and never off.
    """

    __slots__ = (
        "_blind",
        "_cost",
        "_entries",
        "_max_keys",
        "_shared",
        "_sweeping",
        "_tolerance",
        "_used",
        "_wake",
        "rate",
    )

    def __init__(self, per_minute: float, burst: int, *, max_keys: int = MAX_KEYS) -> None:
        """0 per minute is unlimited."""
        self.rate = Rate(per_minute, burst)
        self._cost = self.rate.interval
        self._tolerance = self.rate.tolerance
        self._blind = math.inf
        self._max_keys = max_keys
        self._entries: dict[str, Entry] = {}
        self._sweeping: Iterator[str] = iter(())
        self._shared = False
        self._used: dict[str, None] = {}
        self._wake: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def take(self, key: str) -> float:
        """Count one of `key`: 0 if it may pass, else seconds until one would."""
        if not self._cost:
            return 0.0
        now = trio.current_time()
        entry = self._entries.get(key)
        if entry is None:
            key, entry = self._enter(key, now)
        due = entry.due if entry.due > now else now
        early = due - now - self._tolerance
        if early > _EXACT:
            if entry.pending:
                self._hurry()  # this is whom the others should know
            return early
        if entry.pending >= self._blind and entry.sole_until <= now:
            self._hurry()
            return ASKING
        entry.due = due + self._cost
        if self._shared:
            entry.pending += 1
            self._used[key] = None
        return 0.0

    def _enter(self, key: str, now: float) -> tuple[str, Entry]:
        """A new key, or the one that it shares a budget with."""
        self._sweep(now)
        if len(self._entries) >= self._max_keys:
            buckets = max(1, self._max_keys // OVERFLOW)
            key = f"overflow {hash(key) % buckets}"  # the hash is this process's secret
            found = self._entries.get(key)
            if found is not None:
                return key, found
        entry = self._entries[key] = Entry()
        return key, entry

    def _sweep(self, now: float) -> None:
        entries = self._entries
        keys = list(islice(self._sweeping, SWEEP))
        if len(keys) < SWEEP:
            self._sweeping = iter(list(entries))
        for key in keys:
            entry = entries.get(key)
            if entry is not None and not entry.pending and max(entry.due, entry.sole_until) <= now:
                del entries[key]

    # --- in step with other nodes -------------------------------------------------------------

    def share(self, wake: Callable[[], None]) -> None:
        """Note what is used while there are other nodes.

        `wake` is called when they are to be asked soon.
        """
        self._wake = wake

    def divide(self, nodes: int, *, apart: bool) -> None:
        """There are so many nodes. When they are `apart`, none can ask: each takes its part."""
        self._shared = self._wake is not None and nodes > 1
        rate = self.rate.part(nodes) if apart else self.rate
        self._cost = rate.interval * nodes if apart else rate.interval
        self._tolerance = self._cost * (rate.burst - 1)
        self._blind = math.inf if apart else rate.blind(nodes)

    def watch(self, key: str) -> None:
        """Ask the others about a key that is likely to be used soon."""
        if self._shared and self._cost:
            self._used[key] = None
            self._hurry()

    @property
    def used(self) -> int:
        """Keys that are to be collected."""
        return len(self._used)

    def collect(self, limit: int) -> list[tuple[str, int, float]]:
        """At most `limit` keys used since they were last collected.

        Each with how many were accepted since then, and how many seconds it is ahead.
        """
        now = trio.current_time()
        found: list[tuple[str, int, float]] = []
        for key in list(islice(self._used, limit)):
            del self._used[key]
            entry = self._entries.get(key)
            if entry is None:  # only watched
                found.append((key, 0, 0.0))
            else:
                found.append((key, entry.pending, max(0.0, entry.due - now)))
                entry.pending = 0
        return found

    def settle(self, key: str, ahead: float, sole_until: float) -> None:
        """All nodes together are `ahead` by so many seconds, what was collected here included."""
        now = trio.current_time()
        entry = self._entries.get(key)
        if entry is None:
            if len(self._entries) >= self._max_keys:
                return  # it shares a budget that others know of
            entry = self._entries[key] = Entry()
        # What was accepted while the answer was on its way comes on top.
        entry.due = max(entry.due, now + ahead + entry.pending * self.rate.interval)
        entry.sole_until = sole_until

    def restore(self, key: str, count: int) -> None:
        """What was collected could not be told, or that is not certain: it is told again.

        Only what is still outstanding: the rest was paid by waiting.
        """
        entry = self._entries.get(key)
        if entry is None:
            return
        outstanding = max(0.0, entry.due - trio.current_time()) / self.rate.interval
        entry.pending = min(entry.pending + count, math.ceil(outstanding))
        if entry.pending:
            self._used[key] = None

    def _hurry(self) -> None:
        if self._wake is not None:
            self._wake()
