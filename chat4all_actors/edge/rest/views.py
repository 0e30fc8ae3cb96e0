"""What is stored, as the API shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from msgspec import UNSET

from chat4all_protocol.codec import decode_body, decode_meta
from chat4all_protocol.frames import FileBody, TextBody
from chat4all_storage.ports.shard import Range

from .models import (
    DAY,
    AnyPayload,
    Conversation,
    FilePayload,
    LastMessage,
    MemberPayload,
    Message,
    MessageStatus,
    Role,
    SettingsPayload,
    TextPayload,
    moment,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from chat4all_protocol.frames import Body
    from chat4all_storage.ports.events import StoredEvent
    from chat4all_storage.ports.queries import Listed
    from chat4all_storage.ports.shard import Conversation as StoredConversation
    from chat4all_storage.ports.shard import MemberInfo
    from chat4all_storage.sharding.shards import Shards


def payload(body: Body) -> AnyPayload:
    """A body as a payload."""
    if isinstance(body, TextBody):
        return TextPayload(body.text)
    if isinstance(body, FileBody):
        return FilePayload(
            file_id=body.file_id,
            text=body.text,
            filename=body.name,
            size=body.size,
            mime_type=body.mime,
            width=body.width,
            height=body.height,
            thumbnail=body.thumbnail,
        )
    return MemberPayload(body.user, body.role)


def _change(meta: dict[str, Any]) -> AnyPayload:
    """What a `change` event says, as a payload."""
    if "user" in meta:
        return MemberPayload(meta["user"], meta.get("role"))
    days = meta.get("retention", UNSET)
    return SettingsPayload(
        title=meta.get("title", UNSET),
        metadata=meta.get("metadata", UNSET),
        retention_days=days // DAY if isinstance(days, int) else days,
    )


def status(event: StoredEvent, members: Mapping[str, MemberInfo]) -> MessageStatus:
    """How far an event has come: as far as with the last of the other members."""
    others = [
        member
        for name, member in members.items()
        if name != event.sender and member.since <= event.seq
    ]
    if others and all(member.read >= event.seq for member in others):
        return "READ"
    if others and all(member.recv >= event.seq for member in others):
        return "DELIVERED"
    return "SENT"


def message(
    event: StoredEvent,
    members: Mapping[str, MemberInfo],
    answered: Mapping[int, str],
) -> Message:
    """An event as a message; `answered` names those that others answer, by sequence number."""
    shown = None if event.body is None else payload(decode_body(event.body))
    metadata = None if event.meta is None else decode_meta(event.meta)
    if event.kind == "change":
        shown, metadata = _change(metadata or {}), None
    return Message(
        message_id=event.id,
        conversation_id=event.conversation,
        sequence_number=event.seq,
        from_=event.sender,
        payload=shown,
        reply_to=None if event.reply_to is None else answered.get(event.reply_to),
        status=status(event, members),
        edited_at=None if event.edited_at is None else moment(event.edited_at),
        deleted_at=None if event.deleted_at is None else moment(event.deleted_at),
        created_at=moment(event.ts),
        metadata=metadata,
        kind=event.kind,
        target=event.target,
        channel=event.channel,
    )


async def messages(
    shards: Shards, events: Sequence[StoredEvent], stored: StoredConversation
) -> list[Message]:
    """Events of one conversation as messages."""
    answered = await _ids(shards, stored.id, {e.reply_to for e in events if e.reply_to}, events)
    return [message(event, stored.members, answered) for event in events]


async def _ids(
    shards: Shards, conversation: str, wanted: set[int], at_hand: Iterable[StoredEvent]
) -> dict[int, str]:
    """The ids of the events at these sequence numbers."""
    known = {event.seq: event.id for event in at_hand if event.seq in wanted}
    ranges = [Range(conversation, seq - 1, seq, 1) for seq in wanted - known.keys()]
    for found in await shards.history(ranges) if ranges else ():
        known |= {event.seq: event.id for event in found}
    return known


def conversation(stored: StoredConversation) -> Conversation:
    """A conversation, whole."""
    return Conversation(
        conversation_id=stored.id,
        type=stored.type,
        title=stored.title,
        members=list(stored.members),
        member_count=len(stored.members),
        roles={name: cast("Role", member.role) for name, member in stored.members.items()},
        last_seq=stored.head,
        created_at=moment(stored.created_at),
        created_by=stored.created_by,
        metadata=None if stored.metadata is None else decode_meta(stored.metadata),
        retention_days=None if stored.retention is None else stored.retention // DAY,
    )


def listed(stored: Listed) -> Conversation:
    """A conversation as the list of one of its members shows it."""
    last = stored.last
    return Conversation(
        conversation_id=stored.conversation,
        type=stored.type,
        title=stored.title,
        members=list(stored.members),
        member_count=stored.member_count,
        roles={name: cast("Role", role) for name, role in stored.members.items()},
        last_seq=stored.head,
        created_at=moment(stored.created_at),
        created_by=stored.created_by,
        metadata=None if stored.metadata is None else decode_meta(stored.metadata),
        retention_days=None if stored.retention is None else stored.retention // DAY,
        unread=stored.unread,
        last_message=None
        if last is None
        else LastMessage(
            message_id=last.id,
            sequence_number=last.seq,
            from_=last.sender,
            payload=None if last.body is None else payload(decode_body(last.body)),
            created_at=moment(last.ts),
        ),
        read_seq=stored.read,
        updated_at=moment(stored.active_at),
    )
