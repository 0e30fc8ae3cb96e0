"""What a live session does with each frame of its client."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.frames import (
    Create,
    Delete,
    Edit,
    Error,
    Fetch,
    Info,
    Member,
    Mode,
    Ok,
    Page,
    Ping,
    Pong,
    React,
    Read,
    Recv,
    Refresh,
    Send,
    Typing,
    Watch,
)
from chat4all_storage.ports import InDoubt, StorageError, event_size
from chat4all_storage.sharding import logical_shard

from . import appends
from .accounts.tokens import TokenRefused
from .conversations import Refusal
from .kernel import ActorStopped, MailboxFull
from .limits.limits import MESSAGES
from .messages import Compose, MarkRead, Post
from .posting import judge
from .tracing import current_trace_bytes
from .watching import TooManyWatched
from .wire import message, not_found, refusal, unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chat4all_protocol.frames import AnyClientFrame, SendBody
    from chat4all_storage.ports import Append, StoredEvent

    from .session import Session

_ACTS: Final = frozenset({Send, Edit, Delete, React, Read, Typing, Create})
"""What a client sends because its user did something."""


async def handle(session: Session, frame: AnyClientFrame) -> None:
    """Act on a frame; the answer, if it has one, may come later."""
    if type(frame) in _ACTS:
        session.acted()
    handler = _HANDLERS.get(type(frame))
    if handler is not None:
        await handler(session, frame)
    else:
        name = frame.__struct_config__.tag
        session.send(
            refusal(
                ErrorCode.UNKNOWN_FRAME,
                f"{name} is not offered by this server",
                getattr(frame, "rid", None),
            )
        )


async def _send(session: Session, frame: Send) -> None:
    if (error := _check(session, frame)) is not None:
        session.send(error)
        return
    append = appends.message(
        frame.conv,
        session.user,
        frame.id,
        frame.body,
        reply_to=frame.reply_to,
        meta=frame.meta,
        trace=current_trace_bytes(),
    )
    await _post(session, append, frame.rid)


async def _edit(session: Session, frame: Edit) -> None:
    if (
        error := _check_fit(session, frame.body, frame.rid) or _check_rate(session, frame.rid)
    ) is not None:
        session.send(error)
        return
    trace = current_trace_bytes()
    append = appends.edit(frame.conv, session.user, frame.id, frame.target, frame.body, trace=trace)
    await _post(session, append, frame.rid)


async def _delete(session: Session, frame: Delete) -> None:
    if (error := _check_rate(session, frame.rid)) is not None:
        session.send(error)
        return
    trace = current_trace_bytes()
    append = appends.delete(frame.conv, session.user, frame.id, frame.target, trace=trace)
    await _post(session, append, frame.rid)


async def _post(session: Session, append: Append, rid: int) -> None:
    post, id_ = Post(append, rid, session), append.conversation
    conversations = session.services.conversations
    conversation = conversations.read_by(id_, session)
    if conversation is None:
        if logical_shard(id_) in session.missing:  # it is introduced first, then sent to
            session.send(unavailable(rid))
            return
        try:
            conversation = await conversations.reach(id_, session)
        except StorageError:
            session.send(unavailable(rid))
            return
        if conversation is None:
            session.send(not_found(rid))
            return
    session.posted()
    try:
        await conversation.tell_patiently(post)
    except ActorStopped:
        session.lost(post)


def _check(session: Session, frame: Send) -> Error | None:
    """Why the message can't be taken, if so."""
    if (
        error := _check_fit(session, frame.body, frame.rid, frame.meta, frame.channels)
    ) is not None:
        return error
    return _check_rate(session, frame.rid)


def _check_fit(
    session: Session,
    body: SendBody,
    rid: int,
    meta: dict[str, Any] | None = None,
    channels: list[str] | None = None,
) -> Error | None:
    unfit = judge(session.services.settings, body, meta, channels)
    return None if unfit is None else refusal(unfit.code, unfit.message, rid, field=unfit.field)


def _check_rate(session: Session, rid: int) -> Error | None:
    if wait := session.services.limits.take(MESSAGES, session.user):
        return Error(
            code=ErrorCode.RATE_LIMITED,
            message="too many messages",
            temporary=True,
            rid=rid,
            retry_after_ms=int(wait * 1000) + 1,
        )
    return None


async def _fetch(session: Session, frame: Fetch) -> None:
    conversations = session.services.conversations
    shards = conversations.storage.shards
    was_reader = conversations.read_by(frame.conv, session) is not None
    try:
        found = await shards.page(
            frame.conv, session.user, after=frame.after, before=frame.before, limit=frame.limit
        )
    except StorageError:
        session.send(unavailable(frame.rid))
        return
    if found is None or (was_reader and conversations.read_by(frame.conv, session) is None):
        # Or it left while the store was asked: nothing follows its `left`.
        session.send(not_found(frame.rid))
        return
    forward = frame.after is not None
    events = _within(found.events, session.services.settings.max_page, forward=forward)
    if forward:
        more = bool(events) and events[-1].seq < found.head
    else:
        more = bool(events) and events[0].seq > 1
    items = [message(event) for event in events]
    session.send(Page(rid=frame.rid, conv=frame.conv, items=items, more=more))


def _within(events: list[StoredEvent], max_bytes: int, *, forward: bool) -> list[StoredEvent]:
    """As many events as fit in a page, from the side that was asked for; at least one."""
    room = max_bytes
    kept = 0
    for event in events if forward else reversed(events):
        room -= event_size(event)
        if kept and room < 0:
            break
        kept += 1
    return events[:kept] if forward else events[len(events) - kept :]


async def _recv(session: Session, frame: Recv) -> None:
    await _mark(session, frame.conv, recv=frame.seq, read=0)


async def _read(session: Session, frame: Read) -> None:
    await _mark(session, frame.conv, recv=frame.seq, read=frame.seq)


async def _mark(session: Session, id_: str, *, recv: int, read: int) -> None:
    conversation = session.services.conversations.read_by(id_, session)
    if conversation is not None:
        with suppress(ActorStopped):  # then the client connects again, and repeats its marks
            await conversation.tell_patiently(MarkRead(session, recv, read))


async def _typing(session: Session, frame: Typing) -> None:
    conversation = session.services.conversations.read_by(frame.conv, session)
    if conversation is not None:
        with suppress(ActorStopped, MailboxFull):  # best effort
            conversation.tell_nowait(Compose(session, frame.kind))


async def _watch(session: Session, frame: Watch) -> None:
    try:
        session.services.presence.watch(session, frame.users)
    except TooManyWatched:
        session.send(unavailable(None, "too many users are watched at this node"))


async def _mode(session: Session, frame: Mode) -> None:
    if frame.invisible is not None:
        try:
            await session.services.presence.set_invisible(session, frame.invisible)
        except InDoubt:
            session.close_internal()  # an error would say that nothing was changed
            return
        except StorageError:
            session.send(unavailable(frame.rid))
            return
    if frame.background is not None:
        if not frame.background:
            session.acted()
        session.put_in_background(frame.background)
    session.send(Ok(rid=frame.rid))


async def _create(session: Session, frame: Create) -> None:
    conversations = session.services.conversations
    try:
        stored, _ = await conversations.create(
            frame.type, session.user, frame.members, frame.title, by=session
        )
    except Refusal as error:
        session.send(refusal(error.code, error.message, frame.rid, field=error.field))
    except InDoubt:
        session.close_internal()  # an error would say that nothing was created
    except StorageError:
        session.send(unavailable(frame.rid))
    else:
        if stored.id not in session.conversations:
            session.conversations.append(stored.id)
        session.send(conversations.frame(stored, frame.rid))
        session.services.presence.watching.met(session, stored.members)


async def _info(session: Session, frame: Info) -> None:
    conversations = session.services.conversations
    was_reader = conversations.read_by(frame.conv, session) is not None
    try:
        stored = await conversations.storage.shards.conversation(frame.conv)
    except StorageError:
        session.send(unavailable(frame.rid))
        return
    left = was_reader and conversations.read_by(frame.conv, session) is None
    if stored is None or session.user not in stored.members or left:
        session.send(not_found(frame.rid))
        return
    details = {
        name: Member(role=member.role, recv=member.recv, read=member.read)
        for name, member in stored.members.items()
    }
    session.send(replace(conversations.frame(stored, frame.rid), details=details))


async def _refresh(session: Session, frame: Refresh) -> None:
    try:
        identity = session.services.tokens.verify(frame.token)
    except TokenRefused as error:
        session.send(refusal(ErrorCode.UNAUTHENTICATED, str(error), frame.rid, field="token"))
        return
    if identity.user_id != session.user_id:
        session.send(
            refusal(ErrorCode.FORBIDDEN, "the token is another user's", frame.rid, field="token")
        )
        return
    if session.services.revocations.refuses(identity):
        session.send(
            refusal(ErrorCode.UNAUTHENTICATED, "the token was revoked", frame.rid, field="token")
        )
        return
    session.show(identity)
    session.send(Ok(rid=frame.rid))


async def _ping(session: Session, frame: Ping) -> None:
    session.send(Pong(at=frame.at, now=session.now_ms()))


_HANDLERS: Final[dict[type, Callable[[Session, Any], Awaitable[None]]]] = {
    Create: _create,
    Delete: _delete,
    Edit: _edit,
    Fetch: _fetch,
    Info: _info,
    Mode: _mode,
    Ping: _ping,
    Read: _read,
    Recv: _recv,
    Refresh: _refresh,
    Send: _send,
    Typing: _typing,
    Watch: _watch,
}
