"""Readers who stop to read: what that does to the others, and to the server's memory.

First everybody reads; then some stop, and the same load goes on. `p99_ratio` is the healthy ones'
p99 with stalled readers beside the one without. At last the stalled read on, or come back if the
server has closed them: what was not pushed must have been announced, and is fetched, so that in the
end they too have everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..result import COSTS
from .base import amount, latency_names, percent, positive

if TYPE_CHECKING:
    import argparse

    from ..running.outcome import Outcome
    from ..running.round import Round

HELP = "some of the readers stall: the others' p99, gaps, and memory"
PRIMARY = "delivery"
MIB = 2**20
LETTING_GO = 1.0
"""Seconds after a load until what is under way has come to those who read."""
COMES_BACK = ("closed with 3008", "broken: ", "closed without a word")
"""How a connection may end that did not read for long: its client comes back."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The scenario's own."""
    add = parser.add_argument_group("rooms").add_argument
    add("--rooms", type=positive, default=5, metavar="N", help="(5)")
    add("--room-size", type=positive, default=50, metavar="N", help="members, two write (50)")
    add("--stalled", type=percent, default=20.0, metavar="%", help="of those who read (20)")
    add("--rate", type=amount, default=200.0, metavar="N", help="messages a second in all (200)")
    parser.set_defaults(text_bytes=2_000)


def figures(options: argparse.Namespace) -> list[str]:
    """See `base.Scenario`."""
    names = ["rate", "delivery_rate", "p99_ratio", "without_p99", "gaps", "memory_growth"]
    return [*names, *latency_names("delivery", "ack"), *COSTS]


def run(round_: Round, options: argparse.Namespace) -> Outcome:
    """See `base.Scenario`."""
    from ..measuring.meter import memory_by_kind
    from ..running.outcome import Outcome
    from ..running.seating import shuffled

    size = max(3, options.room_size)
    people = round_.seating.people(options.rooms * size)
    members = [people[n * size : (n + 1) * size] for n in range(options.rooms)]
    seats = round_.seating.rooms(members, speakers=2)
    readers = shuffled([seat for seat in seats if seat.speaker < 0], round_.plan.seed)
    stalled = readers[: round(len(readers) * options.stalled / 100)]
    names = {seat.number for seat in stalled}
    round_.join([seat for seat in seats if seat.number not in names])
    if stalled:
        round_.join(stalled, small_buffers=True)

    def memory() -> float:
        return memory_by_kind(round_.target.processes()).get("server", 0) / MIB

    without = round_.load("everybody reads", rate=options.rate)
    round_.sleep(LETTING_GO, "everybody reads")
    before = memory()
    round_.stall(stalled, reading=False)
    measured = round_.load(f"{len(stalled):,} stall", rate=options.rate)
    round_.sleep(LETTING_GO, f"{len(stalled):,} stall")
    growth = memory() - before
    round_.gathering.begin()  # what the stalled get from now on is late by their own doing
    round_.stall(stalled, reading=True)
    round_.verify()
    outcome = Outcome(expected=frozenset(COMES_BACK))
    outcome.add_load(measured, round_=round_.plan.number)
    quiet = without.histogram("delivery").quantile_ms(0.99)
    with_ = measured.histogram("delivery").quantile_ms(0.99)
    outcome.add("without_p99", quiet, "ms")
    outcome.add("p99_ratio", with_ / max(quiet, 1e-3), "")
    outcome.add("gaps", round_.gaps, "", "neither")
    outcome.add("memory_growth", growth, "MiB")
    outcome.histograms["delivery_without"] = without.histogram("delivery")
    return outcome
