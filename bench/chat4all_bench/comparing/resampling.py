"""Intervals of a ratio by resampling (bootstrap): of rounds, and of the counts of a histogram."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from ..histogram import Histogram

REPLICATES: Final = 2000
CONFIDENCE: Final = 0.95

Interval = tuple[float, float]


def ratio(a: float, b: float) -> float:
    """B over A, for what is not below zero: 1 when both are zero, infinite when only A is."""
    if a == b:
        return 1.0
    return b / a if a > 0 else math.inf


def of_rounds(a: Sequence[float], b: Sequence[float], chance: random.Random) -> Interval:
    """Of the ratio of medians, if the rounds were drawn anew from those there are."""

    def drawn(values: Sequence[float]) -> float:
        return statistics.median(chance.choices(values, k=len(values)))

    return _interval(lambda: ratio(drawn(a), drawn(b)))


def of_counts(a: Histogram, b: Histogram, q: float, chance: random.Random) -> Interval:
    """Of the ratio of a quantile, if the messages were drawn anew from those there are.

    The k-th of n values that are drawn from a distribution stands at a place in it that follows
    Beta(k, n - k + 1). So one draw tells what resampling all n values would, exactly.
    """
    draw_a, draw_b = _drawing(a, q, chance), _drawing(b, q, chance)
    return _interval(lambda: ratio(draw_a(), draw_b()))


def _drawing(histogram: Histogram, q: float, chance: random.Random) -> Callable[[], float]:
    rows = histogram.rows()
    cumulative = list(accumulate(count for _, count in rows))
    n = cumulative[-1]
    k = max(1, math.ceil(q * n))

    def draw() -> float:
        place = bisect_left(cumulative, chance.betavariate(k, n - k + 1) * n)
        return rows[min(place, len(rows) - 1)][0] / 1000

    return draw


def _interval(draw: Callable[[], float]) -> Interval:
    found = sorted(draw() for _ in range(REPLICATES))
    beyond = int(REPLICATES * (1 - CONFIDENCE) / 2)
    return found[beyond], found[-1 - beyond]
