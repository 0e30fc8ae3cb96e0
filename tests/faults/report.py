"""What came of a run."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from math import inf
from statistics import median
from typing import TYPE_CHECKING

from msgspec import Struct

from tests.faults.history import Announced
from tests.faults.injector import KILLS

if TYPE_CHECKING:
    from tests.faults.history import History, Tables
    from tests.faults.injector import Injected


class Findings(Struct, frozen=True, kw_only=True):
    """What was found in the history of any run."""

    scenario: str
    history: History
    tables: Tables
    violations: list[str]

    @property
    def outcomes(self) -> Counter[str]:
        """Operations by outcome."""
        return Counter(operation.outcome for operation in self.history.operations)

    @property
    def answers(self) -> Counter[str]:
        """Attempts by their answer."""
        return Counter(
            attempt.error or ("none" if attempt.seq is None else "dup" if attempt.dup else "sent")
            for operation in self.history.operations
            for attempt in operation.attempts
        )

    @property
    def gaps(self) -> int:
        """Gaps that were announced."""
        return sum(isinstance(f, Announced) for s in self.history.sessions for f in s.frames)

    def figures(self) -> list[str]:
        """Lines that say how much happened."""
        stored = sum(len(log) for log in self.tables.logs.values())
        received = sum(len(session.frames) for session in self.history.sessions)
        return [
            f"  messages stored     {stored} in {len(self.tables.heads)} conversations",
            f"  operations          {_counted(self.outcomes)}",
            f"  answers             {_counted(self.answers)}",
            f"  sessions            {len(self.history.sessions)}, {received} events received,"
            f" {self.gaps} gaps announced, {len(self.history.pages)} pages read",
        ]

    def verdict(self) -> list[str]:
        """Lines that say what was wrong."""
        lines = [f"  violations          {len(self.violations)}"]
        return lines + [f"    {line}" for line in self.violations[:20]]


class Report(Findings, frozen=True, kw_only=True):
    """The findings of a run of one server, and its figures."""

    injected: list[Injected]
    seconds: float
    """From the first message to the end of the last fault, with what was written after it."""
    healing: float
    """From then until every member had everything."""

    @property
    def kills(self) -> int:
        """Processes that were killed."""
        return sum(KILLS[fault.name] for fault in self.injected)

    def recoveries(self) -> dict[str, list[float]]:
        """By fault: the seconds until something sent after it was acknowledged."""
        acknowledged = sorted(
            (attempt.sent, attempt.answered or inf)
            for operation in self.history.operations
            for attempt in operation.attempts
            if attempt.seq is not None
        )
        earliest = [inf] * (len(acknowledged) + 1)
        for index in range(len(acknowledged) - 1, -1, -1):
            earliest[index] = min(earliest[index + 1], acknowledged[index][1])
        found: dict[str, list[float]] = {}
        for fault in self.injected:
            first = earliest[bisect_right(acknowledged, (fault.at, inf))]
            found.setdefault(fault.name, []).append(first - fault.at)
        return found

    def __str__(self) -> str:
        waiting = [fault.in_flight for fault in self.injected if KILLS[fault.name]]
        lines = [
            f"fault run: {self.scenario}, {self.seconds:.1f} s",
            f"  processes killed    {self.kills}, with {min(waiting, default=0)} to"
            f" {max(waiting, default=0)} messages in flight (median {median(waiting or [0]):.0f})",
            *self.figures(),
            f"  everybody had everything {self.healing:.2f} s after the end",
            "  until something sent after the fault was acknowledged (s):",
        ]
        for name, times in sorted(self.recoveries().items()):
            lines.append(
                f"    {name:<18} {len(times):>3} times, median {median(times):.2f},"
                f" max {max(times):.2f}"
            )
        return "\n".join(lines + self.verdict())


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counter.most_common()) or "none"
