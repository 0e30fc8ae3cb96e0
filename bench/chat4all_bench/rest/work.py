"""What a process of the generator is told to do, and what it tells afterwards."""

from __future__ import annotations

from typing import Final, TypeAlias

from msgspec import Struct

from .samples import Sample  # noqa: TC001 - these are decoded by their annotations
from .stages import Stage  # noqa: TC001

THINK: Final = (1.0, 3.0)
"""Seconds that a virtual user thinks between two messages."""


class Pair(Struct, frozen=True):
    """A private conversation, and how its messages are sent."""

    conversation_id: str
    one: str
    other: str
    token: str
    """With which messages from `one` to `other` are sent, and the history is read."""
    by_client: bool = False
    """Whether that is a service client's, who acts in the name of `one`."""


class Users(Struct, frozen=True, tag=True):
    """Virtual users, who send a message, wait for the answer, and think."""

    stages: list[Stage]
    think: tuple[float, float] = THINK


class Rate(Struct, frozen=True, tag=True):
    """Messages at a fixed rate, whatever becomes of them: an open loop."""

    per_second: float
    seconds: float


class Window(Struct, frozen=True, tag=True):
    """So many messages under way all the time: a closed loop."""

    messages: int
    seconds: float


Load: TypeAlias = Users | Rate | Window


class Work(Struct, frozen=True):
    """The share of one process."""

    url: str
    pairs: list[Pair]
    load: Load
    start_at: float
    """By the machine's monotonic clock."""
    number: int
    processes: int
    """It does every `processes`-th thing, from `number` on."""
    connections: int
    """At most, of all processes; a virtual user has one of its own."""


CONNECTIONS: Final = 1_000


class Done(Struct, frozen=True):
    """What a process did."""

    samples: list[Sample]
    busy: float
    """Its processor time beside the time that went by: 1.0 is a whole core."""
    connections: int
    """Opened by it."""
