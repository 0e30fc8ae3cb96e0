"""What one round found, and how rounds are put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from ..histogram import Histogram
from ..measuring.meter import by_kind
from ..measuring.proc import POSTGRES, REDIS, SERVER
from ..result import QUANTILES, Metric, Process

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..measuring.meter import Spent
    from ..result import Better, Curve, Series
    from .measured import Measured

KINDS: Final = (SERVER, POSTGRES, REDIS)


class Outcome(Struct):
    """One round of a scenario."""

    metrics: dict[str, Metric] = field(default_factory=dict)
    """Each with one value."""
    histograms: dict[str, Histogram] = field(default_factory=dict)
    series: dict[str, Series] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    expected: frozenset[str] = frozenset()
    """What errors may begin with that the scenario brings about itself."""
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, value: float, unit: str, better: Better = "lower") -> None:
        """Add a figure."""
        self.metrics[name] = Metric([round(value, 4)], unit, better)

    def add_latency(self, name: str, histogram: Histogram, *, suffix: str = "") -> None:
        """Add the quantiles of a histogram, and itself, unless it is empty."""
        if not histogram.buckets:
            return
        for quantile, q in QUANTILES.items():
            self.add(f"{name}_{quantile}{suffix}", histogram.quantile_ms(q), "ms")
        self.histograms[f"{name}{suffix}"] = histogram

    def add_cost(
        self, spent: Iterable[Spent], units: int, *, suffix: str = "", round_: int = 0
    ) -> None:
        """Add processor time by kind of process, for each of so many units of work."""
        spent = list(spent)
        seconds = by_kind(spent)
        for kind in [*KINDS, *(kind for kind in seconds if kind not in KINDS)]:
            if kind in seconds:
                per_unit = seconds[kind] / max(1, units) * 1e6
                self.add(f"{kind}_cpu_us{suffix}", per_unit, "us")
        self.add_processes(spent, round_=round_)

    def add_processes(self, spent: Iterable[Spent], *, round_: int = 0) -> None:
        """Add what each process used, to what it used in other parts of the round."""
        known = {(each.round, each.pid): each for each in self.processes}
        for each in spent:
            before = known.get((round_, each.pid))
            cpu = each.cpu_seconds + (before.cpu_seconds if before is not None else 0.0)
            known[round_, each.pid] = Process(
                round_, each.kind, each.pid, round(cpu, 2), each.pss_bytes
            )
        self.processes = list(known.values())

    def add_load(self, measured: Measured, *, suffix: str = "", round_: int = 0) -> None:
        """Add what a load of messages tells: rate, latency, cost a message."""
        seconds = measured.seconds
        self.add(f"rate{suffix}", measured.acknowledged / seconds, "/s", "higher")
        self.add(f"delivery_rate{suffix}", measured.delivered / seconds, "/s", "higher")
        self.add_latency("ack", measured.histogram("ack"), suffix=suffix)
        self.add_latency("delivery", measured.histogram("delivery"), suffix=suffix)
        units = measured.acknowledged or measured.delivered
        self.add_cost(measured.spent, units, suffix=suffix, round_=round_)


def merge(outcomes: Iterable[Outcome]) -> Outcome:
    """Put rounds together: a value of each, histograms added, series one after the other."""
    whole = Outcome()
    for outcome in outcomes:
        for name, metric in outcome.metrics.items():
            into = whole.metrics.setdefault(name, Metric([], metric.unit, metric.better))
            into.values += metric.values
        for name, histogram in outcome.histograms.items():
            whole.histograms.setdefault(name, Histogram()).merge(histogram)
        for name, series in outcome.series.items():
            if name in whole.series:
                whole.series[name].rows += series.rows
            else:
                whole.series[name] = series
        whole.curves |= outcome.curves
        whole.processes += outcome.processes
        whole.expected |= outcome.expected
        whole.notes += [note for note in outcome.notes if note not in whole.notes]
    return whole
