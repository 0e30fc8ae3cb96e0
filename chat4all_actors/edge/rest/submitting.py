"""Through the conversation's actor into its log, and back with what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.ids import private_conversation_id
from chat4all_storage.ports.events import Mark
from chat4all_storage.ports.outbox import is_external
from chat4all_storage.sharding import everywhere

from ...conversation.storing import Stored, mark, store
from .errors import ApiError, invalid, not_found, of_frame, unknown_outcome

if TYPE_CHECKING:
    from chat4all_storage.ports.events import Append, StoredEvent
    from chat4all_storage.ports.shard import Conversation

    from .call import Call


async def submit(call: Call, append: Append) -> Stored:
    """Have an event stored and passed to everybody.

    Raises:
        ApiError: it was not stored, or its outcome is not known.
        StorageError: the conversation could not be reached, and nothing was stored.
    """
    outcome = await store(call.services.conversations, replace(append, trace=call.trace))
    if outcome is None:
        raise unknown_outcome()
    if not isinstance(outcome, Stored):
        raise of_frame(outcome)
    return outcome


async def private_with(call: Call, user: str, other: str) -> str:
    """The private conversation of these two, made if there is none.

    Raises:
        Refusal: there is no such user.
        StorageError: it can't be read or made now.
    """
    conversations = call.services.conversations
    id_ = private_conversation_id(user, other)
    if conversations.get(id_) is None and await call.storage.shards.conversation(id_) is None:
        stored, _ = await conversations.create("private", user, [other], None)
        return stored.id  # by the names as they were registered
    return id_


async def conversation_of(call: Call, conversation_id: str) -> Conversation:
    """The conversation, if the caller is one of its members.

    Raises:
        ApiError: there is no such conversation for this caller.
    """
    stored = await call.storage.shards.conversation(conversation_id)
    if stored is None or call.caller.user() not in stored.members:
        raise not_found("no such conversation")
    return stored


async def event_of(call: Call, user: str, message_id: str) -> StoredEvent:
    """The event of this id that the user may read.

    Of several (ids are unique for a sender in a conversation only) its own comes first.

    Raises:
        ApiError: there is none.
    """
    found = [each.event for each in await everywhere.find(call.storage.shards, message_id, user)]
    if not found:
        raise not_found("no such message")
    return min(found, key=lambda event: (event.sender != user, event.ts, event.conversation))


async def message_of(call: Call, user: str, message_id: str) -> StoredEvent:
    """The message of this id, to change it or to react to it.

    Raises:
        ApiError: there is none, or another kind of event has the id.
    """
    event = await event_of(call, user, message_id)
    if event.kind != "message":
        raise ApiError(ErrorCode.CONFLICT, f"this is no message but a {event.kind}, and stays")
    return event


async def reply_to(
    call: Call, conversation: str, user: str, target: str | int | None
) -> int | None:
    """The sequence number of what a message answers.

    Raises:
        ApiError: it is no message of the conversation.
    """
    if target is None or isinstance(target, int):
        return target  # the log judges it
    for found in await everywhere.find(call.storage.shards, target, user):
        if found.conversation == conversation:
            return found.event.seq
    raise invalid("reply_to", "reply_to names no message of this conversation")


async def canonical(call: Call, username: str) -> str:
    """The name as its user registered it; of somebody on a channel as its member is called.

    Raises:
        ApiError: there is no such user.
        Refusal: nobody can be reached there.
    """
    if is_external(username):
        outside = call.services.conversations.outside
        return (await outside.canonical([username], "username"))[username]
    found = await call.storage.directory.canonical_names([username])
    if username not in found:
        raise not_found(f"no such user: {username}")
    return found[username]


async def mark_read(call: Call, conversation: str, user: str, seq: int) -> None:
    """Raise the user's watermarks for good, and let the others know.

    Marks are best effort on their way to the store, and a later one takes an earlier one's place:
    what was not heard of is looked up, and said again.

    Raises:
        ApiError: the user is no member (any more).
        StorageError: the store can't be read.
    """
    wanted = Mark(conversation, user, seq, seq)
    while not await mark(call.services.conversations, wanted):
        stored = await conversation_of(call, conversation)
        if stored.members[user].read >= seq:
            return
