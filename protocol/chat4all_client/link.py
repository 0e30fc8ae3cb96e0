"""One connection as the core sees it: rules, requests on the wire, frames to send, liveness."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import Struct

from chat4all_protocol.codec import encode
from chat4all_protocol.connection import ClientConnection
from chat4all_protocol.frames import AnyClientFrame, Fetch, Ping

from .calls import Call
from .outbox import Entry

if TYPE_CHECKING:
    from chat4all_protocol.frames import AnyServerFrame

    from .timeline import Timeline

GRACE: Final = 15.0
"""Seconds beyond the heartbeat after which a silent connection is given up."""


class CatchUp(Struct, eq=False):
    """A `fetch` of the core's own, to fill a hole."""

    conv: str
    timeline: Timeline
    after: int | None
    before: int | None

    def with_rid(self, rid: int) -> AnyClientFrame:
        """The frame for the wire."""
        return Fetch(rid=rid, conv=self.conv, after=self.after, before=self.before)


Request: TypeAlias = Entry | Call | CatchUp


class LinkState(Enum):
    """How far a connection has come."""

    OPENING = auto()
    """`ready` has not come."""
    LIVE = auto()
    """It is the client's connection."""
    ENDED = auto()
    """It broke, was refused, or was replaced by a newer one."""


class Link:
    """One connection's state. The shell feeds it through `Engine` and sends what `take` gives."""

    __slots__ = (
        "_out",
        "cursors",
        "heard",
        "heartbeat",
        "inflight",
        "last_error",
        "move_at",
        "on_wire",
        "pinged",
        "retry_after",
        "rules",
        "state",
        "token",
    )

    def __init__(self, token: str, now: float) -> None:
        self.token = token
        self.state = LinkState.OPENING
        self.rules = ClientConnection()
        self.cursors: dict[str, int] = {}
        """As sent with `connect`."""
        self.on_wire: dict[int, tuple[Request, float]] = {}
        """Requests without an answer by `rid`, oldest first, with the time to stop waiting."""
        self.inflight = 1
        self.heartbeat = 25.0
        self.heard = now
        self.pinged = False
        self.move_at = float("inf")
        """When to open another connection in place of this one."""
        self.last_error = ""
        """What the server said last, to explain a close."""
        self.retry_after = 0.0
        """Seconds to wait before the next attempt, if this one fails: the server asked for it."""
        self._out: list[bytes] = []

    @property
    def has_output(self) -> bool:
        """Whether `take` would give anything."""
        return bool(self._out)

    @property
    def has_room(self) -> bool:
        """Whether another request may be put on the wire."""
        return len(self.on_wire) < self.inflight

    def take(self) -> list[bytes]:
        """The WebSocket messages to send, in order."""
        out, self._out = self._out, []
        return out

    def send(self, frame: AnyClientFrame) -> None:
        """Send a frame."""
        self._out.append(encode(frame))

    def receive(self, data: bytes, now: float) -> AnyServerFrame | None:
        """The frame in `data`, if it is known.

        Raises:
            ProtocolViolation: the server broke a rule.
        """
        self.heard = now
        self.pinged = False
        return self.rules.receive(data)

    def beat(self, now: float) -> bool:
        """Ask for a sign of life when it is quiet; False when it has been for too long."""
        if now >= self.heard + self.heartbeat + GRACE:
            return False
        if now >= self.heard + self.heartbeat and not self.pinged:
            self.pinged = True
            self.send(Ping())
        return True

    def next_beat(self) -> float:
        """When to call `beat`."""
        return self.heard + self.heartbeat + (GRACE if self.pinged else 0.0)
