"""Talk for a long time, while sessions come and go: do memory or latency drift?

Talk goes on in segments; at the end of each the memory is read, and in each some sessions leave and
come back with their cursors. The drifts are slopes over the segments.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..result import COSTS
from .base import add_crowd, amount, latency_names, percent, seat_crowd

if TYPE_CHECKING:
    import argparse

    from ..dialects.base import Seat
    from ..running.outcome import Outcome
    from ..running.round import Round

HELP = "talk for long, with churn: drift of memory and latency"
PRIMARY = "delivery"
MIB = 2**20
MINUTE = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The scenario's own."""
    add_crowd(parser, pairs=50)
    add = parser.add_argument_group("the load").add_argument
    add("--rate", type=amount, default=500.0, metavar="N", help="messages a second in all (500)")
    add("--every", type=amount, default=10.0, metavar="S", help="seconds of a segment (10)")
    add("--churn", type=percent, default=5.0, metavar="%", help="come back in each segment (5)")
    parser.set_defaults(seconds=600.0)


def figures(options: argparse.Namespace) -> list[str]:
    """See `base.Scenario`."""
    names = ["rate", "delivery_rate", "memory_drift", "latency_drift", "resumed", "server_mib"]
    return [*names, *latency_names("delivery", "ack", "resume"), *COSTS]


def run(round_: Round, options: argparse.Namespace) -> Outcome:
    """See `base.Scenario`."""
    from ..measuring.fitting import fit
    from ..measuring.meter import memory_by_kind
    from ..result import Series
    from ..running.measured import Measured
    from ..running.outcome import Outcome
    from ..running.seating import shuffled

    seats = seat_crowd(round_, options)
    round_.join(seats)
    segments = max(1, round(options.seconds / options.every))
    whole = Measured()
    resumed = 0
    rows: list[list[float]] = []
    began = time.monotonic()
    for segment in range(segments):
        some = shuffled(seats, round_.plan.seed + segment)
        some = some[: round(len(seats) * options.churn / 100)]
        returning: list[int] = []

        def go(some: list[Seat] = some, returning: list[int] = returning) -> None:
            if some:
                round_.leave(some)
                returning.extend(round_.begin_return(some, rate=round_.plan.connect_rate))

        measured = round_.load(
            f"segment {segment + 1} of {segments}",
            rate=options.rate,
            seconds=options.every,
            warm_up=round_.plan.warm_up if segment == 0 else 0.0,
            at=[(options.every / 4, go)],
        )
        if returning:
            resumed += round_.end_return(returning).ready
        whole.add(measured)
        memory = memory_by_kind(round_.target.processes())
        delivery = measured.histogram("delivery")
        rows.append(
            [
                round(time.monotonic() - began, 1),
                *(memory.get(kind, 0) / MIB for kind in ("server", "postgres", "redis")),
                delivery.quantile_ms(0.5),
                delivery.quantile_ms(0.99),
            ]
        )
    round_.verify()
    outcome = Outcome()
    outcome.add_load(whole, round_=round_.plan.number)
    outcome.add_latency("resume", whole.histogram("resume"))
    outcome.add("resumed", resumed, "", "neither")
    outcome.series["soak"] = Series(
        ["seconds", "server_mib", "postgres_mib", "redis_mib", "p50", "p99"], rows
    )
    outcome.add("server_mib", rows[-1][1], "MiB")
    settled = rows[len(rows) // 4 :]  # caches and pools fill first
    memory_line = fit([(row[0] / MINUTE, row[1] * 1024) for row in settled])
    latency_line = fit([(row[0] / MINUTE, row[5]) for row in settled])
    if memory_line is not None and latency_line is not None:
        outcome.add("memory_drift", memory_line.slope, "KiB/min")
        outcome.add("latency_drift", latency_line.slope, "ms/min")
    return outcome
