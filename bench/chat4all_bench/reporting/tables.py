"""What a report tells in tables, and in which order: the same for a terminal and for a page."""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from ..result import INTEGRITY, QUANTILES
from .figures import UNKNOWN, figure, median, spread, unit_text, with_unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..result import Metric, Process, Run

_HEADINGS: Final = {"p999": "p99.9"}

_GROUPS: Final = {
    "Rate": ("/s", "/min", "/day"),
    "Time": ("ms", "s", "ms/min"),
    "Cost": ("us", "cores", "%", "ns"),
    "Memory": ("B", "KiB", "MiB", "GiB", "bytes", "KiB/min"),
}
_REST: Final = "Other figures"
_NARROW: Final = ("p90", "p999", "max")
"""The quantiles whose range over rounds is not told."""


class Table(Struct, frozen=True):
    """Rows of text under their headings."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    left: frozenset[int] = frozenset({0})
    """The columns of words; the others hold numbers, which are aligned at the right."""
    bad: frozenset[int] = frozenset()
    """The rows that fail a run."""


def thresholds(run: Run) -> Table | None:
    """Which conditions were kept, the broken ones first."""
    if not run.thresholds:
        return None
    told = sorted(run.thresholds, key=lambda each: each.passed)
    rows = []
    for each in told:
        found = with_unit(each.value, _unit(each.metric, run))
        rows.append(("ok" if each.passed else "BROKEN", each.text, found))
    bad = frozenset(number for number, each in enumerate(told) if not each.passed)
    return Table("Thresholds", ("", "asked for", "found"), rows, frozenset({0, 1}), bad)


def latencies(run: Run) -> Table | None:
    """Quantiles of each histogram, over all rounds."""
    rows = [
        (
            name,
            *(figure(found.quantile_ms(q)) for q in QUANTILES.values()),
            figure(found.mean_ms),
            f"{found.count:,}",
        )
        for name, found in run.histograms.items()
        if found.count
    ]
    columns = ("milliseconds", *(_HEADINGS.get(q, q) for q in QUANTILES), "mean", "count")
    return Table("Latency", columns, rows) if rows else None


def metrics(run: Run) -> Table | None:
    """The figures that no other table tells, those of a kind together; medians of several rounds.

    Of latencies only the range over several rounds is left to tell, and of two quantiles.
    """
    groups: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    repeated = run.rounds > 1
    for name, metric in run.metrics.items():
        if name in INTEGRITY or _quantile(name, run) in (_NARROW if repeated else QUANTILES):
            continue
        row = (name, figure(median(metric)), unit_text(metric.unit))
        groups[_group(metric)].append((*row, spread(metric)) if repeated else row)
    columns: tuple[str, ...] = ("", "median" if repeated else "figure", "unit")
    if repeated:
        columns += (f"over {run.rounds} rounds",)
    rows = [row for group in (*_GROUPS, _REST) for row in groups[group]]
    return Table("Figures", columns, rows, frozenset({0, 2})) if rows else None


def _quantile(name: str, run: Run) -> str | None:
    """Which one of a histogram's a metric is."""
    for histogram in run.histograms:
        for quantile, names in zip(QUANTILES, quantile_metrics(histogram), strict=True):
            if name in names:
                return quantile
    return None


def quantile_metrics(histogram: str) -> list[list[str]]:
    """For each of `QUANTILES`, what a metric of that quantile may be called.

    The quantile stands behind the name or inside it: of `ack_100`, `ack_100_p99` or `ack_p99_100`.
    """
    parts = histogram.split("_")
    return [
        ["_".join([*parts[:at], quantile, *parts[at:]]) for at in range(len(parts), 0, -1)]
        for quantile in QUANTILES
    ]


def processes(run: Run) -> Table | None:
    """What each kind of process used: a median over the rounds of what the kind used in each.

    A process may be there several times in a round, once for each part that was measured.
    """
    if not run.processes:
        return None
    kinds: dict[str, dict[int, list[Process]]] = defaultdict(lambda: defaultdict(list))
    for each in run.processes:
        kinds[each.kind][each.round].append(each)
    rows = []
    for kind, rounds in kinds.items():
        used = statistics.median(sum(p.cpu_seconds for p in found) for found in rounds.values())
        sizes = [{p.pid: p.pss_bytes for p in found} for found in rounds.values()]
        held = statistics.median(sum(each.values()) for each in sizes)
        count = max(map(len, sizes))
        rows.append((kind, str(count), cost(run, kind), figure(used), figure(held / 2**20)))
    columns = ("", "processes", "µs CPU a message", "CPU s", "PSS MiB")
    if all(row[2] == UNKNOWN for row in rows):
        # The scenario counts in something else, or for several sizes: the figures tell.
        return Table("Processes", (*columns[:2], *columns[3:]), [(*r[:2], *r[3:]) for r in rows])
    return Table("Processes", columns, rows)


def cost(run: Run, kind: str) -> str:
    """CPU of this kind of process for each message, if the scenario counts in messages."""
    metric = run.metrics.get(f"{kind}_cpu_us")
    return UNKNOWN if metric is None else figure(median(metric))


def integrity(run: Run) -> Table:
    """Whether every message came once and in order, with the errors there were."""
    found = run.integrity
    counts = {
        "sent": found.sent,
        "acknowledged": found.acknowledged,
        "delivered": found.delivered,
        "lost": found.lost,
        "doubled": found.doubled,
        "reordered": found.reordered,
    }
    counts |= {f"error: {what}": count for what, count in sorted(found.errors.items())}
    rows = [(name, f"{count:,}") for name, count in counts.items()]
    bad = frozenset(number for number, count in enumerate(counts.values()) if number > 2 and count)
    return Table("Integrity", ("", "messages"), rows, bad=bad)


def generator(run: Run) -> Table:
    """What generated the load, and how hard that was."""
    found = run.generator
    rows = [
        ("processes", str(found.processes)),
        ("busiest of them", f"{figure(found.busy)} of a core"),
        ("sent too late (p99)", with_unit(found.late_ms, "ms")),
        ("was the limit", f"yes: {found.reason}" if found.was_the_limit else "no"),
    ]
    return Table(
        "Load generator",
        ("", ""),
        rows,
        frozenset({0, 1}),
        frozenset({3} if found.was_the_limit else ()),
    )


def parameters(run: Run) -> Table:
    """What the scenario was asked to do; what was not said is not told."""
    given = {name: value for name, value in run.parameters.items() if value is not None}
    rows = [(name, _setting(value)) for name, value in given.items()]
    rows += [("seed", str(run.seed)), ("rounds", str(run.rounds))]
    return Table("Parameters", ("", ""), rows, frozenset({0, 1}))


def surroundings(run: Run) -> Table:
    """The machine, and what was measured on it."""
    machine, target = run.machine, run.target
    rows = [
        ("target", f"{target.name} {target.version}".strip()),
        ("where", target.where),
        ("on disk when acknowledged", target.durability),
        ("processors", f"{machine.cpus} x {machine.cpu}"),
        ("memory", f"{machine.memory_mib:,} MiB"),
        ("kernel", machine.kernel),
        ("Python", machine.python),
    ]
    return Table("Target and machine", ("", ""), rows, frozenset({0, 1}))


def _unit(name: str, run: Run) -> str:
    """Of a metric; `p99` may be short for that of the latency that matters in this scenario."""
    found = [each.unit for full, each in run.metrics.items() if f"_{full}".endswith(f"_{name}")]
    return found[0] if found else ""


def _group(metric: Metric) -> str:
    for group, units in _GROUPS.items():
        if metric.unit in units:
            return group
    return _REST


def _setting(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else figure(value)
