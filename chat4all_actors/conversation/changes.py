"""Passing an event that changes who the members are, or what the conversation is.

The store has done it already. Here the sessions of a new member are let in and those of a former
one out, at the place of the event among the others; and everybody is shown what has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from chat4all_protocol.codec import decode_body, decode_meta
from chat4all_protocol.frames import Member, MemberBody

from ..wire import framed, view
from .reading import read_conversation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chat4all_storage.ports.events import StoredEvent

    from ..messages import Passing, Reader
    from .surroundings import Surroundings


class Room(Protocol):
    """The conversation, as it is changed."""

    id: str
    head: int
    changed_at: int
    """No event after this one, up to the head, has changed the members."""
    readers: dict[Reader, None]
    members: Sequence[str] | None
    surroundings: Surroundings

    async def deliver(self, run: list[Passing]) -> None:
        """Give events that follow the head to the readers, and move it."""


async def pass_change(room: Room, event: StoredEvent, passing: Passing) -> None:
    """Pass the event, which follows the head; it is the one that `passing` takes to the readers."""
    if event.kind == "change":
        await _pass_settings(room, event, passing)
    else:
        await _pass_member(room, event, passing)


async def _pass_member(room: Room, event: StoredEvent, passing: Passing) -> None:
    body = decode_body(event.body) if event.body is not None else None
    if not isinstance(body, MemberBody):
        raise ValueError(f"event {event.seq} of {room.id} names no member")
    user, leaves = body.user, event.kind == "leave"
    local = room.surroundings.local
    stored = await read_conversation(room.surroundings.shards, room.id)
    room.members, room.changed_at = list(stored.members), event.seq
    if passing.post is not None:
        room.surroundings.relay.changed(room, event.seq, user, joined=not leaves)
    if leaves:
        for reader in local.of(user):
            room.readers.pop(reader, None)
    await room.deliver([passing])
    for reader in list(room.readers):
        (reader.parted if leaves else reader.met)(user)
    # Asked again: sessions have come and gone while the event was passed.
    for reader in local.of(user):
        if leaves:
            room.readers.pop(reader, None)
            reader.left(view(stored, head=event.seq, left=True))
        elif reader not in room.readers:  # else it was let in before
            room.readers[reader] = None
            reader.entered(view(stored, head=room.head))


async def _pass_settings(room: Room, event: StoredEvent, passing: Passing) -> None:
    """Show the conversation as it is now, after the event.

    Who is behind does without that: the event says what has changed.
    """
    stored = await read_conversation(room.surroundings.shards, room.id)
    if passing.post is not None:
        room.surroundings.relay.changed(room, event.seq, None, joined=False)
    await room.deliver([passing])
    meta = decode_meta(event.meta) if event.meta is not None else {}
    user = meta.get("user")
    details: dict[str, Member] | None = None
    if user in stored.members:
        its = stored.members[user]
        details = {user: Member(role=its.role, recv=its.recv, read=its.read)}
    data = framed(view(stored, head=room.head, changed=True, details=details))
    for reader in list(room.readers):
        reader.deliver_passing(data)
