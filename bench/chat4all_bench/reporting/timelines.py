"""What a series shows: latencies, messages and whatever else changed, over the seconds of a run."""

from __future__ import annotations

import math
import re
import statistics
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from .chart import Axis, Chart, Line
from .figures import known
from .shaping import axis_kind, listed, rows_of, slug, thinned
from .tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..result import Series

_LATENCY: Final = re.compile(r"(^|_)(p\d+(\.\d+)?|max|mean)(_ms)?$|_ms$")
"""The columns of a series that are latencies, in milliseconds."""
_MESSAGES: Final[tuple[str, ...]] = ("written", "acknowledged", "delivered", "messages")
"""The columns of a series that are drawn beside each other, as they should be equal."""
_MEMORY: Final = re.compile("_mib$")
"""The columns of a series that are memory."""
_MAIN: Final = "load"
"""The series that every run has."""
_GAP: Final = 3
"""So many intervals without a row are no part of a line: between two rounds nothing is measured."""


def over_time(name: str, series: Series) -> Iterator[Chart]:
    """The latencies together, the messages, and the memory, each of the others on its own.

    What never changed is not drawn. A latency of 0 is that of no message at all, so a gap.
    """
    columns = {
        column: [(row[0], row[number]) for row in series.rows if len(row) > number]
        for number, column in enumerate(series.columns)
        if number and column
    }
    slow = {
        column: [(at, value or math.nan) for at, value in columns.pop(column)]
        for column in list(columns)
        if _LATENCY.search(column)
    }
    messages = {column: columns.pop(column) for column in _MESSAGES if column in columns}
    memory = {column: columns.pop(column) for column in list(columns) if _MEMORY.search(column)}
    values = sorted(known([value for points in slow.values() for _, value in points]))
    kind = axis_kind(values[-1], [values[len(values) // 2]]) if values else "linear"
    groups = [
        ("latency", slow, Axis("ms", kind)),
        ("messages", messages, Axis("messages each second")),
        ("memory", memory, Axis("MiB")),
    ]
    groups += [(column, {column: points}, Axis(column)) for column, points in columns.items()]
    for group, lines, axis in groups:
        if any(_varies(points) for points in lines.values()):
            yield _timeline(name, group, series, lines, axis)


def _timeline(
    name: str, group: str, series: Series, lines: dict[str, list[tuple[float, float]]], y: Axis
) -> Chart:
    rows = [
        [row[0], *(row[series.columns.index(column)] for column in lines)]
        for row in series.rows
        if len(row) == len(series.columns)
    ]
    title = f"{group.replace('_', ' ').capitalize()} over time"
    if name != _MAIN:
        title += f" ({name})"
    unit = f", {y.label}" if y.label not in lines else ""
    return Chart(
        slug(f"series-{name}-{group}"),
        title,
        f"{listed(list(lines))}{unit}, over the seconds of the run.",
        Axis("seconds", "range"),
        y,
        [Line(column, _with_gaps(thinned(points))) for column, points in lines.items()],
        Table(f"{title}{unit}", ("seconds", *lines), rows_of(rows)),
    )


def _varies(points: list[tuple[float, float]]) -> bool:
    return len(set(known([value for _, value in points]))) > 1


def _with_gaps(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """A point without a value where rows are missing."""
    steps = [after - before for (before, _), (after, _) in pairwise(points)]
    if not steps:
        return points
    longest = _GAP * statistics.median(steps)
    found = [points[0]]
    for point, step in zip(points[1:], steps, strict=True):
        if step > longest > 0:
            found.append((point[0], math.nan))
        found.append(point)
    return found
