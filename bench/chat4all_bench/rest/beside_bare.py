"""Beside a bare handler: our endpoint and quart-trio alone, in turns, under the same load."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from ..targets.processes import server_process
from .generator import generate
from .load_test import measured, opened
from .samples import faults, latency, span
from .verdict import Threshold
from .work import Window

if TYPE_CHECKING:
    from .load_test import Target
    from .samples import Latency
    from .work import Load, Pair

LEAST: Final = 0.5
"""Of the bare handler's requests a second that ours must reach."""


class Round(Struct, frozen=True):
    """One server for a few seconds."""

    per_second: float
    cpu_us: float
    """Of the server for each request."""
    latency_ms: Latency
    faults: dict[str, int]


class Beside(Struct, frozen=True):
    """What our endpoint does beside the bare handler. The ratios are ours to the bare one's."""

    profile: str
    passed: bool
    thresholds: list[Threshold]
    requests_ratio: float
    """Median of the rounds, of requests a second."""
    requests_ratios: list[float]
    cpu_ratio: float
    """Likewise of the server's processor time for a request, without the databases'."""
    cpu_ratios: list[float]
    generator_busy: float
    ours: list[Round]
    bare: list[Round]


def run(
    target: Target,
    data_dir: str,
    *,
    rounds: int,
    seconds: float,
    window: int,
    least: float = LEAST,
) -> Beside:
    """Measure both in turns; ours is to reach `least` of the bare one's requests a second.

    Raises:
        SetupError: the run could not begin.
    """
    load = Window(window, seconds)
    ours: list[Round] = []
    bare: list[Round] = []
    busy = 0.0
    command = ["-m", "chat4all_bench.rest.bare_server"]
    with opened(target, data_dir) as at, server_process(command) as (bare_pid, port):
        contestants = (
            (bare, f"http://127.0.0.1:{port}", bare_pid),
            (ours, at.url, at.pid),
        )
        for _ in range(rounds):
            for found, url, pid in contestants:
                result, process_busy = _round(url, pid, at.pairs, load)
                found.append(result)
                busy = max(busy, process_busy)
    return summary(ours, bare, busy, least)


def _round(url: str, pid: int | None, pairs: list[Pair], load: Load) -> tuple[Round, float]:
    generated, usage = measured(pid, lambda: generate(url, pairs, load, processes=1))
    samples, wrong = generated.samples, faults(generated.samples)
    good = len(samples) - sum(wrong.values())
    result = Round(
        per_second=round(good / span(samples), 1) if samples else 0.0,
        cpu_us=0.0 if usage is None else usage.server_us,
        latency_ms=latency(samples),
        faults=wrong,
    )
    return result, generated.busy


def summary(ours: list[Round], bare: list[Round], busy: float, least: float = LEAST) -> Beside:
    """Ratios round by round: what the machine did meanwhile was done to both."""
    pairs = list(zip(ours, bare, strict=True))
    requests = [_ratio(one.per_second, other.per_second) for one, other in pairs]
    cpu = [_ratio(one.cpu_us, other.cpu_us) for one, other in pairs]
    ratio = statistics.median(requests)
    wrong = sum(sum(each.faults.values()) for each in (*ours, *bare))
    thresholds = [
        Threshold("requests/s, of the bare handler's", least, ratio, ratio >= least),
        Threshold("errors", 0, wrong, wrong == 0),
    ]
    return Beside(
        profile="bare",
        passed=all(each.passed for each in thresholds),
        thresholds=thresholds,
        requests_ratio=ratio,
        requests_ratios=requests,
        cpu_ratio=statistics.median(cpu),
        cpu_ratios=cpu,
        generator_busy=busy,
        ours=ours,
        bare=bare,
    )


def _ratio(one: float, other: float) -> float:
    return round(one / other, 2) if other else 0.0
