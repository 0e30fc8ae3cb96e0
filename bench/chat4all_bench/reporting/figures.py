"""Figures as people read them: three or four digits, thousands apart, the unit beside."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..result import Metric

UNKNOWN: Final = "-"
_UNITS: Final = {"us": "µs"}


def figure(value: float | None) -> str:
    """A number with at least three digits that mean something; a dash for one that is unknown."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 1:
        return f"{value:.2f}"
    return f"{value:.3g}" if size >= 0.0001 else f"{value:.1e}"


def unit_text(unit: str) -> str:
    """A unit as it is printed."""
    return _UNITS.get(unit, unit)


def with_unit(value: float | None, unit: str) -> str:
    """A figure and its unit, `12.5 ms` or `2,000/s`."""
    text = unit_text(unit)
    if not text or value is None:
        return figure(value)
    return f"{figure(value)}{'' if text.startswith(('/', '%')) else ' '}{text}"


def known(values: Sequence[float]) -> list[float]:
    """Those that were measured."""
    return [value for value in values if math.isfinite(value)]


def median(metric: Metric) -> float | None:
    """Of the rounds in which it was measured; None when there is none."""
    values = known(metric.values)
    return statistics.median(values) if values else None


def spread(metric: Metric) -> str:
    """The least and the greatest of several rounds; empty for one."""
    values = known(metric.values)
    return f"{figure(min(values))} to {figure(max(values))}" if len(values) > 1 else ""


def duration(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{figure(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
