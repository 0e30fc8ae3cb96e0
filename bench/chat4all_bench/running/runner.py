"""A whole run: the target, its rounds, what they found together, and whether that is good."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from ..measuring.machine import this_machine
from ..result import INTEGRITY, QUANTILES, Generator, Integrity, Metric, Run
from . import thresholds
from .outcome import Outcome, merge
from .progress import Live
from .round import Plan, Round

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from ..scenarios.base import Scenario
    from ..targets.target import Target

TOO_BUSY: Final = 0.9
"""Of a core: a process that uses more can't write and read in time."""
TOO_LATE: Final = 50.0
"""Milliseconds, 99th percentile, by which messages may be written late,"""
TOO_MUCH: Final = 0.1
"""or this part of the latency: where lateness is less, something else made the figures."""
PARAMETERS: Final = (str, int, float, bool, type(None))


def run(
    scenario: Scenario,
    name: str,
    options: argparse.Namespace,
    command: Sequence[str],
    target_of: Callable[[argparse.Namespace], AbstractContextManager[Target]],
) -> Run:
    """Carry out all rounds, against what `target_of` opens for them.

    Raises:
        SetupError: it could not begin.
        ThresholdError: a threshold can't be held to anything.
    """
    conditions = [thresholds.parse(text) for text in options.threshold or ()]
    thresholds.check_names(conditions, known_figures(scenario, options))
    started_at, began = datetime.now(UTC), time.monotonic()
    live = Live()
    if options.fresh:
        done = []
        for number in range(1, options.repeat + 1):
            with target_of(options) as target:
                done.append(_round(scenario, name, options, target, live, number, began))
                info = target.info
    else:
        with target_of(options) as target:
            info = target.info
            done = [
                _round(scenario, name, options, target, live, number, began)
                for number in range(1, options.repeat + 1)
            ]
    outcome = merge(each for each, _ in done)
    rounds = [each for _, each in done]
    integrity = _integrity(rounds)
    _add_common(outcome, rounds)
    generator = _generator(rounds, outcome, scenario.PRIMARY)
    judged = [thresholds.judge(each, outcome.metrics, scenario.PRIMARY) for each in conditions]
    unexpected = unexpected_errors(integrity, outcome)
    return Run(
        scenario=name,
        command=list(command),
        started_at=started_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        seconds=round(time.monotonic() - began, 1),
        seed=options.seed,
        rounds=options.repeat,
        target=info,
        machine=this_machine(),
        parameters={
            key: value if isinstance(value, PARAMETERS) else str(value)
            for key, value in vars(options).items()
        },
        passed=integrity.whole and not unexpected and all(each.passed for each in judged),
        thresholds=judged,
        metrics=outcome.metrics,
        integrity=integrity,
        generator=generator,
        processes=outcome.processes,
        histograms=outcome.histograms,
        series=outcome.series,
        curves=outcome.curves,
        notes=outcome.notes,
    )


def known_figures(scenario: Scenario, options: argparse.Namespace) -> list[str]:
    """The metrics that a threshold may name; `p99` and the like are those of the primary one."""
    return [*QUANTILES, *scenario.figures(options), *INTEGRITY]


def unexpected_errors(integrity: Integrity, outcome: Outcome) -> dict[str, int]:
    """Those that the scenario did not bring about itself."""
    return {
        what: count
        for what, count in integrity.errors.items()
        if not any(what.startswith(each) for each in outcome.expected)
    }


def _round(
    scenario: Scenario,
    name: str,
    options: argparse.Namespace,
    target: Target,
    live: Live,
    number: int,
    began: float,
) -> tuple[Outcome, Round]:
    live.round = name if options.repeat == 1 else f"{name} {number}/{options.repeat}"
    plan = Plan(
        number=number,
        seed=options.seed,
        generators=options.generators,
        seconds=options.seconds,
        warm_up=options.warm_up,
        connect_rate=options.connect_rate,
        text_bytes=options.text_bytes,
    )
    round_ = Round(plan, target, live)
    round_.gathering.primary = scenario.PRIMARY if scenario.PRIMARY != "all" else "delivery"
    try:
        outcome = scenario.run(round_, options)
    finally:
        round_.close()
    outcome.series.setdefault("load", round_.gathering.series(round_.began - began))
    if not outcome.processes and not target.processes():
        outcome.notes.append("The server's processes are not on this machine: no cost is told.")
    return outcome, round_


def _integrity(rounds: Sequence[Round]) -> Integrity:
    whole = Integrity()
    for round_ in rounds:
        whole.add(round_.integrity)
    return whole


def _add_common(outcome: Outcome, rounds: Sequence[Round]) -> None:
    """Add what every scenario tells, a value for each round."""
    figures = {
        "lost": ([float(each.integrity.lost) for each in rounds], ""),
        "doubled": ([float(each.integrity.doubled) for each in rounds], ""),
        "reordered": ([float(each.integrity.reordered) for each in rounds], ""),
        "errors": ([float(sum(each.integrity.errors.values())) for each in rounds], ""),
        "generator_busy": ([round(each.busy, 3) for each in rounds], "cores"),
        "late_p99": ([each.late_ms for each in rounds], "ms"),
    }
    for name, (values, unit) in figures.items():
        outcome.metrics[name] = Metric(values, unit, "lower")


def _generator(rounds: Sequence[Round], outcome: Outcome, primary: str) -> Generator:
    busy = max(each.busy for each in rounds)
    late = max(each.late_ms for each in rounds)
    slowest = max(
        (h.quantile_ms(0.99) for name, h in outcome.histograms.items() if name.startswith(primary)),
        default=0.0,
    )
    reason = ""
    if busy > TOO_BUSY:
        reason = f"a process of the generator used {busy:.2f} of a core"
    elif late > max(TOO_LATE, TOO_MUCH * slowest):
        reason = f"messages were written {late:.0f} ms late (p99)"
    return Generator(
        processes=max(each.generators for each in rounds),
        busy=round(busy, 3),
        late_ms=late,
        was_the_limit=bool(reason),
        reason=reason,
    )


def note_on_generator(run_: Run) -> None:
    """Tell people on stderr that the figures are the generator's, if they are."""
    if run_.generator.was_the_limit:
        print(
            f"the generator was the limit: {run_.generator.reason}; the figures are its own",
            file=sys.stderr,
        )
