"""A verdict for each figure that both sides have."""

from __future__ import annotations

import math
import random
import statistics
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from ..reporting.tables import quantile_metrics
from ..result import QUANTILES
from .resampling import of_counts, of_rounds, ratio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..histogram import Histogram
    from ..result import Better, Metric
    from .sides import Side

Verdict = Literal["better", "worse", "differs", "same", "unsure"]
_WIDE: Final = 5
"""An interval that reaches so many times the noise from 1 says too little to call it the same."""
_CHANCE: Final = 0.05
_OWN: Final = ("generator_busy", "late_p99")
"""Of the load generator, not of what was measured."""


class Comparison(Struct):
    """One figure on both sides."""

    metric: str
    unit: str
    better: Better
    a: float
    """The median of the rounds, or the quantile over all of them."""
    b: float
    ratio: float | None
    """B over A; None when A is zero or below, and B is not the same."""
    low: float | None
    """Of the interval of the ratio, with 95 % confidence; None where there is none."""
    high: float | None
    rounds: tuple[int, int]
    basis: Literal["rounds", "counts"]
    """What the interval was resampled from."""
    verdict: Verdict
    why: str = ""
    """Of `unsure`: what is missing."""

    @property
    def regress(self) -> float:
        """By how many per cent B is worse than A; below zero when it is better."""
        if self.better == "neither" or self.a == self.b:
            return 0.0
        if self.a <= 0:
            return math.inf if (self.b > self.a) == (self.better == "lower") else -math.inf
        change = 100 * (self.b / self.a - 1)
        return change if self.better == "lower" else -change


def compare_sides(a: Side, b: Side, *, noise: float, seed: int) -> list[Comparison]:
    """Everything both have, in A's order; quantiles of histograms where no metric tells them.

    `noise` is in per cent. The same `seed` gives the same intervals.
    """
    found = {
        name: _of_rounds(name, metric, b.metrics[name], noise, seed)
        for name, metric in a.metrics.items()
        if name in b.metrics and name not in _OWN and metric.values and b.metrics[name].values
    }
    for name, q, one, other in _quantiles(a, b):
        # With a round each the counts say more than the two figures alone.
        if name not in found or found[name].rounds == (1, 1):
            found[name] = _of_counts(name, q, one, other, a, b, noise, seed)
    return list(found.values())


def enough(n: int, m: int) -> bool:
    """Whether so many rounds could differ entirely by chance in less than 1 of 20 cases."""
    return 2 / math.comb(n + m, n) < _CHANCE


def _of_rounds(name: str, a: Metric, b: Metric, noise: float, seed: int) -> Comparison:
    left, right = statistics.median(a.values), statistics.median(b.values)
    rounds = len(a.values), len(b.values)
    found = _comparison(name, a.unit, a.better, left, right, rounds, "rounds")
    if min(rounds) > 1 and min(*a.values, *b.values) >= 0 and found.ratio is not None:
        chance = random.Random(f"{seed} {name}")
        found.low, found.high = of_rounds(a.values, b.values, chance)
    if not enough(*rounds):
        few = "one round each" if rounds == (1, 1) else f"{rounds[0]} and {rounds[1]} rounds"
        found.why = f"{few}: four on each side can tell (--repeat 4)"
        return found
    if found.low is None or found.high is None:
        separate = max(a.values) < min(b.values) or max(b.values) < min(a.values)
        found.verdict, found.why = _unmeasured(found, separate)
        return found
    found.verdict = _judged(found, found.low, found.high, noise)
    if found.verdict == "unsure":
        found.why = "the rounds of a side differ too much among themselves"
    return found


def _of_counts(
    name: str,
    q: float,
    one: Histogram,
    other: Histogram,
    a: Side,
    b: Side,
    noise: float,
    seed: int,
) -> Comparison:
    left, right = one.quantile_ms(q), other.quantile_ms(q)
    rounds = sum(run.rounds for run in a.runs), sum(run.rounds for run in b.runs)
    found = _comparison(name, "ms", "lower", left, right, rounds, "counts")
    found.low, found.high = of_counts(one, other, q, random.Random(f"{seed} {name}"))
    verdict = _judged(found, found.low, found.high, noise)
    if verdict == "same":
        found.verdict = verdict
    elif verdict == "unsure":
        found.why = "too few messages for such a quantile"
    else:
        found.why = "more than chance among messages; that among rounds is not known"
    return found


def _comparison(
    name: str,
    unit: str,
    better: Better,
    a: float,
    b: float,
    rounds: tuple[int, int],
    basis: Literal["rounds", "counts"],
) -> Comparison:
    found = ratio(a, b) if min(a, b) >= 0 else math.inf
    known = found if math.isfinite(found) else None
    return Comparison(name, unit, better, a, b, known, None, None, rounds, basis, "unsure")


def _judged(found: Comparison, low: float, high: float, noise: float) -> Verdict:
    share = noise / 100
    if low <= 1 <= high:
        near = low >= 1 - _WIDE * share and high <= 1 + _WIDE * share
        return "same" if near else "unsure"
    if abs(ratio(found.a, found.b) - 1) < share:
        return "same"
    return _direction(found)


def _unmeasured(found: Comparison, separate: bool) -> tuple[Verdict, str]:
    """Where there is no ratio, as A is zero: the rounds themselves tell."""
    if found.a == found.b:
        return "same", ""
    return (_direction(found), "") if separate else ("unsure", "the rounds overlap")


def _direction(found: Comparison) -> Verdict:
    if found.better == "neither":
        return "differs"
    return "better" if (found.b < found.a) == (found.better == "lower") else "worse"


def _quantiles(a: Side, b: Side) -> Iterator[tuple[str, float, Histogram, Histogram]]:
    """Each quantile of each latency of both; the greatest value cannot be resampled."""
    for histogram, one in a.histograms.items():
        other = b.histograms.get(histogram)
        if other is None or not one.count or not other.count:
            continue
        for q, names in zip(QUANTILES.values(), quantile_metrics(histogram), strict=True):
            if q < 1:
                name = next((each for each in names if each in a.metrics), names[0])
                yield name, q, one, other
