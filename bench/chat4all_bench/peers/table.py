"""A comparison as tables for people: figures, and ours beside each server's."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .comparison import Comparison, Contestant, Ratio


QUIET: Final = 0.25
"""Of a load for each processor, up to which a machine has nothing else to do."""


def as_text(found: Comparison) -> str:
    """The load, the figures, the ratios, and what must be known to read them right."""
    metrics = list(dict.fromkeys(name for each in found.contestants for name in each.metrics))
    names = [found.columns.get(name, name) for name in metrics]
    figures = [["", *names, " kept when acknowledged"]]
    figures += [_figures(each, metrics) for each in found.contestants]
    if len({each.durability for each in found.contestants}) == 1:
        figures = [row[:-1] for row in figures]  # nobody keeps an echo
    compared = [name for name in metrics if any(name in e.ratios for e in found.contestants)]
    ratios = [["ours to", *(found.columns.get(name, name) for name in compared)]]
    ratios += [_ratios(each, compared) for each in found.contestants if each.ratios]
    turns = "1 round" if found.rounds == 1 else f"{found.rounds} rounds"
    lines = [
        f"{found.scenario}: {found.what}; {turns} of {found.seconds:g} s, the servers in turns"
    ]
    lines += ["", *_aligned(figures)]
    if len(ratios) > 1:
        lines += ["", *_aligned(ratios)]
    return "\n".join([*lines, "", *_remarks(found)])


def _figures(contestant: Contestant, metrics: Sequence[str]) -> list[str]:
    row = [f"{contestant.name} {contestant.version}".strip()]
    for name in metrics:
        metric = contestant.metrics.get(name)
        row.append("-" if metric is None else figure(statistics.median(metric.values), metric.unit))
    return [*row, f" {contestant.durability}"]


def _ratios(contestant: Contestant, metrics: Sequence[str]) -> list[str]:
    return [contestant.name, *(_ratio(contestant.ratios.get(name)) for name in metrics)]


def _ratio(ratio: Ratio | None) -> str:
    if ratio is None:
        return "-"
    middle = f"{ratio.median:.2f}"
    if len(ratio.rounds) == 1:
        return middle
    return f"{middle} ({ratio.least:.2f}..{ratio.greatest:.2f})"


def figure(value: float, unit: str) -> str:
    """Three digits, or all before the point."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}".strip()


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Names to the left, figures to the right; a cell that begins with a space is no figure."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column and not cell.startswith(" ") else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _remarks(found: Comparison) -> list[str]:
    lines = []
    if any(each.ratios for each in found.contestants):
        spread = "" if found.rounds == 1 else " (least..greatest)"
        lines.append(f"Ratios are of the same round: their median{spread}.")
    if found.load_before > QUIET * found.machine.cpus:
        lines.append(
            f"The machine was busy with other work (load {found.load_before:.1f} on"
            f" {found.machine.cpus} processors): trust ratios alone, and those of latencies little."
        )
    for each in found.contestants:
        does = f" For a message: {each.does}." if each.does else ""
        lines.append(f"{each.name}: {each.title}.{does}")
    for each in found.contestants:
        lost, wrong = each.integrity, each.integrity.errors
        if not lost.whole:
            lines.append(
                f"{each.name} FAILED: {lost.lost} lost, {lost.doubled} doubled,"
                f" {lost.reordered} out of order"
            )
        if wrong:
            told = ", ".join(f"{count} x {what}" for what, count in wrong.items())
            lines.append(f"{each.name} FAILED: {told}")
        if each.generator_was_the_limit:
            lines.append(
                f"{each.name}: the generator was the limit ({each.generator_busy:.2f} cores): trust"
                " processor time, not the rate"
            )
    lines += [f"left out: {name}: {why}" for name, why in found.left_out.items()]
    return lines
