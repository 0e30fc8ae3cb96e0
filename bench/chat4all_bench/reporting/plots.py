"""`python -m chat4all_bench.reporting.plots RUN… --out DIR`: a run's drawings, a file each.

For READMEs: they stand on a card of their own, light or dark as the reader's system is, so that
they look right on a page of either kind. `--together` draws the latencies of all runs on one card.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .charts import charts, percentiles
from .drawing import draw
from .files import UnreadableRun, read, write_whole
from .markup import as_xml, element
from .shaping import slug
from .style import chart_style, palette

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from xml.etree.ElementTree import Element

    from ..histogram import Histogram
    from ..result import Run
    from .chart import Bars, Chart

WIDTH: Final = 660
_MARGIN: Final = 14
_HEAD: Final = 54
"""For the title, and below it where the figures come from."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw; 2 for what is no run."""
    parser = argparse.ArgumentParser(prog="chat4all_bench.reporting.plots", description=__doc__)
    parser.add_argument(
        "runs", nargs="+", metavar="[NAME=]RUN", help="a run.json or the directory that holds it"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where files go")
    parser.add_argument(
        "--only", metavar="CHART", action="append", help="such as latency, curve-load; repeat it"
    )
    parser.add_argument(
        "--together", metavar="TITLE", help="one drawing: the latencies of all runs, so called"
    )
    options = parser.parse_args(arguments)
    try:
        runs = _read(options.runs)
        for name, drawing in _drawings(runs, options.together, options.only):
            path = options.out / f"{name}.svg"
            write_whole(path, f"{as_xml(drawing)}\n".encode())
            print(path)
    except UnreadableRun as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0


def card(chart: Chart | Bars, source: str) -> Element:
    """A drawing with its title, and where its figures come from, as an SVG that stands alone."""
    inner = draw(chart, WIDTH - 2 * _MARGIN)
    title, description = inner[0], inner[1]
    inner.remove(title)
    inner.remove(description)
    labels = inner.attrib.pop("aria-labelledby")
    height = _HEAD + int(inner.get("height", "0")) + _MARGIN
    inner.attrib.pop("role")
    inner.set("x", str(_MARGIN))
    inner.set("y", str(_HEAD))
    return element(
        "svg",
        title,
        description,
        element("style", f"{palette('.card')}{_STYLE}{chart_style()}"),
        element("rect", x=0.5, y=0.5, width=WIDTH - 1, height=height - 1, rx=10),
        element("text", chart.title, x=_MARGIN + 8, y=28, class_="title"),
        element("text", source, x=_MARGIN + 8, y=46, class_="source"),
        inner,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {height}",
        width=WIDTH,
        height=height,
        role="img",
        aria_labelledby=labels,
        class_="card chart",
    )


_STYLE: Final = """
.card>rect{fill:var(--card);stroke:var(--rule)}
.chart .title,.chart.card>.title{font-size:15px;font-weight:600}
.chart.card>.source{fill:var(--faint)}
"""


def _read(texts: Sequence[str]) -> dict[str, Run]:
    found: dict[str, Run] = {}
    for text in texts:
        name, run = _named(text)
        if name in found:
            raise UnreadableRun(f"two runs are called {name}: give one another name, NAME={text}")
        found[name] = run
    return found


def _drawings(
    runs: dict[str, Run], together: str | None, only: Sequence[str] | None
) -> Iterator[tuple[str, Element]]:
    """The name of each file, and what is in it."""
    if together is not None:
        yield slug(together), _together(together, runs)
        return
    for name, run in runs.items():
        for chart in charts(run):
            if only is None or chart.name in only:
                yield f"{slug(name)}-{chart.name}", card(chart, _source(run))


def _named(text: str) -> tuple[str, Run]:
    """A run by its own name, or by that of the directory it is in."""
    name, equals, path = text.partition("=")
    run = read(Path(path if equals else text))
    if equals:
        return name, run
    found = Path(text).resolve()
    return (found if found.is_dir() else found.parent).name, run


def _together(title: str, runs: dict[str, Run]) -> Element:
    found: dict[str, Histogram] = {}
    for name, run in runs.items():
        several = len(run.histograms) > 1
        for key, each in run.histograms.items():
            found[f"{name}, {key}" if several else name] = each
    chart = percentiles(found, title)
    if chart is None:
        raise UnreadableRun("these runs have no latencies")
    return card(chart, _source(next(iter(runs.values()))))


def _source(run: Run) -> str:
    machine = run.machine
    return f"{run.scenario}, {machine.cpus} x {machine.cpu}, {run.started_at[:10]}"


if __name__ == "__main__":
    sys.exit(main())
