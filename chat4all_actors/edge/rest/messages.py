"""Messages: write one, change it, read what was written and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct, field

from chat4all_protocol.codec import decode_body
from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.frames import Channel, FileBody, Id, MemberName, SendBody, TextBody, Username
from chat4all_storage.ports.outbox import is_external

from ...conversation import appends
from ...conversation.attaching import attached
from ...conversation.posting import judge
from . import statuses, submitting, views
from .decoding import check_free_form
from .errors import ApiError, invalid, not_found
from .models import (
    AnyPayload,
    FilePayload,
    Message,
    Metadata,
    Payload,
    TextPayload,
    moment,
)
from .operations import Routes
from .rules import ONE_ITEM, TEXT, one_of, way
from .statuses import StatusReport

if TYPE_CHECKING:
    from chat4all_storage.ports.events import Append, StoredEvent

    from .call import Call

routes = Routes("Messages", "Write, change and read messages.")


class NewMessage(Struct, frozen=True):
    """A message to a conversation, or to somebody."""

    payload: Payload
    conversation_id: Id | None = None
    recipient_id: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    """A user's name, or an external address such as `whatsapp:+5511999998888`."""
    message_id: Id | None = None
    """Chosen by the sender: the same message again is stored once."""
    from_: Username | None = field(default=None, name="from")
    """For service clients: in whose name."""
    to: Annotated[list[MemberName], Meta(max_length=1000)] | None = None
    """Taken as `recipient_id` when it names one, and there is no `conversation_id`."""
    channels: Annotated[list[Channel], Meta(max_length=16)] | None = None
    """Where it is to go beside its members here: `internal` nowhere, names of accounts there, `all`
    everywhere; to people on channels, and to members who are linked to one. Without it: to the
    people on channels."""
    reply_to: Id | Annotated[int, Meta(ge=1)] | None = None
    """The message that it answers: its id, or its sequence number."""
    metadata: Metadata | None = None


class Accepted(Struct, frozen=True):
    """The message is stored for good, and on its way to everybody."""

    message_id: Id
    conversation_id: Id
    sequence_number: Annotated[int, Meta(ge=1)]
    status: str
    accepted_at: datetime


_HI = NewMessage(
    payload=TextPayload("Hi Bob, how are you?"),
    recipient_id="bob",
    message_id="7d444840-9dc0-41d1-b245-5ffdce74fad2",
)
_OLA = NewMessage(payload=TextPayload("Olá!"), recipient_id="whatsapp:+5511999998888")


@routes.post(
    "/v1/messages",
    body=NewMessage,
    answers={202: Accepted},
    errors=(ErrorCode.NOT_FOUND, ErrorCode.CONFLICT, ErrorCode.CHANNEL_UNAVAILABLE),
    scope="messages:write",
    rules=one_of(
        way("recipient_id", conversation_id=TEXT),
        way("conversation_id", recipient_id=TEXT),
        way("conversation_id", "recipient_id", to=ONE_ITEM),
    ),
    examples={"to a user": _HI, "to somebody on WhatsApp": _OLA},
)
async def send_message(call: Call, body: NewMessage) -> Accepted:
    """Send a message.

    It is answered when the message is committed. The same `message_id` of the same sender is stored
    once: again, it is answered likewise, and with other content refused. Without one, the
    `Idempotency-Key` stands in.
    """
    sender = call.caller.acting_for(body.from_).user("from")
    content = content_of(call, body.payload, body.metadata, body.channels)
    call.spend_message(sender)
    conversation = await _conversation(call, sender, body)
    append = appends.message(
        conversation,
        sender,
        call.id("message", body.message_id),
        content,
        reply_to=await submitting.reply_to(call, conversation, sender, body.reply_to),
        meta=body.metadata,
        channels=body.channels,
    )
    stored = await submitting.submit(call, await _whole(call, append, content))
    return Accepted(append.id, conversation, stored.seq, "accepted", moment(stored.ts))


async def _whole(call: Call, append: Append, content: SendBody) -> Append:
    """The event as it is stored: what its file is, the server tells.

    Raises:
        FileRefused: its sender has no such file, or it is not ready.
        StorageError: that can't be found out for now.
    """
    if isinstance(content, TextBody):
        return append
    files, shards = call.services.files, call.storage.shards
    return await attached(files, shards, append, content, field="payload.file_id")


def content_of(
    call: Call,
    payload: Payload,
    metadata: Metadata | None = None,
    channels: list[str] | None = None,
) -> SendBody:
    """The payload as it is stored.

    Raises:
        ApiError: it is not what a message may hold.
    """
    if metadata is not None:
        check_free_form("metadata", metadata)
    content: SendBody
    if isinstance(payload, FilePayload):
        content = FileBody(payload.file_id, payload.text)
    else:
        content = TextBody(payload.text)
    accounts = call.services.conversations.outside.accounts
    if (unfit := judge(call.services.settings, content, metadata, channels, accounts)) is not None:
        name = {"meta": "metadata"}.get(unfit.field, unfit.field.replace("body.", "payload."))
        raise ApiError(unfit.code, unfit.message.replace("meta ", "metadata "), field=name)
    return content


async def _conversation(call: Call, sender: str, body: NewMessage) -> str:
    """The conversation that the message goes to; a private one is made when it is the first."""
    if body.conversation_id is not None:
        if body.recipient_id is not None:
            raise invalid("recipient_id", "conversation_id and recipient_id exclude each other")
        return body.conversation_id
    recipient = body.recipient_id
    if recipient is None and body.to is not None and len(body.to) == 1:
        recipient = body.to[0]
    if recipient is None:
        raise invalid("conversation_id", "conversation_id or recipient_id is required")
    if is_external(recipient):
        outside = call.services.conversations.outside
        recipient = (await outside.canonical([recipient], "recipient_id"))[recipient]
    return await submitting.private_with(call, sender, recipient)


# --- one message ----------------------------------------------------------------------------------


class Revision(Struct, frozen=True):
    """What a message said before."""

    payload: AnyPayload
    replaced_at: datetime


class RevisionList(Struct, frozen=True):
    """The oldest first; none of a message that was never edited, or is deleted."""

    revisions: list[Revision]


class NewPayload(Struct, frozen=True):
    """What a message is to say instead."""

    payload: Payload


@routes.get("/v1/messages/{message_id}", answers={200: Message}, scope="messages:read")
async def read_message(call: Call, message_id: str) -> Message:
    """Read one message."""
    user = call.caller.user()
    event = await submitting.event_of(call, user, message_id)
    return await _shown(call, event)


async def _shown(call: Call, event: StoredEvent) -> Message:
    stored = await submitting.conversation_of(call, event.conversation)
    (shown,) = await views.messages(call.storage.shards, [event], stored)
    return shown


@routes.get("/v1/messages/{message_id}/status", answers={200: StatusReport}, scope="messages:read")
async def read_status(call: Call, message_id: str) -> StatusReport:
    """Tell what became of a message: who has received it, who has read it, whom it can't reach.

    What goes to other channels is told for each account; deliveries are known for a while, then
    `status_history` has receipts alone.
    """
    user = call.caller.user()
    event = await submitting.event_of(call, user, message_id)
    receipts = await call.storage.shards.receipts(event.conversation, event.seq, user)
    if receipts is None:
        raise not_found("no such message")
    progress = await call.storage.channels.deliveries.progress(event.conversation, event.seq)
    age = call.services.wall_clock() - event.ts / 1000
    forgotten = age >= call.services.settings.channel_kept
    return statuses.report(event, receipts, progress, forgotten=forgotten)


@routes.get(
    "/v1/messages/{message_id}/revisions", answers={200: RevisionList}, scope="messages:read"
)
async def read_revisions(call: Call, message_id: str) -> RevisionList:
    """Tell what a message said before it was edited."""
    user = call.caller.user()
    event = await submitting.event_of(call, user, message_id)
    found = await call.storage.shards.revisions(event.conversation, event.seq, user)
    if found is None:
        raise not_found("no such message")
    return RevisionList(
        [
            Revision(views.payload(decode_body(each.body)), moment(each.until))
            for each in found
            if each.body is not None
        ]
    )


@routes.post("/v1/messages/{message_id}/read", answers={204: None}, scope="messages:write")
async def mark_read(call: Call, message_id: str) -> None:
    """Mark everything up to this message as read."""
    user = call.caller.user()
    event = await submitting.event_of(call, user, message_id)
    await submitting.mark_read(call, event.conversation, user, event.seq)


@routes.patch(
    "/v1/messages/{message_id}",
    body=NewPayload,
    answers={200: Message},
    errors=(ErrorCode.CONFLICT,),
    scope="messages:write",
    examples={"another text": NewPayload(TextPayload("Hi Bob, how have you been?"))},
)
async def edit_message(call: Call, message_id: str, body: NewPayload) -> Message:
    """Replace what an own message says; what it said before is kept."""
    user = call.caller.user()
    content = content_of(call, body.payload)
    event = await submitting.message_of(call, user, message_id)
    append = appends.edit(event.conversation, user, call.id("edit"), event.seq, content)
    call.spend_message(user)
    await submitting.submit(call, await _whole(call, append, content))
    return await read_message(call, message_id)


@routes.delete(
    "/v1/messages/{message_id}",
    answers={204: None},
    errors=(ErrorCode.CONFLICT,),
    scope="messages:write",
)
async def delete_message(call: Call, message_id: str) -> None:
    """Delete a message: its place stays, and nothing of what it said.

    For its author, and for owners and admins of its group. Once deleted it stays so: again, this
    changes nothing.
    """
    user = call.caller.user()
    event = await submitting.message_of(call, user, message_id)
    if event.deleted:
        return
    append = appends.delete(event.conversation, user, call.id("delete"), event.seq)
    await submitting.submit(call, append)
