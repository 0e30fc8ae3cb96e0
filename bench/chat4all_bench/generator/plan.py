"""What a process of the generator is told, and what it tells: MessagePack with a length before it.

Times are seconds of the machine's monotonic clock, which all processes share. Each command has an
`id`, and is over when the reply with it has come; several may be under way.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct, field

from ..dialects.base import Seat  # noqa: TC001 - these are decoded by their annotations
from ..histogram import Histogram  # noqa: TC001

# --- commands -----------------------------------------------------------------------------------


class Setup(Struct, tag=True, frozen=True):
    """The first one: where the server is and how to speak to it."""

    id: int
    dialect: str
    """`module:Class`."""
    host: str
    ports: list[int]
    """Of each node; a seat says which."""
    source: str | None
    """The address to connect from: each has 28,000 ports towards a server."""
    tag: str
    """Of the round; see `header.py`."""
    text_bytes: int
    connect_timeout: float = 30.0
    """Seconds until a connection must be ready."""


class Join(Struct, tag=True, frozen=True):
    """Connect these clients at this rate; reply: `Joined`."""

    id: int
    seats: list[Seat]
    rate: float
    """Connections a second of this process."""
    small_buffers: bool = False
    """They take as few bytes as the kernel allows before the server notices that they stall."""


class Load(Struct, tag=True, frozen=True):
    """Write messages; reply: `Loaded`, when all have been answered or nothing more comes."""

    id: int
    rate: float
    """Messages a second of this process, each due at its time: an open loop. 0: a closed one."""
    window: int
    """Messages under way of each client, in a closed loop."""
    start: float
    """When the first is due."""
    measure_from: float
    until: float
    """The last is due before."""
    speakers: list[int]
    """Seats that write."""
    track_last: bool = False
    """Find out for each message when the last of the members here had it."""
    order: int = 0
    """What the order of the speakers is shuffled by."""
    patience: float = 10.0
    """Seconds without anything new after which answers are given up."""


class Leave(Struct, tag=True, frozen=True):
    """Disconnect these clients, each as soon as it has its answers; reply: `Done`, at once."""

    id: int
    seats: list[int]


class Rejoin(Struct, tag=True, frozen=True):
    """Connect these clients again, who leave; reply: `Joined`."""

    id: int
    seats: list[int]
    rate: float


class Stall(Struct, tag=True, frozen=True):
    """These clients stop to read, or go on; reply: `Done`."""

    id: int
    seats: list[int]
    reading: bool


class Verify(Struct, tag=True, frozen=True):
    """Wait for what is still to come, then count what is missing; reply: `Verified`."""

    id: int
    written: dict[int, list[int]]
    """By room: how many messages each of its speakers has written so far."""
    refused: dict[int, list[tuple[int, int]]]
    """By room: (speaker, number) of those that were not taken."""
    patience: float = 10.0
    """Seconds without anything new after which the rest is lost."""


class Quit(Struct, tag=True, frozen=True):
    """Disconnect everybody and end; reply: `Done`."""

    id: int


Command: TypeAlias = Setup | Join | Load | Leave | Rejoin | Stall | Verify | Quit


# --- replies ------------------------------------------------------------------------------------


class Done(Struct, tag=True):
    """It is done."""

    id: int


class Joined(Struct, tag=True):
    """How many clients are connected, and ready, of those that were to be."""

    id: int
    ready: int
    failed: int
    at: float = 0.0
    """When the last one was."""


class Loaded(Struct, tag=True):
    """Each speaker's: (room, speaker, messages so far, not answered, refused numbers)."""

    id: int
    speakers: list[tuple[int, int, int, int, list[int]]]


class Verified(Struct, tag=True):
    """What is wrong with what has arrived, since the process began."""

    id: int
    lost: int
    doubled: int
    reordered: int
    foreign: int
    """Messages that are not of this round."""
    gaps: int
    """Events that the server said it would not push; they were fetched."""


class Last(Struct, array_like=True, frozen=True):
    """A message that all members here have."""

    room: int
    speaker: int
    number: int
    members: int
    took: float
    """Seconds from when it was due until the last of them had it."""


class Progress(Struct, tag=True):
    """Once a second: what was done since the last one. Histograms hold what was measured."""

    number: int
    """The process, by its place among them."""
    at: float
    cpu: float
    """Its processor time so far."""
    connected: int
    """Now, and ready."""
    written: int = 0
    acknowledged: int = 0
    delivered: int = 0
    in_window: tuple[int, int] = (0, 0)
    """Acknowledged and delivered while it was measured, whenever they were due."""
    histograms: dict[str, Histogram] = field(default_factory=dict)
    """`ack`, `delivery`, `connect`, `resume`, `late`."""
    errors: dict[str, int] = field(default_factory=dict)
    last: list[Last] = field(default_factory=list)


Reply: TypeAlias = Done | Joined | Loaded | Verified | Progress
