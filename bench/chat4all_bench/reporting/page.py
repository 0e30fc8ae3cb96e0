"""`report.html`: a run on one page that needs nothing else, neither a network nor a script.

A policy in the page itself forbids everything but its own style, so that a name in a run can do no
harm even if it were not escaped.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from typing import TYPE_CHECKING, Final

from . import tables
from .charts import charts
from .drawing import draw
from .figures import duration, figure, median, unit_text
from .markup import as_html, element
from .style import PAGE, chart_style, palette

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from ..result import Run
    from .chart import Bars, Chart
    from .tables import Table

WIDE: Final = 520
NARROW: Final = 340
_KEYS: Final = (
    "rate",
    "capacity",
    "kib_per_session",
    "hold_cpu",
    "resume_rate",
    "p99_ratio",
    "memory_drift",
    "all_p50",
    "all_p99",
    "ack_p50",
    "ack_p99",
    "server_cpu_us",
    "delivery_p50",
    "delivery_p99",
)
"""The figures that are shown large, if a run has them."""
_KEYS_SHOWN: Final = 5


def page(run: Run) -> str:
    """The whole file."""
    style = f"{palette(':root')}{PAGE}{chart_style()}"
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{run.scenario}: {run.target.name}"),
        element("style", style),
    )
    body = element("body", element("main", *_sections(run)))
    return f"<!doctype html>\n{as_html(element('html', head, body, lang='en'))}\n"


def _sections(run: Run) -> Iterator[Element]:
    yield _header(run)
    if run.generator.was_the_limit:
        yield element(
            "section",
            element("strong", "The load generator was the limit, so the figures are its own. "),
            run.generator.reason,
            class_="note",
        )
    if (found := tables.thresholds(run)) is not None:
        yield _section(found)
    yield _keys(run)
    drawn = charts(run)
    if drawn:
        yield element("div", *map(_figure, drawn), class_="pairs")
    for table in (tables.latencies(run), tables.metrics(run), tables.processes(run)):
        if table is not None:
            yield _section(table)
    told = (tables.integrity, tables.generator, tables.parameters, tables.surroundings)
    yield element("div", *(_section(tell(run)) for tell in told), class_="pairs")
    yield element("section", element("h2", "Again with"), element("pre", shlex.join(run.command)))


def _header(run: Run) -> Element:
    verdict = ("PASSED", "good") if run.passed else ("FAILED", "bad")
    rounds = f"{run.rounds} rounds, " if run.rounds > 1 else ""
    when = f"{rounds}{duration(run.seconds)}, started {run.started_at}"
    return element(
        "header",
        element(
            "h1",
            element("span", verdict[0], class_=f"verdict {verdict[1]}"),
            f"{run.scenario}: {run.target.name} {run.target.version}".rstrip(),
        ),
        element("p", when, class_="faint"),
        *(element("p", note) for note in run.notes),
    )


def _keys(run: Run) -> Element:
    shown = [name for key in _KEYS if (name := _found(key, run)) is not None][:_KEYS_SHOWN]
    found = [
        element(
            "div",
            element("dt", name),
            element(
                "dd",
                figure(median(run.metrics[name])),
                " ",
                element("small", unit_text(run.metrics[name].unit)),
            ),
        )
        for name in shown
    ]
    lost = run.integrity.lost + run.integrity.doubled + run.integrity.reordered
    found.append(
        element(
            "div",
            element("dt", "lost, doubled, out of order"),
            element("dd", f"{lost:,}", class_="bad" if lost else "good"),
        )
    )
    return element("dl", *found, class_="keys")


def _found(key: str, run: Run) -> str | None:
    """The metric of that name, or that of the last size if there are several sizes."""
    if key in run.metrics:
        return key
    return next((name for name in reversed(run.metrics) if name.startswith(f"{key}_of_")), None)


def _figure(chart: Chart | Bars) -> Element:
    wide, narrow = draw(chart, WIDE), draw(chart, NARROW, suffix="-narrow")
    wide.set("class", "chart wide")
    narrow.set("class", "chart narrow")
    return element(
        "figure",
        element(
            "figcaption", element("h2", chart.title), element("p", chart.description), id=chart.name
        ),
        wide,
        narrow,
        element("details", element("summary", "The figures"), _table(chart.table)),
    )


def _section(table: Table) -> Element:
    return element("section", element("h2", table.title), _table(table))


def _table(table: Table) -> Element:
    head = None
    if any(table.columns):
        cells = [
            element("th", column, scope="col", class_=_left(table, number))
            for number, column in enumerate(table.columns)
        ]
        head = element("thead", element("tr", *cells))
    rows = [
        element(
            "tr",
            *(
                element(
                    "td" if column else "th",
                    cell,
                    scope=None if column else "row",
                    class_=_left(table, column),
                )
                for column, cell in enumerate(row)
            ),
            class_="bad" if number in table.bad else None,
        )
        for number, row in enumerate(table.rows)
    ]
    whole = element("table", head, element("tbody", *rows), aria_label=table.title)
    return element("div", whole, class_="scroll", tabindex=0, role="group", aria_label=table.title)


def _left(table: Table, column: int) -> str | None:
    return "left" if column in table.left else None
