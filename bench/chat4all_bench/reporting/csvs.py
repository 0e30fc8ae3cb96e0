"""The same figures for spreadsheets and scripts: a CSV file for each kind of them.

| file | a row |
|---|---|
| `metrics.csv` | a metric in a round |
| `series-NAME.csv` | an interval; the columns of the series |
| `histogram-NAME.csv` | a bucket: its greatest value, how many it holds, how many are up to it |
| `curve-NAME.csv` | a point |
"""

from __future__ import annotations

import csv
import io
import math
import re
from typing import TYPE_CHECKING, Final

from .files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from ..histogram import Histogram
    from ..result import Run

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]")
_OURS: Final = ("metrics.csv", "series-*.csv", "histogram-*.csv", "curve-*.csv")


def write_csvs(run: Run, directory: Path) -> None:
    """Write them all; those of an earlier run in that directory go."""
    written = set()
    for name, rows in _files(run):
        write_whole(directory / name, _text(rows).encode())
        written.add(name)
    for pattern in _OURS:
        for path in directory.glob(pattern):
            if path.name not in written:
                path.unlink()


def file_name(kind: str, name: str) -> str:
    """The file of a series, a histogram or a curve, whatever characters its name has."""
    return f"{kind}-{_UNSAFE.sub('_', name)}.csv"


def _files(run: Run) -> Iterator[tuple[str, Iterable[Sequence[object]]]]:
    yield "metrics.csv", _metrics(run)
    for name, series in run.series.items():
        yield file_name("series", name), [series.columns, *series.rows]
    for name, histogram in run.histograms.items():
        yield file_name("histogram", name), _buckets(histogram)
    for name, curve in run.curves.items():
        yield file_name("curve", name), [(curve.x, curve.y), *curve.points]


def _metrics(run: Run) -> Iterator[Sequence[object]]:
    yield "metric", "unit", "better", "round", "value"
    for name, metric in run.metrics.items():
        for number, value in enumerate(metric.values, 1):
            yield name, metric.unit, metric.better, number, value


def _buckets(histogram: Histogram) -> Iterator[Sequence[object]]:
    yield "up_to_us", "count", "cumulative"
    cumulative = 0
    for greatest, count in histogram.rows():
        cumulative += count
        yield greatest, count, cumulative


def _text(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    return text.getvalue()


def _cell(value: object) -> object:
    """Nothing for a figure that could not be measured."""
    return "" if isinstance(value, float) and not math.isfinite(value) else value
