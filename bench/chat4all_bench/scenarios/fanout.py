"""Messages to many: how long until all members of a room have one, and what that costs.

One member writes at a rate so low that a message is everywhere before the next one is due.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from .base import amount, several

if TYPE_CHECKING:
    import argparse

    from ..running.outcome import Outcome
    from ..running.round import Round

HELP = "messages to many: time until all have one, server CPU of each delivered frame"
PRIMARY = "all"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The scenario's own."""
    parser.add_argument(
        "--members", type=several, default=[10, 100, 1000], metavar="N,…", help="(10,100,1000)"
    )
    parser.add_argument(
        "--rate", type=amount, default=10.0, metavar="N", help="messages a second (10)"
    )


def figures(options: argparse.Namespace) -> list[str]:
    """See `base.Scenario`: each is there for every number of members."""
    names = ("all_*", "delivery_*", "ack_*", "server_cpu_us_*", "postgres_cpu_us_*", "rate_*")
    return [*names, "redis_cpu_us_*", "delivery_rate_*"]


def run(round_: Round, options: argparse.Namespace) -> Outcome:
    """See `base.Scenario`."""
    from ..result import Curve
    from ..running.outcome import Outcome

    sizes: list[int] = options.members
    people = iter(round_.seating.people(sum(sizes)))
    rooms = [round_.seating.rooms([list(islice(people, size))], speakers=1) for size in sizes]
    outcome = Outcome()
    points: list[tuple[float, float]] = []
    for size, seats in zip(sizes, rooms, strict=True):
        round_.join(seats)
        measured = round_.load(f"1 to {size:,}", rate=options.rate, speakers=seats, track_last=True)
        round_.verify()
        suffix = f"_of_{size}"
        outcome.add_latency("all", measured.reached(size - 1), suffix=suffix)
        outcome.add_latency("delivery", measured.histogram("delivery"), suffix=suffix)
        outcome.add_latency("ack", measured.histogram("ack"), suffix=suffix)
        outcome.add(f"delivery_rate{suffix}", measured.delivered / measured.seconds, "/s", "higher")
        outcome.add_cost(
            measured.spent, measured.delivered, suffix=suffix, round_=round_.plan.number
        )
        points.append((size, outcome.metrics[f"server_cpu_us{suffix}"].values[0]))
    outcome.curves["fanout"] = Curve("members", "us", points)
    outcome.notes.append("CPU is for each delivered frame.")
    return outcome
