"""What scenarios have in common: names of figures, and how people are put into rooms."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Protocol

from ..result import QUANTILES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..dialects.base import Seat
    from ..result import Run
    from ..running.outcome import Outcome
    from ..running.round import Round


class Scenario(Protocol):
    """What a module of this package is; see its docstring."""

    HELP: str
    PRIMARY: str

    def figures(self, options: argparse.Namespace) -> list[str]:
        """The metrics that thresholds may name."""
        ...

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """The scenario's own."""
        ...

    def run(self, round_: Round, options: argparse.Namespace) -> Outcome:
        """Carry out one round."""
        ...


class Whole(Protocol):
    """A scenario that has its own way of running, and no rounds; `rest` is one."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """All of its arguments, but those that say how it is told."""
        ...

    def whole(self, options: argparse.Namespace, command: Sequence[str]) -> Run:
        """Carry it out."""
        ...


class Command(Protocol):
    """What `bench` does that is no scenario; `peers` is one."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """All of its arguments."""
        ...

    def run(self, options: argparse.Namespace) -> int:
        """Carry it out, and tell of it; the exit code."""
        ...


def latency_names(*histograms: str) -> list[str]:
    """The figures of these histograms."""
    return [f"{name}_{quantile}" for name in histograms for quantile in QUANTILES]


def positive(text: str) -> int:
    """A whole number above zero, for argparse."""
    try:
        value = int(text.replace("_", "").replace(",", ""))
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return value


def natural(text: str) -> int:
    """A whole number from zero on, for argparse."""
    return 0 if text == "0" else positive(text)


def amount(text: str) -> float:
    """A number above zero, for argparse."""
    try:
        value = float(text.replace("_", "").replace(",", ""))
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def percent(text: str) -> float:
    """A number from 0 to 100, for argparse."""
    try:
        value = float(text.rstrip("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage from 0 to 100")
    return value


def several(text: str) -> list[int]:
    """Whole numbers above zero with commas between them, for argparse."""
    return [positive(each) for each in text.split(",")]


def add_crowd(parser: argparse.ArgumentParser, *, pairs: int) -> None:
    """Add the arguments that say who talks to whom."""
    who = parser.add_argument_group("who talks")
    who.add_argument("--pairs", type=natural, default=pairs, metavar="N", help=f"({pairs})")
    who.add_argument("--rooms", type=natural, default=0, metavar="N", help="beside the pairs (0)")
    who.add_argument("--room-size", type=positive, default=10, metavar="N", help="members (10)")


def seat_crowd(round_: Round, options: argparse.Namespace) -> list[Seat]:
    """Those who talk: pairs, and rooms in which everybody writes."""
    pairs, rooms, size = options.pairs, options.rooms, options.room_size
    people = round_.seating.people(2 * pairs + rooms * size)
    members = [people[2 * n : 2 * n + 2] for n in range(pairs)]
    rest = people[2 * pairs :]
    members += [rest[n * size : (n + 1) * size] for n in range(rooms)]
    return round_.seating.rooms(members, speakers=max(2, size))
