"""One round of one server: the scenarios of the harness, and `echo`, with what is compared of each.

All of it runs on the generator and the dialects that our own scenarios use.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from ..running.outcome import Outcome

if TYPE_CHECKING:
    from ..running.round import Round
    from ..scenarios.base import Scenario
    from .catalogue import Scenario as Name

COLUMNS: Final[dict[Name, dict[str, str]]] = {
    "echo": {"server_cpu_us": "CPU a message", "rate": "messages"},
    "chat": {
        "ack_p50": "ack p50",
        "ack_p99": "ack p99",
        "delivery_p50": "delivery p50",
        "delivery_p99": "delivery p99",
        "server_cpu_us": "server CPU a message",
        "all_cpu_us": "with its databases",
    },
    "fanout": {
        "all_p50": "all have it p50",
        "all_p99": "all have it p99",
        "server_cpu_us": "server CPU a frame",
        "all_cpu_us": "with its databases",
    },
    "connect": {"kib_per_session": "memory a session", "r_squared": "R²"},
}
"""What the table shows, and how it calls that."""


class Load(Struct, frozen=True):
    """How much of it."""

    connections: int
    pairs: int
    members: int
    sessions: int
    rate: float | None
    """Messages a second; None: as it is usual in the scenario."""
    text_bytes: int


CHAT_RATE: Final = 500.0
"""Messages a second, which all of them can hold."""
FANOUT_RATE: Final = 3.0
"""Messages a second: one is everywhere before the next one is due."""
PLATEAUS: Final = 4
"""Of `connect`: memory is the slope over them."""


def words(scenario: Name, load: Load) -> str:
    """The load of a scenario, for people."""
    size = f"{load.text_bytes} bytes of text"
    if scenario == "echo":
        return f"{load.connections:,} connections, each with one message under way; {size}"
    if scenario == "chat":
        rate = load.rate or CHAT_RATE
        return f"{load.pairs:,} pairs, {rate:,g} messages a second in all, an open loop; {size}"
    if scenario == "fanout":
        rate = load.rate or FANOUT_RATE
        return f"1 writes to {load.members:,} members, {rate:,g} messages a second; {size}"
    return f"up to {load.sessions:,} sessions that do nothing, on {PLATEAUS} plateaus"


def run(round_: Round, scenario: Name, load: Load) -> Outcome:
    """Carry it out; only what is compared is told.

    Raises:
        SetupError: it could not begin.
    """
    if scenario == "echo":
        whole = _echo(round_, load)
    elif scenario == "chat":
        whole = _chat(round_, load)
    elif scenario == "fanout":
        whole = _fanout(round_, load)
    else:
        whole = _connect(round_, load)
    found = Outcome()
    found.metrics = {
        name: whole.metrics[name] for name in COLUMNS[scenario] if name in whole.metrics
    }
    return found


def _echo(round_: Round, load: Load) -> Outcome:
    people = round_.seating.people(load.connections)
    seats = round_.seating.rooms([[person] for person in people], speakers=1)
    round_.join(seats)
    measured = round_.load("echo", window=1)
    round_.verify()
    outcome = Outcome()
    outcome.add_load(measured)
    return outcome


def _chat(round_: Round, load: Load) -> Outcome:
    from ..scenarios import chat

    options = _options(chat, pairs=load.pairs, rate=load.rate or CHAT_RATE)
    outcome = chat.run(round_, options)
    _add_all_cpu(outcome)
    return outcome


def _fanout(round_: Round, load: Load) -> Outcome:
    from ..scenarios import fanout

    options = _options(fanout, members=[load.members], rate=load.rate or FANOUT_RATE)
    outcome = fanout.run(round_, options)
    suffix = f"_of_{load.members}"
    outcome.metrics = {
        name.removesuffix(suffix): metric for name, metric in outcome.metrics.items()
    }
    _add_all_cpu(outcome)
    return outcome


def _connect(round_: Round, load: Load) -> Outcome:
    from ..scenarios import connect

    options = _options(connect, sessions=load.sessions, plateaus=PLATEAUS, hold=0)
    return connect.run(round_, options)


def _options(scenario: Scenario, **given: object) -> Namespace:
    """A scenario's own arguments, as they are when no others are given."""
    parser = ArgumentParser()
    scenario.add_arguments(parser)
    options = parser.parse_args([])
    vars(options).update(given)
    return options


def _add_all_cpu(outcome: Outcome) -> None:
    """Add the processor time of all kinds of processes together."""
    found = [m for name, m in outcome.metrics.items() if name.endswith("_cpu_us")]
    outcome.add("all_cpu_us", sum(each.values[0] for each in found), "us")
