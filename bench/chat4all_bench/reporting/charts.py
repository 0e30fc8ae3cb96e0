"""What is drawn of a run: whatever it holds the figures for."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from .chart import Axis, Bars, Chart, Line
from .figures import figure, known, median
from .tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..histogram import Histogram
    from ..result import Curve, Run, Series
    from .chart import AxisKind

_LATENCY: Final = re.compile(r"(^|_)(p\d+(\.\d+)?|max|mean)(_ms)?$|_ms$")
"""The columns of a series that are latencies, in milliseconds."""
_COST: Final = re.compile(r"(.+)_cpu_us(?:_(.+))?")
_MESSAGES: Final[tuple[str, ...]] = ("written", "acknowledged", "delivered", "messages")
"""The columns of a series that are drawn beside each other, as they should be equal."""
_STEPS: Final = 20
"""Points of a percentile curve for each further nine."""
_ROWS: Final = 60
"""Of a table beside a chart; the CSV files hold all of them."""
_DRAWN: Final = 400
"""Points of a line."""
_WIDE: Final = 20
"""A chart whose greatest value is so many times its typical one is drawn by factors."""


def charts(run: Run) -> list[Chart | Bars]:
    """In the order in which a reader asks."""
    found: list[Chart | Bars | None] = [percentiles(run.histograms, "Latency by percentile")]
    found += [_curve(name, curve) for name, curve in run.curves.items()]
    for name, series in run.series.items():
        found += _over_time(name, series)
    found.append(_cost(run))
    return [chart for chart in found if chart is not None]


def percentiles(histograms: dict[str, Histogram], title: str) -> Chart | None:
    """A line for each histogram that says more than one value does."""
    seen = {name: each for name, each in histograms.items() if each.count > 1}
    if not seen:
        return None
    lines = [Line(name, list(percentile_points(each))) for name, each in seen.items()]
    typical = [each.quantile_ms(0.5) for each in seen.values()]
    greatest = max(each.greatest for each in seen.values()) / 1000
    marks = [0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0]
    rows = [
        (f"{q * 100:.10g} %", *(figure(each.quantile_ms(q)) for each in seen.values()))
        for q in marks
    ]
    return Chart(
        "latency",
        title,
        f"How long {_and(list(seen))} took: each further nine is as far along as the one before.",
        Axis("of all were as fast or faster", "nines"),
        Axis("ms", _kind(greatest, typical)),
        lines,
        Table(f"{title}, ms", ("", *seen), rows),
    )


def percentile_points(histogram: Histogram) -> Iterator[tuple[float, float]]:
    """(quantile, milliseconds), as far as one value in `count` can tell."""
    last = math.log10(histogram.count)
    for step in range(math.floor(last * _STEPS) + 1):
        quantile = 1 - 10 ** -(step / _STEPS)
        yield quantile, histogram.quantile_ms(quantile)
    yield 1 - 10**-last, histogram.quantile_ms(1.0)


def _curve(name: str, curve: Curve) -> Chart | None:
    points = sorted(curve.points)
    if not points:
        return None
    x, y = curve.x, curve.y
    if name == "memory" and y in ("bytes", "B"):
        return _memory(curve, points)
    load = name == "load"
    values = known([value for _, value in points])
    kind = _kind(max(values, default=0), [sorted(values)[len(values) // 2]] if values else [])
    return Chart(
        slug(f"curve-{name}"),
        "Latency against load" if load else name.replace("_", " ").capitalize(),
        f"Latency ({y}) at each rate that was tried." if load else f"{y} over {x}.",
        Axis(x),
        Axis(y, kind),
        [Line(name, points), *_fitted(curve, points, 1)],
        Table(name, (x, y), _rows(points)),
    )


def _memory(curve: Curve, points: list[tuple[float, float]]) -> Chart:
    told = "Memory of the server's processes at each plateau of sessions."
    if curve.slope is not None:
        told += f" The line that fits rises by {figure(curve.slope / 1024)} KiB a session"
        told += "." if curve.r_squared is None else f" (R² {curve.r_squared:.4f})."
    in_mib = [(x, y / 2**20) for x, y in points]
    return Chart(
        "curve-memory",
        "Memory against sessions",
        told,
        Axis(curve.x),
        Axis("MiB"),
        [Line("measured", in_mib, "points"), *_fitted(curve, points, 2**20)],
        Table("Memory against sessions", (curve.x, "MiB"), _rows(in_mib)),
    )


def _fitted(curve: Curve, points: list[tuple[float, float]], unit: float) -> list[Line]:
    if curve.slope is None or curve.intercept is None:
        return []
    ends = [(x, (curve.intercept + curve.slope * x) / unit) for x, _ in (points[0], points[-1])]
    name = "fitted" if curve.r_squared is None else f"fitted, R² {curve.r_squared:.4f}"
    return [Line(name, ends, "fit")]


def _over_time(name: str, series: Series) -> list[Chart | None]:
    """The latencies together, and the messages, each of the others on its own.

    What never changed is not drawn. A latency of 0 is that of no message at all, so a gap.
    """
    columns = {
        column: [(row[0], row[number]) for row in series.rows if len(row) > number]
        for number, column in enumerate(series.columns)
        if number and column
    }
    slow = {
        column: [(at, value or math.nan) for at, value in points]
        for column, points in columns.items()
        if _LATENCY.search(column)
    }
    messages = {column: columns.pop(column) for column in _MESSAGES if column in columns}
    found: list[Chart | None] = []
    if any(_varies(points) for points in slow.values()):
        values = sorted(known([value for points in slow.values() for _, value in points]))
        kind = _kind(values[-1], [values[len(values) // 2]])
        what = "Latency over time"
        found.append(_timeline(f"{name}-latency", what, series, slow, Axis("ms", kind)))
    if any(_varies(points) for points in messages.values()):
        what, unit = "Messages over time", Axis("messages each second")
        found.append(_timeline(f"{name}-messages", what, series, messages, unit))
    for column, points in columns.items():
        if column not in slow and _varies(points):
            what = f"{column.replace('_', ' ').capitalize()} over time"
            one = {column: points}
            found.append(_timeline(f"{name}-{column}", what, series, one, Axis(column)))
    return found


def _timeline(
    name: str, title: str, series: Series, lines: dict[str, list[tuple[float, float]]], y: Axis
) -> Chart:
    rows = [
        [row[0], *(row[series.columns.index(column)] for column in lines)]
        for row in series.rows
        if len(row) == len(series.columns)
    ]
    unit = f", {y.label}" if len(lines) > 1 else ""
    return Chart(
        slug(f"series-{name}"),
        title,
        f"{_and(list(lines))}{unit}, over the seconds of the run.",
        Axis("seconds"),
        y,
        [Line(column, _thinned(points)) for column, points in lines.items()],
        Table(f"{title}{unit}", ("seconds", *lines), _rows(rows)),
    )


def _cost(run: Run) -> Bars | None:
    found = {
        " ".join(filter(None, of.groups())): value
        for name, metric in run.metrics.items()
        if (of := _COST.fullmatch(name)) and (value := median(metric)) is not None
    }
    if not found:
        return None
    rows = [(name, figure(value)) for name, value in found.items()]
    return Bars(
        "cost",
        "Processor time for a message",
        "Microseconds of processor time for each message, by kind of process.",
        "µs",
        list(found.items()),
        Table("Processor time for a message", ("", "µs"), rows),
    )


def _kind(greatest: float, typical: list[float]) -> AxisKind:
    """By factors where the great values would press the others to the ground."""
    low = min((value for value in typical if value > 0), default=greatest)
    return "logarithmic" if greatest > _WIDE * low > 0 else "linear"


def _varies(points: list[tuple[float, float]]) -> bool:
    return len(set(known([value for _, value in points]))) > 1


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """So many as can be told apart; the worst of those that fall together."""
    every = math.ceil(len(points) / _DRAWN)
    if every < 2:
        return points
    groups = (points[first : first + every] for first in range(0, len(points), every))
    return [
        (group[0][0], max(known([value for _, value in group]), default=math.nan))
        for group in groups
    ]


def _rows(rows: Sequence[Sequence[float]]) -> list[tuple[str, ...]]:
    every = max(1, math.ceil(len(rows) / _ROWS))
    return [tuple(map(figure, row)) for row in rows[::every]]


def slug(text: str) -> str:
    """Text as a part of a file's name or of an id: letters, digits and hyphens."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")


def _and(names: list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
