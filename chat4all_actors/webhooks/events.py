"""What programs are told: kinds of events, who wants which, and the id that an event always has."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chat4all_protocol.frames import Kind
    from chat4all_storage.ports.changes import Failure
    from chat4all_storage.ports.events import StoredEvent
    from chat4all_storage.ports.files import File
    from chat4all_storage.ports.shard import Conversation

OF_KINDS: Final[dict[Kind, str]] = {
    "message": "message.created",
    "edit": "message.edited",
    "delete": "message.deleted",
    "react": "message.reaction",
    "join": "conversation.member_joined",
    "leave": "conversation.member_left",
    "change": "conversation.changed",
}
"""What an event of a log is to programs."""
DELIVERED: Final = "message.delivered"
READ: Final = "message.read"
FAILED: Final = "message.failed"
CREATED: Final = "conversation.created"
FILE_READY: Final = "file.ready"
PRESENCES: Final = ("presence.away", "presence.offline", "presence.online")
"""They are told as they change, by the way of `presence.py` alone."""
TYPES: Final = tuple(
    sorted({*OF_KINDS.values(), DELIVERED, READ, FAILED, CREATED, FILE_READY, *PRESENCES})
)
BESIDE: Final = frozenset({DELIVERED, READ, FAILED})
"""They are about watermarks and deliveries: none is in the log."""
GROUPS: Final = tuple(sorted({type_.partition(".")[0] for type_ in TYPES}))
PATTERNS: Final = ("*", *(f"{group}.*" for group in GROUPS), *TYPES)
"""What an endpoint may ask for."""

_IDS: Final = uuid.UUID("5f0c5a0e-8c0b-5d6e-9d59-0d5e0a2f7b11")


class Presence(Struct, frozen=True):
    """Whether a user is there, as others may see it."""

    status: Literal["online", "away", "offline"]
    last_seen: int | None
    """Milliseconds since the epoch, of one who is not."""


class Event(Struct, frozen=True):
    """Something that happened, with what is known of it."""

    type: str
    key: str
    """The conversation, the file, or the user who is there: what has one key is told in order."""
    seq: int
    """Its number in the log; 0: the creation. Of a watermark, what it rose to; of a presence, when
    it came."""
    at: int
    """Milliseconds since the epoch."""
    conversation: Conversation | None = None
    stored: StoredEvent | None = None
    """Of those that are in the log."""
    user: str | None = None
    """Whose watermark rose, or whom it does not reach."""
    file: File | None = None
    failure: Failure | None = None
    presence: Presence | None = None

    @property
    def id(self) -> str:
        """The same for the same event, whoever is told it, however often."""
        name = "\n".join((self.type, self.key, str(self.seq), self.user or ""))
        if self.failure is not None:
            name += f"\n{self.failure.account}"
        return f"evt_{uuid.uuid5(_IDS, name).hex}"

    @property
    def logged(self) -> bool:
        """Whether it has a number in the log of its conversation."""
        return self.type not in BESIDE


def wanted(patterns: Iterable[str]) -> frozenset[str]:
    """The types that these patterns stand for; presences are asked for by their own name."""
    found: set[str] = set()
    for pattern in patterns:
        if pattern == "*":
            found.update(type_ for type_ in TYPES if type_ not in PRESENCES)
        prefix = pattern.removesuffix("*") or pattern
        found.update(
            type_
            for type_ in TYPES
            if type_ == pattern or (prefix != pattern and type_.startswith(prefix))
        )
    return frozenset(found)
