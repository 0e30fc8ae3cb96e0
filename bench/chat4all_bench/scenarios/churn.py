"""A reconnect storm: all come back at once, and get what they missed, while others go on talking.

Readers of rooms leave, messages are written there, then all readers connect again with their
cursors: each must get exactly what it missed. `p99_ratio` is what that does to the latency of pairs
who talk at a fixed rate all the time: their p99 during the storm beside the one before.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..result import COSTS
from .base import amount, latency_names, positive

if TYPE_CHECKING:
    import argparse

    from ..running.outcome import Outcome
    from ..running.round import Round

HELP = "reconnect storm: resumes a second, what was missed is replayed, others' p99"
PRIMARY = "resume"
AT_ONCE = 1e6
"""Connections a second that nobody reaches: as many as the generator opens at once."""
BEFORE = 1.0
"""Seconds of talk before the storm, in the load in which it comes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The scenario's own."""
    storm = parser.add_argument_group("the storm").add_argument
    storm("--sessions", type=positive, default=1_000, metavar="N", help="that come back (1000)")
    storm("--room-size", type=positive, default=100, metavar="N", help="of them in a room (100)")
    storm("--missed", type=positive, default=3, metavar="N", help="messages in each room (3)")
    storm("--storm-rate", type=amount, default=AT_ONCE, metavar="N", help="a second (all at once)")
    talk = parser.add_argument_group("those who go on talking").add_argument
    talk("--pairs", type=positive, default=20, metavar="N", help="(20)")
    talk("--rate", type=amount, default=200.0, metavar="N", help="messages a second in all (200)")


def figures(options: argparse.Namespace) -> list[str]:
    """See `base.Scenario`."""
    names = ["resume_rate", "resumed", "p99_ratio", "before_p99", "during_p99"]
    return [*names, *latency_names("resume", "delivery"), *COSTS]


def run(round_: Round, options: argparse.Namespace) -> Outcome:
    """See `base.Scenario`."""
    from ..running.outcome import Outcome

    round_.gathering.primary = "delivery"
    seating = round_.seating
    people = seating.people(2 * options.pairs)
    pairs = seating.rooms([people[2 * n : 2 * n + 2] for n in range(options.pairs)], speakers=2)
    rooms = -(-options.sessions // options.room_size)
    size = options.room_size + 1  # one of them stays, and writes
    crowd = seating.people(rooms * size)
    storm = seating.rooms([crowd[n * size : (n + 1) * size] for n in range(rooms)], speakers=1)
    writers = [seat for seat in storm if seat.speaker >= 0]
    readers = [seat for seat in storm if seat.speaker < 0][: options.sessions]
    round_.join([*pairs, *writers, *readers])

    def write(doing: str, messages: int) -> None:
        """Have so many messages written in each room."""
        seconds = messages * len(writers) / options.rate
        round_.load(doing, rate=options.rate, seconds=seconds, warm_up=0.0, speakers=writers)

    write("a first message in each room", 1)
    before = round_.load("before the storm", rate=options.rate, speakers=pairs)
    round_.leave(readers)
    write("what will have been missed", options.missed)
    began: list[float] = []
    returning: list[int] = []

    def storm_now() -> None:
        began.append(time.monotonic())
        returning.extend(round_.begin_return(readers, rate=options.storm_rate))

    during = round_.load(
        "the storm",
        rate=options.rate,
        seconds=BEFORE + round_.plan.seconds,
        speakers=pairs,
        at=[(BEFORE, storm_now)],
    )
    back = round_.end_return(returning)
    round_.verify()
    outcome = Outcome()
    took = max(back.at - began[0], 1e-6)
    outcome.add("resumed", back.ready, "", "higher")
    outcome.add("resume_rate", back.ready / took, "/s", "higher")
    outcome.add_latency("resume", during.histogram("resume"))
    storm_latency = round_.gathering.latency_between(began[0], back.at)
    quiet, stormy = before.histogram("delivery"), storm_latency.quantile_ms(0.99)
    outcome.add_latency("delivery", quiet)
    outcome.add("before_p99", quiet.quantile_ms(0.99), "ms")
    outcome.add("during_p99", stormy, "ms")
    outcome.add("p99_ratio", stormy / max(quiet.quantile_ms(0.99), 1e-3), "")
    outcome.histograms["delivery_during"] = storm_latency
    outcome.add_cost(during.spent, back.ready, round_=round_.plan.number)
    outcome.notes.append(
        "CPU is for each resume, with the talk of the others in it; `delivery` is before the storm."
    )
    if took > round_.plan.seconds:
        outcome.notes.append(
            f"The storm took {took:.1f} s, and the others talked for {round_.plan.seconds:g} s of"
            " it: take more --seconds."
        )
    return outcome
