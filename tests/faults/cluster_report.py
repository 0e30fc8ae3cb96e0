"""What came of a run of a cluster."""

from __future__ import annotations

from math import inf
from statistics import median
from typing import TYPE_CHECKING

from msgspec import Struct

from tests.faults.report import Findings

if TYPE_CHECKING:
    from collections.abc import Callable


class Recovery(Struct, frozen=True):
    """A fault that happened, and how soon it was over for everybody."""

    name: str
    start: float
    end: float
    delivered: float
    """Seconds from its end until every client had what was acknowledged by then."""
    acknowledged: float
    """Seconds from its end until each database had acknowledged something sent after it."""


class ClusterReport(Findings, frozen=True, kw_only=True):
    """The findings of a run of a cluster, and its figures."""

    recoveries: list[Recovery]
    seconds: float
    healing: float
    slowest: list[tuple[str, float]]
    """The slowest deliveries where nothing held them up, by the last fault before each."""

    def __str__(self) -> str:
        lines = [
            f"cluster fault run: {self.scenario}, {self.seconds:.1f} s",
            *self.figures(),
            f"  everybody had everything {self.healing:.2f} s after the end",
            "  seconds from the end of a fault until everybody had what was acknowledged by then,"
            " until each database",
            "  acknowledged something new, and the slowest delivery from its beginning on:",
        ]
        slowest: dict[str, float] = {}
        for name, seconds in self.slowest:
            slowest[name] = max(slowest.get(name, 0.0), seconds)
        for name in sorted({each.name for each in self.recoveries}):
            faults = [each for each in self.recoveries if each.name == name]
            lines.append(
                f"    {name:<40} {len(faults):>3} times,"
                f" delivered {_figures(faults, lambda each: each.delivered)},"
                f" acknowledged {_figures(faults, lambda each: each.acknowledged)},"
                f" slowest {slowest.get(name, 0.0):.2f}"
            )
        return "\n".join(lines + self.verdict())


def _figures(faults: list[Recovery], of: Callable[[Recovery], float]) -> str:
    values = [of(fault) for fault in faults]
    highest = max(values)
    if highest == inf:
        return "never"
    return f"{median(values):.2f} (max {highest:.2f})"
