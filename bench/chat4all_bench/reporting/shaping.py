"""Figures made fit to be drawn: thinned, and on axes that show them."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from .figures import figure, known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .chart import AxisKind

_ROWS: Final = 60
"""Of a table beside a chart; the CSV files hold all of them."""
_DRAWN: Final = 400
"""Points of a line."""
_WIDE: Final = 20
"""A chart whose greatest value is so many times its typical one is drawn by factors."""


def axis_kind(greatest: float, typical: list[float]) -> AxisKind:
    """By factors where the great values would press the others to the ground."""
    low = min((value for value in typical if value > 0), default=greatest)
    return "logarithmic" if greatest > _WIDE * low > 0 else "linear"


def thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """So many as can be told apart; the worst of those that fall together."""
    every = math.ceil(len(points) / _DRAWN)
    if every < 2:
        return points
    groups = (points[first : first + every] for first in range(0, len(points), every))
    return [
        (group[0][0], max(known([value for _, value in group]), default=math.nan))
        for group in groups
    ]


def rows_of(rows: Sequence[Sequence[float]]) -> list[tuple[str, ...]]:
    """Figures as text, so many rows as can be read."""
    every = max(1, math.ceil(len(rows) / _ROWS))
    return [tuple(map(figure, row)) for row in rows[::every]]


def slug(text: str) -> str:
    """Text as a part of a file's name or of an id: letters, digits and hyphens."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")


def listed(names: list[str]) -> str:
    """`a, b and c`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
