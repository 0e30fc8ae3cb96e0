"""What was found of all servers of a scenario, and ours beside each: ratios round by round."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from msgspec import Struct, field

from ..result import Integrity, Machine, Metric  # noqa: TC001 - as in `result`

if TYPE_CHECKING:
    from collections.abc import Sequence


class Ratio(Struct, frozen=True):
    """Ours to theirs, over the rounds."""

    median: float
    least: float
    greatest: float
    rounds: list[float]
    """Each round's: what the machine did meanwhile was done to both."""


class Contestant(Struct):
    """One server, and what was measured of it."""

    name: str
    title: str
    version: str
    does: str
    durability: str
    metrics: dict[str, Metric]
    ratios: dict[str, Ratio]
    """Of ours to this one; none of our own."""
    integrity: Integrity
    generator_busy: float
    """Cores, of the busiest round."""
    generator_was_the_limit: bool


class Comparison(Struct):
    """One scenario."""

    scenario: str
    what: str
    """The load, in words."""
    command: list[str]
    started_at: str
    rounds: int
    seconds: float
    machine: Machine
    load_before: float
    """Of the machine, over a minute, before it began: processes that wanted a processor."""
    columns: dict[str, str]
    """How the metrics are called for people."""
    contestants: list[Contestant]
    left_out: dict[str, str] = field(default_factory=dict)
    """Servers that could not take part: why."""

    @property
    def whole(self) -> bool:
        """Whether no server lost, doubled or reordered anything, or failed."""
        return all(each.integrity.whole and not each.integrity.errors for each in self.contestants)


def ratios(ours: dict[str, Metric], theirs: dict[str, Metric]) -> dict[str, Ratio]:
    """Those of all metrics that both have, and of which less or more is better."""
    found = {
        name: ratio(metric.values, theirs[name].values)
        for name, metric in ours.items()
        if name in theirs and metric.better != "neither"
    }
    return {name: each for name, each in found.items() if each is not None}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio | None:
    """Round by round; None when one of theirs is 0, or a round is missing."""
    if not ours or len(ours) != len(theirs) or not all(theirs):
        return None
    each = [one / other for one, other in zip(ours, theirs, strict=True)]
    return Ratio(statistics.median(each), min(each), max(each), each)
