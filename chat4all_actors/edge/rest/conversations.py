"""Conversations: make, find and change them, and read what was said."""

from __future__ import annotations

import base64
import struct
import uuid
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.frames import ConversationType, MemberName
from chat4all_storage.sharding import everywhere

from ...conversation import appends
from . import submitting, views
from .decoding import check_free_form
from .errors import ApiError, not_found
from .models import DAY, Conversation, Cursor, Message, Metadata, Title
from .operations import Answer, Routes
from .rules import at_least_one

if TYPE_CHECKING:
    from chat4all_storage.ports.queries import Place

    from .call import Call

routes = Routes("Conversations", "Who talks with whom, and what was said.")

MAX_PAGE: Final = 100


class NewConversation(Struct, frozen=True):
    """Who is to talk with each other."""

    type: ConversationType
    members: Annotated[list[MemberName], Meta(min_length=1, max_length=1000)]
    """The other members, users and people on channels; the caller is one anyway."""
    title: Title | None = None
    metadata: Metadata | None = None


class ConversationChange(Struct, frozen=True):
    """What is to be different; what is left out stays."""

    title: Title | UnsetType | None = UNSET
    metadata: Metadata | UnsetType | None = UNSET
    retention_days: Annotated[int, Meta(ge=1, le=36500)] | UnsetType | None = UNSET
    """Messages are emptied when they are so old; null keeps them."""


class ConversationList(Struct, frozen=True):
    """Conversations, the most active first."""

    conversations: list[Conversation]
    next_cursor: str | None


class ListQuery(Struct, frozen=True):
    """Which part of the list."""

    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="Conversations at most")] = 50
    cursor: Cursor | None = None


class History(Struct, frozen=True):
    """Events of a conversation, by ascending `sequence_number`."""

    messages: list[Message]
    next_cursor: int | None
    """The next page's `after` or, going back, its `before`."""
    has_more: bool


class HistoryQuery(Struct, frozen=True):
    """Which part of the history: the end of it, when neither bound is given.

    With both it is what lies between them, from its beginning, such as a `gap` names it.
    """

    after: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    """The first events after this sequence number."""
    before: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None
    """The last events before this sequence number."""
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="Events at most")] = 50


@routes.post(
    "/v1/conversations",
    body=NewConversation,
    answers={201: Conversation, 200: Conversation},
    errors=(ErrorCode.NOT_FOUND, ErrorCode.CONFLICT, ErrorCode.CHANNEL_UNAVAILABLE),
    scope="conversations:write",
    rules={
        "anyOf": [
            {"properties": {"type": {"const": "group"}}},
            {
                "properties": {
                    "type": {"const": "private"},
                    "members": {"maxItems": 2},
                    "title": {"type": "null"},
                }
            },
        ]
    },
    examples={
        "a pair": NewConversation("private", ["bob"]),
        "a group": NewConversation("group", ["bob", "carla"], title="The team"),
    },
)
async def create_conversation(call: Call, body: NewConversation) -> Answer:
    """Create a conversation.

    The private conversation of a pair exists once: again, it is answered with 200. The creator of
    a group owns it; a service client that names no user makes the first member its owner.
    """
    if body.metadata is not None:
        check_free_form("metadata", body.metadata)
    joins = call.caller.acts_for_a_user
    stored, made = await call.services.conversations.create(
        body.type,
        call.caller.user() if joins else call.caller.identity.username,
        body.members,
        body.title,
        metadata=body.metadata,
        id_=call.id("conversation") if body.type == "group" else None,
        joins=joins,
        trace=call.trace,
    )
    return Answer(views.conversation(stored), 201 if made else 200)


@routes.get(
    "/v1/conversations",
    query=ListQuery,
    answers={200: ConversationList},
    scope="conversations:read",
)
async def list_conversations(call: Call, query: ListQuery) -> ConversationList:
    """List the caller's conversations, the most active first."""
    before = None if query.cursor is None else _place(query.cursor)
    found = await everywhere.listing(
        call.storage.shards, call.caller.user(), before=before, limit=query.limit + 1
    )
    cursor = _cursor(found[query.limit - 1].place) if len(found) > query.limit else None
    return ConversationList([views.listed(each) for each in found[: query.limit]], cursor)


_CURSOR: Final = struct.Struct(">q16s")


def _cursor(place: Place) -> str:
    active_at, conversation = place
    packed = _CURSOR.pack(active_at, uuid.UUID(conversation).bytes)
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def _place(cursor: str) -> Place:
    """Where the page before ended; every `Cursor` names a place."""
    active_at, raw = _CURSOR.unpack(base64.urlsafe_b64decode(cursor))
    return active_at, str(uuid.UUID(bytes=raw))


@routes.get(
    "/v1/conversations/{conversation_id}",
    answers={200: Conversation},
    scope="conversations:read",
)
async def read_conversation(call: Call, conversation_id: str) -> Conversation:
    """Read one conversation."""
    return views.conversation(await submitting.conversation_of(call, conversation_id))


@routes.patch(
    "/v1/conversations/{conversation_id}",
    body=ConversationChange,
    answers={200: Conversation},
    errors=(ErrorCode.CONFLICT,),
    scope="conversations:write",
    rules=at_least_one(ConversationChange.__struct_fields__),
    examples={"another title": ConversationChange(title="The whole team")},
)
async def change_conversation(
    call: Call, conversation_id: str, body: ConversationChange
) -> Conversation:
    """Change a group's title, metadata or retention; for its owners and admins."""
    if body.metadata is not UNSET and body.metadata is not None:
        check_free_form("metadata", body.metadata)
    if body == ConversationChange():
        raise ApiError(
            ErrorCode.INVALID_PAYLOAD, "name what to change: title, metadata or retention_days"
        )
    days = body.retention_days
    append = appends.change(
        conversation_id,
        call.caller.user(),
        call.id("change"),
        title=body.title,
        metadata=body.metadata,
        retention=days * DAY if isinstance(days, int) else days,
    )
    await submitting.submit(call, append)
    return await read_conversation(call, conversation_id)


@routes.get(
    "/v1/conversations/{conversation_id}/messages",
    query=HistoryQuery,
    answers={200: History},
    scope="messages:read",
)
async def read_history(call: Call, conversation_id: str, query: HistoryQuery) -> History:
    """Read what was said.

    Every durable event of the conversation has its place here, so sequence numbers have no gaps;
    `kind` tells messages from the others.
    """
    stored = await submitting.conversation_of(call, conversation_id)
    page = await call.storage.shards.page(
        conversation_id,
        call.caller.user(),
        after=query.after,
        before=query.before if query.after is None else None,
        limit=query.limit,
    )
    if page is None:
        raise not_found("no such conversation")
    events = page.events
    if query.after is not None:
        end = page.head if query.before is None else min(page.head, query.before - 1)
        events = [event for event in events if event.seq <= end]
        more = bool(events) and events[-1].seq < end
        cursor = events[-1].seq if more else None
    else:
        more = bool(events) and events[0].seq > 1
        cursor = events[0].seq if more else None
    return History(await views.messages(call.storage.shards, events, stored), cursor, more)
