"""A whole run of `channels`: a backlog, and a rate without and with a provider that hangs."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import trio

from ..measuring.machine import this_machine
from ..result import Generator, Integrity, Run, Target
from ..running import thresholds
from ..running.outcome import Outcome
from ..targets.servers import DURABILITY, installed_version
from .load import phase, town_of
from .place import opened

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from .load import Phase
    from .place import Place


def run(options: argparse.Namespace, command: Sequence[str]) -> Run:
    """Carry it out.

    Raises:
        SetupError: it could not begin.
        ThresholdError: a threshold can't be held to anything.
    """
    conditions = [thresholds.parse(text) for text in options.threshold or ()]
    started_at, began = datetime.now(UTC), time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="chat4all-bench-") as data_dir,
        opened(data_dir, options.people) as place,
    ):
        outcome, phases = trio.run(_measure, options, place)
    thresholds.check_names(conditions, [*outcome.metrics, "p50", "p90", "p99", "p999", "max"])
    integrity = Integrity()
    for each in phases:
        integrity.add(each.integrity)
    judged = [thresholds.judge(each, outcome.metrics, "delay") for each in conditions]
    return Run(
        scenario="channels",
        command=list(command),
        started_at=started_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        seconds=round(time.monotonic() - began, 1),
        seed=0,
        rounds=1,
        target=Target("chat4all", installed_version(), "", DURABILITY),
        machine=this_machine(),
        parameters={
            name: value
            for name, value in vars(options).items()
            if isinstance(value, str | int | float | bool | None)
        },
        passed=integrity.whole and all(each.passed for each in judged),
        thresholds=judged,
        metrics=outcome.metrics,
        integrity=integrity,
        generator=Generator(1, 0.0, 0.0, was_the_limit=False),
        histograms=outcome.histograms,
        notes=outcome.notes,
    )


async def _measure(options: argparse.Namespace, place: Place) -> tuple[Outcome, list[Phase]]:
    place.let_people_write()
    while True:
        conversations = await trio.to_thread.run_sync(place.conversations)
        if all(len(each) == options.people for each in conversations.values()):
            break
        await trio.sleep(0.1)
    town, outcome = town_of(conversations), Outcome()
    await phase(place, town, messages=options.people)  # so that everything is warm
    backlog = await phase(place, town, messages=options.backlog)
    outcome.add("outbox_rate", backlog.rate, "/s", "higher")
    outcome.add_cost(backlog.spent, backlog.sent, suffix="_backlog")
    steady = int(options.rate * options.seconds)
    alone = await phase(place, town, messages=steady, rate=options.rate)
    outcome.add_latency("delay", alone.delays)
    outcome.add_latency("ack", alone.acks)
    outcome.add_cost(alone.spent, alone.sent)
    beside = await phase(
        place, town, messages=steady, rate=options.rate, hanging_rate=options.hanging_rate
    )
    outcome.add_latency("delay", beside.delays, suffix="_beside")
    outcome.add_latency("ack", beside.acks, suffix="_beside")
    outcome.add("p99_ratio", _ratio(beside, alone), "")
    outcome.add("hanging_calls", beside.hung, "", "neither")
    outcome.add("rate_ratio", beside.rate / alone.rate, "", "higher")
    outcome.notes.append(
        "_beside: while a second account has messages whose provider takes them, and never answers."
    )
    return outcome, [backlog, alone, beside]


def _ratio(one: Phase, other: Phase) -> float:
    return one.delays.quantile_ms(0.99) / max(0.001, other.delays.quantile_ms(0.99))
