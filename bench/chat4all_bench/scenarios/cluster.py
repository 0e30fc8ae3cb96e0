"""Several nodes: what the hop to another one costs, and what a message to many.

Pairs on one node against pairs on two, in turns, on the same nodes and at the same rate: `hop_ms`
is what the hop adds to the delivery, `hop_cpu` the servers' CPU of a message beside that on one
node. Then one member writes to a room that is spread over all nodes: `entries_per_message` is how
many entries Redis's streams get for a message, less what the nodes cause when nothing is said.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from .base import amount, latency_names, positive

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

    from ..dialects.base import Seat
    from ..running.outcome import Outcome
    from ..running.round import Round

HELP = "several nodes: what a hop costs, and stream entries for a message to many"
PRIMARY = "two_nodes"
SETTLING = 2.0
"""Seconds in which nodes get to know each other and their users."""
IDLE = 3.0
"""Seconds over which the entries are counted that no message causes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The scenario's own."""
    add = parser.add_argument_group("the nodes and who talks").add_argument
    add("--nodes", type=_nodes, default=3, metavar="N", help="two or more (3)")
    add("--pairs", type=positive, default=20, metavar="N", help="of each kind (20)")
    add("--rate", type=amount, default=200.0, metavar="N", help="messages a second in all (200)")
    add("--members", type=positive, default=100, metavar="N", help="of the room (100)")
    add("--room-rate", type=amount, default=10.0, metavar="N", help="messages a second there (10)")


def figures(options: argparse.Namespace) -> list[str]:
    """See `base.Scenario`."""
    names = ["hop_ms", "hop_cpu", "entries_per_message", *latency_names("same_node", "two_nodes")]
    return [*names, *latency_names("all"), "server_cpu_us_*", "postgres_cpu_us_*", "redis_cpu_us_*"]


def run(round_: Round, options: argparse.Namespace) -> Outcome:
    """See `base.Scenario`."""
    from ..running.outcome import Outcome

    together = [(0,) if number % 2 else (1,) for number in range(options.pairs)]
    apart = [(0, 1) if number % 2 else (1, 0) for number in range(options.pairs)]
    same, two = _pairs(round_, together), _pairs(round_, apart)
    everywhere = range(options.nodes)
    members = round_.seating.people(options.members)
    room = round_.seating.rooms([members], speakers=1, nodes=everywhere)
    round_.join([*same, *two, *room])
    round_.sleep(SETTLING, "nodes get to know each other")
    outcome = Outcome()
    for name, seats in (("same_node", same), ("two_nodes", two)):
        measured = round_.load(name.replace("_", " "), rate=options.rate, speakers=seats)
        outcome.add_latency(name, measured.histogram("delivery"))
        outcome.add_cost(
            measured.spent, measured.acknowledged, suffix=f"_{name}", round_=round_.plan.number
        )

    def figure(name: str) -> float:
        return outcome.metrics[name].values[0]

    outcome.add("hop_ms", figure("two_nodes_p50") - figure("same_node_p50"), "ms")
    local_cpu = figure("server_cpu_us_same_node")
    if local_cpu:
        outcome.add("hop_cpu", figure("server_cpu_us_two_nodes") / local_cpu, "")
    _room(round_, room, options.room_rate, outcome)
    round_.verify()
    return outcome


def _pairs(round_: Round, nodes: Sequence[Sequence[int]]) -> list[Seat]:
    people = round_.seating.people(2 * len(nodes))
    seats: list[Seat] = []
    for number, where in enumerate(nodes):
        pair = people[2 * number : 2 * number + 2]
        seats += round_.seating.rooms([pair], speakers=2, nodes=where)
    return seats


def _room(round_: Round, seats: list[Seat], rate: float, outcome: Outcome) -> None:
    """Count the entries of the streams for messages to a room on all nodes."""
    import redis

    from ..targets.nodes import StartedNodes

    target = round_.target
    assert isinstance(target, StartedNodes)
    with redis.Redis.from_url(target.redis_url) as counter:
        before, began = _entries(counter), time.monotonic()
        round_.sleep(IDLE, "nothing is said")
        idle = (_entries(counter) - before) / (time.monotonic() - began)
        before, began = _entries(counter), time.monotonic()
        measured = round_.load(
            "one to all", rate=rate, speakers=seats, track_last=True, warm_up=0.0
        )
        entries = _entries(counter) - before - idle * (time.monotonic() - began)
    outcome.add("entries_per_message", entries / max(1, measured.written), "")
    outcome.add_latency("all", measured.reached(len(seats) - 1))
    outcome.add_cost(measured.spent, measured.delivered, suffix="_room", round_=round_.plan.number)


def _entries(counter: redis.Redis) -> int:
    """Entries that were ever added to any stream."""
    stats: Any = counter.info("commandstats")
    return int(stats.get("cmdstat_xadd", {}).get("calls", 0))


def _nodes(text: str) -> int:
    if (count := positive(text)) < 2:
        raise argparse.ArgumentTypeError(f"{text!r}: a cluster has two nodes or more")
    return count
