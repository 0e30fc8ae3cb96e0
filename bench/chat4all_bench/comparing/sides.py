"""A side of a comparison: one run, or several of the same thing put together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from ..histogram import Histogram, merged
from ..reporting.figures import known
from ..reporting.files import UnreadableRun, read
from ..result import Metric

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..result import Run


class Side(Struct):
    """Rounds of all its runs, together."""

    name: str
    """As it was given."""
    runs: list[Run]
    metrics: dict[str, Metric]
    histograms: dict[str, Histogram]


def side(name: str) -> Side:
    """Read what `name` lists, separated by commas: files or directories. Raises UnreadableRun."""
    names = [each for each in name.split(",") if each]
    if not names:
        raise UnreadableRun("no file is named")
    runs = [read(Path(each)) for each in names]
    metrics: dict[str, Metric] = {}
    histograms: dict[str, list[Histogram]] = {}
    for run in runs:
        for key, metric in run.metrics.items():
            into = metrics.setdefault(key, Metric([], metric.unit, metric.better))
            if into.unit != metric.unit:
                raise UnreadableRun(
                    f"{name}: {key} is in {metric.unit or 'plain numbers'} in one run,"
                    f" in {into.unit or 'plain numbers'} in another"
                )
            into.values += known(metric.values)
        for key, histogram in run.histograms.items():
            histograms.setdefault(key, []).append(histogram)
    return Side(name, runs, metrics, {key: merged(each) for key, each in histograms.items()})


def warnings(a: Side, b: Side) -> Iterator[str]:
    """What makes the sides less alike than a comparison wants."""
    runs = [*a.runs, *b.runs]
    yield from _differing("scenario", {run.scenario for run in runs})
    yield from _differing("target", {run.target.name for run in runs})
    yield from _differing("durability", {run.target.durability for run in runs})
    for field in ("cpus", "cpu", "memory_mib", "kernel", "python"):
        found = {str(getattr(run.machine, field)) for run in runs}
        yield from _differing(f"machine, {field}", found)
    names = dict.fromkeys(name for run in runs for name in run.parameters)
    for name in names:
        found = {str(run.parameters.get(name, "not given")) for run in runs}
        yield from _differing(f"parameter {name}", found)
    for each in (a, b):
        if any(run.generator.was_the_limit for run in each.runs):
            yield f"in {each.name} the load generator was the limit: its figures are its own"
        if not all(run.passed for run in each.runs):
            yield f"{each.name} failed"
    for one, other in ((a, b), (b, a)):
        if only := [name for name in one.metrics if name not in other.metrics]:
            yield f"only {one.name} has {', '.join(only)}"


def _differing(what: str, found: set[str]) -> Iterator[str]:
    if len(found) > 1:
        yield f"{what} differs: {', '.join(sorted(found))}"
