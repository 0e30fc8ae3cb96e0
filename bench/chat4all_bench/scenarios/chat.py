"""Pairs and rooms that talk: rates, latency and cost of durable messages.

With `--rate` messages are due at fixed times (an open loop), and their latency counts from then, so
that a stall is not hidden. With `--window` each client keeps so many under way (a closed loop),
which finds the greatest rate. `--idle` adds sessions that are only connected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..result import COSTS
from .base import add_crowd, amount, latency_names, natural, positive, seat_crowd

if TYPE_CHECKING:
    import argparse

    from ..running.outcome import Outcome
    from ..running.round import Round

HELP = "pairs and rooms that talk: rates, latency and cost of durable messages"
PRIMARY = "delivery"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The scenario's own."""
    add_crowd(parser, pairs=50)
    load = parser.add_argument_group("the load")
    how = load.add_mutually_exclusive_group()
    how.add_argument("--rate", type=amount, metavar="N", help="messages a second in all (1000)")
    how.add_argument("--window", type=positive, metavar="N", help="messages under way of each")
    parser.add_argument(
        "--idle", type=natural, default=0, metavar="N", help="sessions that do nothing (0)"
    )


def figures(options: argparse.Namespace) -> list[str]:
    """See `base.Scenario`."""
    return ["rate", "delivery_rate", *latency_names("delivery", "ack"), *COSTS]


def run(round_: Round, options: argparse.Namespace) -> Outcome:
    """See `base.Scenario`."""
    from ..running.outcome import Outcome

    talking = seat_crowd(round_, options)
    seats = list(talking)
    if options.idle:
        people = round_.seating.people(min(options.idle, 1000))
        seats += round_.seating.idle(people, options.idle)
    round_.join(seats)
    rate = 0.0 if options.window else options.rate or 1000.0
    measured = round_.load("chat", rate=rate, window=options.window or 0, speakers=talking)
    round_.verify()
    outcome = Outcome()
    outcome.add_load(measured, round_=round_.plan.number)
    return outcome
