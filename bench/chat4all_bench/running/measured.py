"""What the processes of a generator tell, put together: second by second and in all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct, field
from msgspec.structs import replace

from ..histogram import Histogram, merged
from ..measuring.proc import GENERATOR
from ..result import Series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..generator.plan import Progress
    from ..measuring.meter import Spent

COLUMNS: Final = ("seconds", "sessions", "written", "acknowledged", "delivered", "p50", "p99")
LOAD_COLUMNS: Final = [*COLUMNS, "errors"]


class Second(Struct):
    """One second of all processes."""

    sessions: dict[int, int] = field(default_factory=dict)
    """By process."""
    written: int = 0
    acknowledged: int = 0
    delivered: int = 0
    errors: int = 0
    latency: Histogram = field(default_factory=Histogram)


class Measured(Struct):
    """A part of a round: what was done, and what it cost."""

    seconds: float = 0.0
    """That were measured."""
    written: int = 0
    acknowledged: int = 0
    """While it was measured, whenever they were due."""
    delivered: int = 0
    """Likewise."""
    histograms: dict[str, Histogram] = field(default_factory=dict)
    last: dict[tuple[int, int, int], tuple[float, int]] = field(default_factory=dict)
    """By (room, speaker, number): seconds until the last member had it, and how many had it."""
    spent: list[Spent] = field(default_factory=list)
    generator_busy: float = 0.0
    """Cores, of the busiest process."""

    def add(self, other: Measured) -> None:
        """Add another part; what a process used is summed up, its memory is the later."""
        self.seconds += other.seconds
        self.written += other.written
        self.acknowledged += other.acknowledged
        self.delivered += other.delivered
        for name, histogram in other.histograms.items():
            self.histograms.setdefault(name, Histogram()).merge(histogram)
        before = {each.pid: each.cpu_seconds for each in self.spent}
        now = {each.pid for each in other.spent}
        self.spent = [each for each in self.spent if each.pid not in now] + [
            replace(each, cpu_seconds=each.cpu_seconds + before.get(each.pid, 0.0))
            for each in other.spent
        ]

    def charge(self, spent: Sequence[Spent]) -> None:
        """Note what processes used while it was measured."""
        for each in spent:
            if each.kind == GENERATOR:
                self.generator_busy = max(self.generator_busy, each.cpu_seconds / self.seconds)
            else:
                self.spent.append(each)

    def histogram(self, name: str) -> Histogram:
        """One that may be empty."""
        return self.histograms.get(name) or Histogram()

    def reached(self, members: int) -> Histogram:
        """How long each message took until all of so many members had it."""
        found = Histogram()
        for took, had in self.last.values():
            if had == members:
                found.add(took)
        return found


class Gathering:
    """Hears what is told; `begin` starts a part of a round anew."""

    def __init__(self, began: float) -> None:
        self._began = began
        self.primary = "delivery"
        """The histogram that is shown second by second."""
        self.errors: dict[str, int] = {}
        self.written = self.acknowledged = self.delivered = 0
        self._seconds: dict[int, Second] = {}
        self._now = Measured()
        self._sessions: dict[int, int] = {}
        self.latest = Second()
        """The last second of which something was heard."""

    @property
    def sessions(self) -> int:
        """Clients that are ready, as last heard."""
        return sum(self._sessions.values())

    def begin(self) -> Measured:
        """Begin a part: what is told from now on belongs to it."""
        self._now = Measured()
        return self._now

    def hear(self, told: Progress) -> None:
        """Add what one process did."""
        self.written += told.written
        self.acknowledged += told.acknowledged
        self.delivered += told.delivered
        for what, count in told.errors.items():
            self.errors[what] = self.errors.get(what, 0) + count
        self._sessions[told.number] = told.connected
        now = self._now
        now.written += told.written
        now.acknowledged += told.in_window[0]
        now.delivered += told.in_window[1]
        for name, histogram in told.histograms.items():
            now.histograms.setdefault(name, Histogram()).merge(histogram)
        for each in told.last:
            key = (each.room, each.speaker, each.number)
            took, had = now.last.get(key, (0.0, 0))
            now.last[key] = (max(took, each.took), had + each.members)
        # What is told at a time was done in the second before.
        second = self._seconds.setdefault(int(told.at - self._began), Second())
        second.sessions[told.number] = told.connected
        second.written += told.written
        second.acknowledged += told.acknowledged
        second.delivered += told.delivered
        second.errors += sum(told.errors.values())
        second.latency.merge(told.histograms.get(self.primary, Histogram()))
        self.latest = second

    def latency_between(self, first: float, last: float) -> Histogram:
        """The primary histogram over these times of the monotonic clock, in whole seconds."""
        seconds = range(int(first - self._began), int(last - self._began) + 1)
        known = (self._seconds.get(second) for second in seconds)
        return merged(second.latency for second in known if second is not None)

    def series(self, offset: float = 0.0) -> Series:
        """A row for each second; it begins at `offset`."""
        rows: list[list[float]] = []
        known: dict[int, int] = {}
        for at, second in sorted(self._seconds.items()):
            known |= second.sessions
            rows.append(
                [
                    round(offset + at, 3),
                    sum(known.values()),
                    second.written,
                    second.acknowledged,
                    second.delivered,
                    second.latency.quantile_ms(0.5),
                    second.latency.quantile_ms(0.99),
                    second.errors,
                ]
            )
        return Series(list(LOAD_COLUMNS), rows)
