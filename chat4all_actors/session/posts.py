"""What a live session says, changes or reacts to: judged here, stored by its conversation.

The answer comes from the conversation (`messages.Origin`); what is refused before is answered here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.frames import Error, FileBody, TextBody
from chat4all_storage.ports.logical_shards import logical_shard

from ..conversation import appends
from ..conversation.attaching import attached
from ..conversation.posting import judge
from ..kernel import ActorStopped, MailboxFull
from ..limits.limits import MESSAGES
from ..messages import Post
from ..tracing import current_trace_bytes
from ..wire import not_found, refusal, unavailable
from .refusing import telling

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from chat4all_protocol.frames import Delete, Edit, React, Send, SendBody
    from chat4all_storage.ports.events import Append

    from ..conversation.actor import ConversationActor
    from .session import Session


def send(session: Session, frame: Send) -> Awaitable[None] | None:
    """Store a message."""
    if not _fits(session, frame.rid, frame.body, frame.meta, frame.channels):
        return None
    if not _in_time(session, frame.rid):
        return None
    append = appends.message(
        frame.conv,
        session.user,
        frame.id,
        frame.body,
        reply_to=frame.reply_to,
        meta=frame.meta,
        channels=frame.channels,
        trace=current_trace_bytes(),
    )
    return _say(session, append, frame)


def edit(session: Session, frame: Edit) -> Awaitable[None] | None:
    """Store what a message is to say instead."""
    if not (_fits(session, frame.rid, frame.body) and _in_time(session, frame.rid)):
        return None
    trace = current_trace_bytes()
    append = appends.edit(frame.conv, session.user, frame.id, frame.target, frame.body, trace=trace)
    return _say(session, append, frame)


def _say(session: Session, append: Append, frame: Send | Edit) -> Awaitable[None] | None:
    """Post what somebody says; a file is looked up before."""
    if type(frame.body) is TextBody:
        return _post(session, append, frame.rid)
    return telling(session, frame.rid, _attach(session, append, frame))


async def _attach(session: Session, append: Append, frame: Send | Edit) -> None:
    assert isinstance(frame.body, FileBody)
    services = session.services
    shards = services.conversations.storage.shards
    whole = await attached(services.files, shards, append, frame.body, field="body.file_id")
    if (wait := _post(session, whole, frame.rid)) is not None:
        await wait


def delete(session: Session, frame: Delete) -> Awaitable[None] | None:
    """Store that a message is deleted."""
    if not _in_time(session, frame.rid):
        return None
    trace = current_trace_bytes()
    append = appends.delete(frame.conv, session.user, frame.id, frame.target, trace=trace)
    return _post(session, append, frame.rid)


def react(session: Session, frame: React) -> Awaitable[None] | None:
    """Store a reaction to a message, or that it is taken back."""
    if not _in_time(session, frame.rid):
        return None
    append = appends.react(
        frame.conv,
        session.user,
        frame.id,
        frame.target,
        frame.emoji,
        on=frame.on,
        trace=current_trace_bytes(),
    )
    return _post(session, append, frame.rid)


def _fits(
    session: Session,
    rid: int,
    body: SendBody,
    meta: dict[str, Any] | None = None,
    channels: list[str] | None = None,
) -> bool:
    """Whether the message is one that may be sent; else it is refused."""
    services = session.services
    accounts = services.conversations.outside.accounts
    unfit = judge(services.settings, body, meta, channels, accounts)
    if unfit is not None:
        session.send(refusal(unfit.code, unfit.message, rid, field=unfit.field))
    return unfit is None


def _in_time(session: Session, rid: int) -> bool:
    """Whether the user has not sent too many lately; else this one is refused."""
    wait = session.services.limits.take(MESSAGES, session.user)
    if wait:
        session.send(
            Error(
                code=ErrorCode.RATE_LIMITED,
                message="too many messages",
                temporary=True,
                rid=rid,
                retry_after_ms=int(wait * 1000) + 1,
            )
        )
    return not wait


def _post(session: Session, append: Append, rid: int) -> Awaitable[None] | None:
    post = Post(append, rid, session)
    conversation = session.services.conversations.read_by(append.conversation, session)
    if conversation is None:
        return telling(session, rid, _reach(session, post))
    return _hand_over(session, post, conversation)


async def _reach(session: Session, post: Post) -> None:
    """Post to a conversation that the session does not read."""
    id_ = post.append.conversation
    if logical_shard(id_) in session.missing:  # it is introduced first, then sent to
        session.send(unavailable(post.rid))
        return
    conversation = await session.services.conversations.reach(id_, session)
    if conversation is None:
        session.send(not_found(post.rid))
    elif (wait := _hand_over(session, post, conversation)) is not None:
        await wait


def _hand_over(
    session: Session, post: Post, conversation: ConversationActor
) -> Awaitable[None] | None:
    session.posted()
    try:
        conversation.tell_nowait(post)
    except MailboxFull:
        return _hand_over_patiently(session, post, conversation)
    except ActorStopped:
        session.lost(post)
    return None


async def _hand_over_patiently(
    session: Session, post: Post, conversation: ConversationActor
) -> None:
    try:
        await conversation.tell(post)
    except ActorStopped:
        session.lost(post)
