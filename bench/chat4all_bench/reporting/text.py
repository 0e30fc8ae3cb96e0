"""A run for people at a terminal: the verdict first, then what was found."""

from __future__ import annotations

import os
import re
import shlex
import sys
import textwrap
from typing import TYPE_CHECKING, Final

from . import tables
from .figures import duration, figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..result import Run
    from .tables import Table

WIDTH: Final = 96
_RED, _GREEN, _YELLOW, _BOLD, _DIM = "31", "32", "33", "1", "2"
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def summary(run: Run, *, colour: bool | None = None) -> str:
    """Several lines of at most `WIDTH` columns.

    `colour` None: when standard output is a terminal and `NO_COLOR` is not set.
    """
    paint = Paint(wants_colour() if colour is None else colour)
    return "\n".join(_lines(run, paint))


def wants_colour() -> bool:
    """Whether colour would be seen, and is not refused."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


class Paint:
    """Text in colour, or as it is."""

    def __init__(self, on: bool) -> None:
        self._on = on

    def __call__(self, text: str, style: str) -> str:
        """Text in a style of ECMA-48 (SGR)."""
        return f"\x1b[{style}m{text}\x1b[0m" if self._on and text else text

    def bad(self, text: str) -> str:
        """What fails a run."""
        return self(text, f"{_BOLD};{_RED}")

    def good(self, text: str) -> str:
        """What is as it should be."""
        return self(text, f"{_BOLD};{_GREEN}")

    def caution(self, text: str) -> str:
        """What a reader must know."""
        return self(text, _YELLOW)

    def heading(self, text: str) -> str:
        """Above a table."""
        return self(text, _BOLD)

    def faint(self, text: str) -> str:
        """What is there if it is looked for."""
        return self(text, _DIM)


def table_lines(table: Table, paint: Paint) -> Iterator[str]:
    """A table under its title, as wide as it needs; a last column of words is folded."""
    heads = [_safe(column) for column in table.columns]
    rows = [[_safe(cell) for cell in row] for row in table.rows]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    last = len(widths) - 1
    yield paint.heading(table.title)
    if any(heads):
        yield paint.faint(_row(heads, widths, table.left))
    for number, row in enumerate(rows):
        if last in table.left:
            # What stands before the last column, two blanks in front of each.
            before = sum(widths[:last]) + 2 * (last + 1)
            parts = textwrap.wrap(row[last], max(20, WIDTH - before)) or [""]
        else:
            parts = [row[last]]
        told = [_row([*row[:last], parts[0]], widths, table.left)]
        told += [" " * before + part for part in parts[1:]]
        for line in told:
            yield paint.bad(line) if number in table.bad else line


def folded(text: str, indent: str = "  ") -> list[str]:
    """Text in lines of at most `WIDTH` columns, further ones below the first's text."""
    rest = " " * len(indent)
    return textwrap.wrap(_safe(text), WIDTH, initial_indent=indent, subsequent_indent=rest)


def _lines(run: Run, paint: Paint) -> Iterator[str]:
    verdict = paint.good("PASSED") if run.passed else paint.bad("FAILED")
    rounds = f", {run.rounds} rounds" if run.rounds > 1 else ""
    what = f"{run.scenario}  {run.target.name} {run.target.version}".rstrip()
    yield f"{verdict}  {_safe(what)}{rounds}, {duration(run.seconds)}"
    if (broken := tables.thresholds(run)) is not None:
        for number, (mark, asked, found) in enumerate(broken.rows):
            text = f"  {mark:<6}  {_safe(asked)}  found {_safe(found)}"
            yield paint.bad(text) if number in broken.bad else text
    if run.generator.was_the_limit:
        text = (
            f"The load generator was the limit, so the figures are its own: {run.generator.reason}"
        )
        yield from map(paint.caution, folded(text, "  ! "))
    for note in run.notes:
        yield from map(paint.caution, folded(note, "  * "))
    figures = tables.metrics(run)
    for table in (figures, tables.latencies(run), tables.processes(run)):
        if table is not None:
            yield ""
            yield from table_lines(table, paint)
    yield ""
    yield from _integrity(run, paint)
    load = run.generator
    yield (
        f"{paint.heading('Load generator')}  {load.processes} process"
        f"{'' if load.processes == 1 else 'es, the busiest'} at {figure(load.busy)} of a core, "
        f"{figure(load.late_ms)} ms late (p99)"
    )
    yield f"{paint.heading('Again with')}  {_safe(shlex.join(run.command))}"


def _integrity(run: Run, paint: Paint) -> Iterator[str]:
    found = run.integrity
    text = (
        f"{found.sent:,} sent, {found.acknowledged:,} acknowledged, {found.delivered:,} delivered; "
        f"{found.lost:,} lost, {found.doubled:,} doubled, {found.reordered:,} out of order"
    )
    heading = paint.heading("Integrity")
    yield f"{heading}  {text if found.whole else paint.bad(text)}"
    for what, count in sorted(found.errors.items(), key=lambda each: -each[1]):
        yield from map(paint.bad, folded(f"{count:,} times {what}", "           "))


def _row(cells: list[str], widths: list[int], left: frozenset[int]) -> str:
    aligned = (
        cell.ljust(width) if number in left else cell.rjust(width)
        for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"  {'  '.join(aligned)}".rstrip()


def _safe(text: str) -> str:
    """Without what would command a terminal."""
    return _UNPRINTABLE.sub("�", text)
