"""A comparison for people, and as JSON."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from ..reporting.figures import figure, unit_text
from ..reporting.tables import Table
from ..reporting.text import Paint, folded, table_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .judging import Comparison
    from .limits import Held
    from .sides import Side

_ORDER: Final = ("worse", "better", "differs", "same", "unsure")
VERSION: Final = 1


class Compared(Struct):
    """All that there is to tell."""

    a: Side
    b: Side
    figures: list[Comparison]
    held: list[Held]
    warnings: list[str]

    @property
    def passed(self) -> bool:
        """Whether every limit was kept."""
        return all(each.passed for each in self.held)


def as_text(found: Compared, paint: Paint) -> str:
    """The limits first, then what to know, then a line for each figure."""
    return "\n".join(_lines(found, paint))


def as_json(found: Compared) -> dict[str, Any]:
    """The same for programs; what is infinite is null."""
    return {
        "version": VERSION,
        "a": found.a.name,
        "b": found.b.name,
        "passed": found.passed,
        "limits": [
            {
                "text": each.text,
                "metric": each.metric,
                "limit_percent": each.limit_percent,
                "worse_percent": _finite(each.worse_percent),
                "passed": each.passed,
            }
            for each in found.held
        ],
        "warnings": found.warnings,
        "metrics": {each.metric: _as_json(each) for each in found.figures},
    }


def _as_json(each: Comparison) -> dict[str, Any]:
    return {
        "unit": each.unit,
        "better": each.better,
        "a": each.a,
        "b": each.b,
        "ratio": each.ratio,
        "low": _finite(each.low),
        "high": _finite(each.high),
        "rounds": each.rounds,
        "basis": each.basis,
        "verdict": each.verdict,
        "why": each.why,
    }


def _lines(found: Compared, paint: Paint) -> Iterator[str]:
    if found.held:
        yield paint.good("PASSED") if found.passed else paint.bad("FAILED")
        for each in sorted(found.held, key=lambda each: each.passed):
            text = f"{each.metric} {_change(each.worse_percent)} (limit {each.text})"
            yield f"  ok      {text}" if each.passed else paint.bad(f"  BROKEN  {text}")
    yield from folded(f"A  {found.a.name}: {_what(found.a)}", "  ")
    yield from folded(f"B  {found.b.name}: {_what(found.b)}", "  ")
    for warning in found.warnings:
        yield from map(paint.caution, folded(warning, "  ! "))
    yield ""
    rows = [_row(each) for each in found.figures]
    bad = frozenset(number for number, each in enumerate(found.figures) if each.verdict == "worse")
    columns = ("", "A", "B", "unit", "B/A", "95 %", "verdict")
    table = Table("Compared, medians", columns, rows, frozenset({0, 3, 5, 6}), bad)
    yield from table_lines(table, paint)
    yield ""
    counts = Counter(each.verdict for each in found.figures)
    told = [f"{counts[verdict]} {verdict}" for verdict in _ORDER if counts[verdict]]
    yield ", ".join(told) or "The runs have no figure in common."
    reasons = dict.fromkeys(each.why for each in found.figures if each.why)
    for reason in reasons:
        yield from map(paint.faint, folded(f"unsure: {reason}", "  "))


def _what(side: Side) -> str:
    run = side.runs[0]
    rounds = sum(each.rounds for each in side.runs)
    target = f"{run.target.name} {run.target.version}".rstrip()
    return f"{run.scenario}, {target}, {rounds} round{'s' if rounds > 1 else ''}"


def _row(each: Comparison) -> tuple[str, ...]:
    interval = ""
    if each.low is not None and each.high is not None:
        mark = " of messages" if each.basis == "counts" else ""
        interval = f"{_ratio(each.low)} to {_ratio(each.high)}{mark}"
    return (
        each.metric,
        figure(each.a),
        figure(each.b),
        unit_text(each.unit),
        _ratio(each.ratio),
        interval,
        each.verdict,
    )


def _ratio(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if math.isfinite(value) else "inf"


def _change(percent: float) -> str:
    if not math.isfinite(percent):
        return "got worse from zero" if percent > 0 else "got better from zero"
    if percent == 0:
        return "is the same"
    return f"got {'worse' if percent > 0 else 'better'} by {figure(abs(percent))} %"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
