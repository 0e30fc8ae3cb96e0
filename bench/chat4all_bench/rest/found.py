"""What a profile of `rest` found, as a round of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..result import Generator, Integrity, Metric, Threshold
from ..running.outcome import Outcome
from .beside_bare import Beside
from .breakdown import Breakdown
from .load_test import Report
from .logins import Logins

if TYPE_CHECKING:
    from collections.abc import Sequence

    from msgspec import Struct

    from . import verdict
    from .samples import Latency


def outcome_of(found: Struct) -> Outcome:
    """The figures of a profile."""
    outcome = Outcome()
    if isinstance(found, Report):
        outcome.add("rate", found.per_second, "/s", "higher")
        _add_latency(outcome, "answer", found.latency_ms)
        outcome.histograms["answer"] = found.answers
        if found.usage is not None:
            outcome.add("server_cpu_us", found.usage.server_us, "us")
            outcome.add("postgres_cpu_us", found.usage.postgres_us, "us")
            outcome.add("redis_cpu_us", found.usage.redis_us, "us")
            outcome.add("server_mib", found.usage.server_mib, "MiB")
    elif isinstance(found, Beside):
        outcome.metrics["requests_ratio"] = Metric(found.requests_ratios, "", "higher")
        outcome.metrics["cpu_ratio"] = Metric(found.cpu_ratios, "", "lower")
        for name, rounds in (("ours", found.ours), ("bare", found.bare)):
            rates = [each.per_second for each in rounds]
            outcome.metrics[f"{name}_rate"] = Metric(rates, "/s", "higher")
            costs = [each.cpu_us for each in rounds]
            outcome.metrics[f"{name}_server_cpu_us"] = Metric(costs, "us", "lower")
        outcome.notes.append("Ratios are ours to the bare handler's, round by round.")
    elif isinstance(found, Breakdown):
        outcome.add("server_cpu_us", found.server_us, "us")
        for part, spent in found.parts_us.items():
            outcome.add(f"of {part}", spent, "us")
        for function, share in found.functions.items():
            outcome.add(f"in {function}", share, "%")
    elif isinstance(found, Logins):
        _add_latency(outcome, "answer_alone", found.without)
        _add_latency(outcome, "answer_beside", found.beside)
        outcome.add("p99_ratio", found.p99_ratio, "")
        outcome.add("logins", found.logins_per_second, "/s", "higher")
        outcome.add("logins_refused", found.logins.refused, "", "neither")
    return outcome


def thresholds_of(found: Struct) -> list[Threshold]:
    """What the profile itself demands."""
    demanded: Sequence[verdict.Threshold] = getattr(found, "thresholds", ())
    return [
        Threshold(
            f"{each.name} (limit {each.limit:g})", each.name, each.limit, each.value, each.passed
        )
        for each in demanded
    ]


def integrity_of(found: Struct) -> Integrity:
    """Whether every message is stored once and in order, where the profile looks for that."""
    if not isinstance(found, Report):
        return Integrity(errors=getattr(found, "faults", {}))
    stored, wrong = found.integrity, dict(found.faults)
    if stored.altered:
        wrong["altered"] = stored.altered
    return Integrity(
        sent=found.requests,
        acknowledged=stored.acknowledged,
        delivered=stored.stored,
        lost=stored.lost,
        doubled=stored.doubled,
        reordered=stored.reordered,
        errors=wrong,
    )


def generator_of(found: Struct, processes: int) -> Generator:
    """What the generator did, where the profile tells."""
    if isinstance(found, Report):
        told = found.generator
        reason = ""
        if told.was_the_limit:
            reason = f"it was busy for {told.busy:.2f} of a core, and {told.late_ms:.0f} ms late"
        return Generator(processes, told.busy, told.late_ms, told.was_the_limit, reason)
    busy = found.generator_busy if isinstance(found, Beside) else 0.0
    return Generator(processes, busy, 0.0, was_the_limit=False)


def _add_latency(outcome: Outcome, name: str, latency: Latency) -> None:
    for quantile in ("p50", "p95", "p99"):
        outcome.add(f"{name}_{quantile}", getattr(latency, quantile), "ms")
    outcome.add(f"{name}_max", latency.greatest, "ms")
