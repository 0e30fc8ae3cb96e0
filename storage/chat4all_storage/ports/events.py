"""What is written into a conversation, and what becomes of it.

An event goes in as an `Append`, is answered by an `Outcome`, and stands as a `StoredEvent`; a
member's watermarks go both ways as a `Mark`. `ShardStore.commit` says by which rules.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from msgspec import UNSET, Struct, UnsetType

if TYPE_CHECKING:
    from chat4all_protocol.frames import Kind

KINDS: Final[tuple[Kind, ...]] = (
    "message",
    "edit",
    "delete",
    "react",
    "join",
    "leave",
    "change",
)
"""Kinds of events; the position is what is stored. Only ever append."""

EVENT_OVERHEAD: Final = 250
"""Bytes of an event beside its body and meta."""


class Rules(Struct, frozen=True):
    """What a store holds writers to, beside their roles."""

    member_limit: int = 1000
    edit_window: float = 0.0
    """Seconds in which a message may be edited; 0 is unlimited."""
    delete_window: float = 0.0
    """Seconds in which its author may delete a message; 0 is unlimited. Owners and admins of a
    group always may."""


DEFAULT_RULES: Final = Rules()


class Change(Struct, frozen=True):
    """What a `change` does to the conversation itself; what is unset stays."""

    title: str | UnsetType | None = UNSET
    metadata: bytes | UnsetType | None = UNSET
    retention: int | UnsetType | None = UNSET
    """Seconds after which messages are emptied; None: they are kept."""


class Append(Struct, frozen=True, gc=False):
    """One event to be stored."""

    conversation: str
    sender: str
    id: str
    """The idempotency key within (conversation, sender)."""
    kind: Kind
    body: bytes | None
    digest: int
    """64 bits with sign over everything the sender wrote: tells a retry from a conflict."""
    reply_to: int | None = None
    target: int | None = None
    """The message that an `edit`, `delete` or `react` is of."""
    meta: bytes | None = None
    subject: str | None = None
    """Whom a `join`, a `leave` or a `change` of a role is about."""
    role: str | None = None
    """The role that a `join` or `change` gives."""
    change: Change | None = None
    """For a `change` without a subject."""
    trace: bytes | None = None
    """The trace id of the request, 16 bytes."""
    channels: tuple[str, ...] | None = None
    """Where it is to go, as the sender chose; None: internal, and to external members."""
    channel: str | None = None
    """The account that it came in through; None: it was written here."""


class Status(IntEnum):
    """What became of an append. Only `STORED` changed anything."""

    STORED = 0
    DUPLICATE = 1
    """Stored before, by this sender under this id, with this content."""
    CONFLICT = 2
    """Stored before, by this sender under this id, with other content."""
    NOT_MEMBER = 3
    """The sender is no member, or there is no such conversation."""
    BAD_REFERENCE = 4
    """`reply_to` names no event."""
    ALREADY_MEMBER = 5
    """A `join` of a member."""
    NO_SUCH_MEMBER = 6
    """A `leave` of somebody who is no member."""
    FULL = 7
    """A `join` beyond the greatest number of members."""
    MOVED = 8
    """Its logical shard is not to be written here: it is on the move, or has moved."""
    FORBIDDEN = 9
    """The sender's role does not allow it, the message is somebody else's, or a private
    conversation's members and settings were to be changed."""
    BAD_TARGET = 10
    """The target of an `edit`, `delete` or `react` is no message."""
    TARGET_DELETED = 11
    """The target has been deleted before."""
    LAST_OWNER = 12
    """The only owner was to leave others behind, or to give up that role."""
    TOO_LATE = 13
    """The time in which the message may be edited, or deleted, is over."""


class Outcome(Struct, frozen=True, gc=False):
    """The answer to an append: for `STORED` and `DUPLICATE` where the event stands."""

    status: Status
    seq: int = 0
    ts: int = 0
    """Milliseconds since the epoch, by the database's clock; never less than the seq before."""


class Mark(Struct, frozen=True, gc=False):
    """A member's watermarks: it holds everything up to `recv` and has read up to `read`."""

    conversation: str
    user: str
    recv: int
    read: int


class CommitResult(Struct, frozen=True):
    """The outcome of each append, and of each mark the watermarks that now stand.

    A mark of somebody who is no member has None, and so has one of a shard that has moved.
    """

    outcomes: list[Outcome]
    marks: list[Mark | None]
    moved: frozenset[int] = frozenset()
    """The logical shards of the batch that are not to be written here."""


class StoredEvent(Struct, frozen=True, gc=False):
    """An event as it stands in the log."""

    conversation: str
    seq: int
    id: str
    sender: str
    kind: Kind
    ts: int
    body: bytes | None
    reply_to: int | None = None
    target: int | None = None
    meta: bytes | None = None
    channel: str | None = None
    deleted: bool = False
    """Emptied: by a `delete`, by retention, or with the account of its sender."""
    edited_at: int | None = None
    """When the body was last replaced."""
    deleted_at: int | None = None


def event_size(event: StoredEvent) -> int:
    """About how many bytes an event takes."""
    return EVENT_OVERHEAD + len(event.body or b"") + len(event.meta or b"")
