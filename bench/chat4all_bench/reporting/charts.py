"""What is drawn of a run: whatever it holds the figures for."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from .chart import Axis, Bar, Bars, Chart, Line
from .figures import figure, known, median, unit_text
from .shaping import axis_kind, listed, rows_of, slug
from .tables import Table
from .timelines import over_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..histogram import Histogram
    from ..result import Curve, Run
    from .chart import AxisKind

_COST: Final = re.compile(r"(.+)_cpu_us(?:_(.+))?")
_STEPS: Final = 20
"""Points of a percentile curve for each further nine."""


def charts(run: Run) -> list[Chart | Bars]:
    """In the order in which a reader asks."""
    found: list[Chart | Bars | None] = [percentiles(run.histograms, "Latency by percentile")]
    found += [_curve(name, curve) for name, curve in run.curves.items()]
    for name, series in run.series.items():
        found += over_time(name, series)
    found.append(_cost(run))
    return [chart for chart in found if chart is not None]


def percentiles(histograms: dict[str, Histogram], title: str) -> Chart | None:
    """A line for each histogram that says more than one value does."""
    seen = {name: each for name, each in histograms.items() if each.count > 1}
    if not seen:
        return None
    lines = [Line(name, list(percentile_points(each)), "curve") for name, each in seen.items()]
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
        f"How long {listed(list(seen))} took: each further nine is as far along as the one before.",
        Axis("of all were as fast or faster", "nines"),
        Axis("ms", axis_kind(greatest, typical)),
        lines,
        Table(f"{title}, ms", ("", *seen), rows),
    )


def percentile_points(histogram: Histogram) -> Iterator[tuple[float, float]]:
    """(quantile, milliseconds), as far as one of `count` values can tell; the greatest is last."""
    last = math.log10(histogram.count)
    for step in range(math.floor(last * _STEPS) + 1):
        quantile = 1 - 10 ** -(step / _STEPS)
        yield quantile, histogram.quantile_ms(quantile)
    yield 1 - 10 ** -(last + 1 / _STEPS), histogram.quantile_ms(1.0)


def _curve(name: str, curve: Curve) -> Chart | None:
    points = sorted(curve.points)
    if not points:
        return None
    x, y = curve.x, unit_text(curve.y)
    if y in ("bytes", "B"):
        return _memory(name, curve, points)
    load = name == "load"
    values = known([value for _, value in points])
    kind = axis_kind(max(values, default=0), [sorted(values)[len(values) // 2]] if values else [])
    return Chart(
        slug(f"curve-{name}"),
        "Latency against load" if load else name.replace("_", " ").capitalize(),
        f"Latency ({y}) at each rate that was tried." if load else f"{y} over {x}.",
        Axis(x),
        Axis(y, kind),
        [Line(name, points), *_fitted(curve, points, 1)],
        Table(name, (x, y), rows_of(points)),
    )


def _memory(name: str, curve: Curve, points: list[tuple[float, float]]) -> Chart:
    what = name.replace("_", " ").capitalize()
    told = f"{what} at each plateau of {curve.x}."
    if curve.slope is not None:
        told += f" The line that fits rises by {figure(curve.slope / 1024)} KiB"
        told += f" for each of the {curve.x}"
        told += "." if curve.r_squared is None else f" (R² {curve.r_squared:.4f})."
    title = f"{what} against {curve.x}"
    in_mib = [(x, y / 2**20) for x, y in points]
    return Chart(
        slug(f"curve-{name}"),
        title,
        told,
        Axis(curve.x),
        Axis("MiB", _memory_axis([y for _, y in in_mib])),
        [Line("measured", in_mib, "points"), *_fitted(curve, points, 2**20)],
        Table(title, (curve.x, "MiB"), rows_of(in_mib)),
    )


def _memory_axis(values: list[float]) -> AxisKind:
    """From zero, unless what was there before would hide what was added."""
    found = known(values)
    return "range" if found and min(found) > max(found) - min(found) else "linear"


def _fitted(curve: Curve, points: list[tuple[float, float]], unit: float) -> list[Line]:
    if curve.slope is None or curve.intercept is None:
        return []
    ends = [(x, (curve.intercept + curve.slope * x) / unit) for x, _ in (points[0], points[-1])]
    name = "fitted" if curve.r_squared is None else f"fitted, R² {curve.r_squared:.4f}"
    return [Line(name, ends, "fit")]


def _cost(run: Run) -> Bars | None:
    found: list[tuple[str, str, float]] = []
    for name, metric in run.metrics.items():
        value = median(metric)
        if (of := _COST.fullmatch(name)) and value:
            kind, size = of.groups()
            told = kind if size is None else f"{kind}, {size.replace('_', ' ')}"
            found.append((kind, told, value))
    if not found:
        return None
    kinds = list(dict.fromkeys(kind for kind, _, _ in found))
    rows = [(told, figure(value)) for _, told, value in found]
    return Bars(
        "cost",
        "Processor time for a message",
        "Microseconds of processor time for each message, by kind of process.",
        "µs",
        [Bar(told, value, kinds.index(kind)) for kind, told, value in found],
        Table("Processor time for a message", ("", "µs"), rows),
    )
