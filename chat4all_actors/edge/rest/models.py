"""What several endpoints speak of. Ids are canonical UUID strings, times RFC 3339 UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, field

from chat4all_protocol.frames import MAX_INTEGER, ConversationType, Id, Kind
from chat4all_protocol.ids import USERNAME_PATTERN

from ...webhooks.events import PATTERNS

CURSOR_PATTERN: Final = r"\A[A-Za-z0-9_-]{32}\Z"
FEED_CURSOR_PATTERN: Final = r"\A[A-Za-z0-9_-]+\Z"
URL_PATTERN: Final = r"\Ahttps?://[!-~]+\Z"
EVENT_TYPES_PATTERN: Final = (
    rf"\A(?:{'|'.join(map(re.escape, PATTERNS))})"
    rf"(?:,(?:{'|'.join(map(re.escape, PATTERNS))})){{0,{len(PATTERNS) - 1}}}\Z"
)
SECRET_PATTERN: Final = r"\Awhsec_[A-Za-z0-9+/]{30,88}={0,2}\Z"
CHECKSUM_PATTERN: Final = r"\Asha256:[0-9a-f]{64}\Z"
MAX_NAMES: Final = 100
_NAME: Final = USERNAME_PATTERN.removeprefix(r"\A").removesuffix(r"\Z")
NAMES_PATTERN: Final = rf"\A{_NAME}(?:,{_NAME}){{0,{MAX_NAMES - 1}}}\Z"

Cursor: TypeAlias = Annotated[
    str,
    Meta(
        pattern=CURSOR_PATTERN,
        description="Where the page before ended: its `next_cursor`",
    ),
]
Names: TypeAlias = Annotated[
    str, Meta(pattern=NAMES_PATTERN, description="User names, separated by commas")
]
Title: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\A[^\x00]*\Z")]
Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=65_536, pattern=r"\A[^\x00]*\Z")]
Metadata: TypeAlias = Annotated[dict[str, Any], Meta(description="Free of form, up to 4 KiB")]
Role: TypeAlias = Literal["owner", "admin", "member"]
MessageStatus: TypeAlias = Literal["SENT", "DELIVERED", "READ", "FAILED"]


class TextPayload(Struct, tag_field="type", tag="text", frozen=True):
    """A text."""

    text: Text


class FilePayload(Struct, tag_field="type", tag="file", frozen=True):
    """A file that was uploaded before, with an optional caption; what follows the server tells."""

    file_id: Id
    text: Text | None = None
    filename: str | None = None
    size: Annotated[int, Meta(ge=0, le=MAX_INTEGER)] | None = None
    mime_type: str | None = None
    width: Annotated[int, Meta(ge=0, le=MAX_INTEGER)] | None = None
    """Of an image, in pixels."""
    height: Annotated[int, Meta(ge=0, le=MAX_INTEGER)] | None = None
    thumbnail: bool | None = None
    """Whether there is a thumbnail to fetch."""


class MemberPayload(Struct, tag_field="type", tag="member", frozen=True):
    """Whom a `join`, `leave` or `change` is about."""

    username: str
    role: str | None = None


Payload: TypeAlias = TextPayload | FilePayload


class SettingsPayload(Struct, tag_field="type", tag="settings", frozen=True):
    """What a `change` made different about a group; what is absent stayed."""

    title: str | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET
    retention_days: int | UnsetType | None = UNSET


AnyPayload: TypeAlias = TextPayload | FilePayload | MemberPayload | SettingsPayload
DAY: Final = 24 * 60 * 60


class Message(Struct, frozen=True):
    """An event of a conversation; most are messages."""

    message_id: Id
    conversation_id: Id
    sequence_number: Annotated[int, Meta(ge=1)]
    from_: str = field(name="from")
    payload: AnyPayload | None
    """None for a deleted message, and for events without one."""
    reply_to: str | None
    """The `message_id` of what it answers."""
    status: MessageStatus
    """As far as with the last of the other members; what failed is told with its status alone."""
    edited_at: datetime | None
    deleted_at: datetime | None
    created_at: datetime
    metadata: dict[str, Any] | None
    kind: Kind = "message"
    target: int | None = None
    """The sequence number of the message that an edit, deletion or reaction is about."""
    channel: str | None = None
    """The account through which it came in; null: it was written here."""


class LastMessage(Struct, frozen=True):
    """The last message of a conversation, as a list shows it."""

    message_id: Id
    sequence_number: Annotated[int, Meta(ge=1)]
    from_: str = field(name="from")
    payload: AnyPayload | None
    created_at: datetime


class Conversation(Struct, frozen=True):
    """A conversation as one of its members sees it."""

    conversation_id: Id
    type: ConversationType
    title: str | None
    members: list[str]
    """In the order they came; in lists the first 100."""
    roles: dict[str, Role]
    """Of each of these."""
    member_count: int
    last_seq: int
    """The sequence number of its last event; 0 before the first."""
    created_at: datetime
    created_by: str
    metadata: dict[str, Any] | None = None
    retention_days: int | None = None
    """Messages are emptied when they are so old; null keeps them."""
    unread: int | None = None
    """Messages of others after what was read, counted up to 1,000."""
    last_message: LastMessage | None = None
    """The last that is not deleted; only in lists, as what follows."""
    read_seq: int | None = None
    """Up to where the caller has read."""
    updated_at: datetime | None = None
    """When its last event was stored."""


def moment(ms: int) -> datetime:
    """A time from milliseconds since the epoch."""
    return datetime.fromtimestamp(ms / 1000, UTC)
