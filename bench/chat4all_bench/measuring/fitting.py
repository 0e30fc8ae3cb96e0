"""A straight line through points, by least squares."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence


class Line(Struct, frozen=True):
    """y = intercept + slope · x."""

    slope: float
    intercept: float
    r_squared: float
    """How much of what y does the line explains: 1.0 is all."""


def fit(points: Sequence[tuple[float, float]]) -> Line | None:
    """Fit the line; None when fewer than two different x are known."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    if len(set(xs)) < 2:
        return None
    slope, intercept = statistics.linear_regression(xs, ys)
    mean = statistics.fmean(ys)
    spread = sum((y - mean) ** 2 for y in ys)
    left = sum((y - intercept - slope * x) ** 2 for x, y in points)
    return Line(slope, intercept, 1 - left / spread if spread else 1.0)
