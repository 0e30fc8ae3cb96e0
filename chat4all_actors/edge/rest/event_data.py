"""What programs are told of an event: its type, its time, and the resource as the API shows it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from chat4all_protocol.frames import Id
from chat4all_storage.ports.shard import Range

from ...webhooks.events import TYPES
from . import views
from .files import StoredFile, shown
from .models import Conversation, Message, moment

if TYPE_CHECKING:
    from chat4all_storage.ports.changes import Failure
    from chat4all_storage.storage import Storage

    from ...webhooks.events import Event

EventType: TypeAlias = Literal[
    "conversation.changed",
    "conversation.created",
    "conversation.member_joined",
    "conversation.member_left",
    "file.ready",
    "message.created",
    "message.deleted",
    "message.delivered",
    "message.edited",
    "message.failed",
    "message.reaction",
    "message.read",
    "presence.away",
    "presence.offline",
    "presence.online",
]
assert frozenset(TYPES) == frozenset(EventType.__args__)  # type: ignore[attr-defined]


class Watermark(Struct, frozen=True):
    """How far a member has received, or read, a conversation."""

    conversation_id: Id
    username: str
    sequence_number: Annotated[int, Meta(ge=1)]
    """Everything up to this one."""


class Undelivered(Struct, frozen=True):
    """That an event does not reach a member through a channel, and is not sent again."""

    conversation_id: Id
    message_id: Id | None
    sequence_number: Annotated[int, Meta(ge=1)]
    username: str
    """The member: an address on a channel, or a user who is linked to one."""
    channel: str
    """The account."""
    reason: str | None
    """Why, in words."""


class UserThere(Struct, frozen=True):
    """Whether a user is there."""

    username: str
    status: Literal["online", "away", "offline"]
    last_seen: datetime | None
    """Of one who is not, if that is known."""


class Omitted(Struct, frozen=True):
    """Where something is that is larger than what is told at once."""

    omitted: Literal["too_large"]
    conversation_id: Id | None
    sequence_number: int | None
    """0: the creation of the conversation."""
    file_id: Id | None


Data: TypeAlias = (
    Message | Conversation | Watermark | Undelivered | UserThere | StoredFile | Omitted
)


class Notification(Struct, frozen=True):
    """What an endpoint is told; the feed has its id, too, which else is `webhook-id`."""

    id: str
    type: EventType
    timestamp: datetime
    data: Annotated[
        dict[str, Any],
        Meta(
            description=(
                "A Message (`message.*`, `conversation.member_*`, `conversation.changed`), a "
                "Conversation (`conversation.created`), a StoredFile (`file.ready`), or of "
                "`message.delivered` and `message.read` `{conversation_id, username, "
                "sequence_number}`: everything up to there; of `message.failed` `{conversation_id, "
                "message_id, sequence_number, username, channel, reason}`: it does not reach this "
                "member through this channel; of `presence.*` `{username, status, last_seen}`: "
                "told once, and not kept. `{omitted, conversation_id, "
                "sequence_number, file_id}` where it would be too large"
            )
        ),
    ]


class EventData:
    """Shows events; see `Shows` of the webhooks."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def show(self, event: Event, limit: int) -> bytes:
        """The event as JSON; beyond `limit` bytes without what it says.

        Raises:
            StorageError: what belongs to it can't be read now.
        """
        told = _encode(event, await self._data(event))
        return told if len(told) <= limit else _encode(event, _omitted(event))

    async def _data(self, event: Event) -> Data:
        if event.file is not None:
            return shown(event.file, event.file.owner)
        if event.presence is not None:
            seen = event.presence.last_seen
            last_seen = None if seen is None else moment(seen)
            return UserThere(event.key, event.presence.status, last_seen)
        assert event.conversation is not None  # it is about one
        if event.stored is not None:
            shards = self._storage.shards
            (message,) = await views.messages(shards, [event.stored], event.conversation)
            return message
        if event.failure is not None:
            return await self._undelivered(event.failure)
        if event.user is not None:
            return Watermark(event.key, event.user, event.seq)
        return views.conversation(event.conversation)

    async def _undelivered(self, failure: Failure) -> Undelivered:
        place = Range(failure.conversation, failure.seq - 1, failure.seq, 1)
        (found,) = await self._storage.shards.history([place])
        return Undelivered(
            failure.conversation,
            found[0].id if found else None,
            failure.seq,
            failure.user,
            failure.account,
            failure.reason,
        )


def _omitted(event: Event) -> Omitted:
    if event.file is not None:
        return Omitted("too_large", None, None, event.key)
    return Omitted("too_large", event.key, event.seq, None)


def _encode(event: Event, data: Data) -> bytes:
    return msgspec.json.encode(
        {"id": event.id, "type": event.type, "timestamp": moment(event.at), "data": data}
    )
