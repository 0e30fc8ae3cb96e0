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
from chat4all_storage.ports.errors import InDoubt, StorageError
from chat4all_storage.ports.events import event_size
from chat4all_storage.ports.logical_shards import logical_shard

from ..accounts.tokens import TokenRefused
from ..conversation import appends
from ..conversation.conversations import Refusal
from ..conversation.posting import judge
from ..kernel import ActorStopped, MailboxFull
from ..limits.limits import MESSAGES
from ..messages import Compose, MarkRead, Post
from ..presence.watching import TooManyWatched
from ..tracing import current_trace_bytes
from ..wire import message, not_found, refusal, unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chat4all_protocol.frames import AnyClientFrame, SendBody
    from chat4all_storage.ports.events import Append, StoredEvent

    from ..conversation.actor import ConversationActor
    from .session import Session

_ACTS: Final = frozenset({Send, Edit, Delete, React, Read, Typing, Create})
"""What a client sends because its user did something."""


def handle(session: Session, frame: AnyClientFrame) -> Awaitable[None] | None:
    """Act on a frame; the answer, if it has one, may come later.

    What it returns is awaited before the next frame is handled. Whoever has nothing to wait for is
    a plain function, so that most frames are handled without a task.
    """
    if type(frame) in _ACTS:
        session.acted()
    handler = _HANDLERS.get(type(frame))
    if handler is not None:
        return handler(session, frame)
    name = frame.__struct_config__.tag
    session.send(
        refusal(
            ErrorCode.UNKNOWN_FRAME,
            f"{name} is not offered by this server",
            getattr(frame, "rid", None),
        )
    )
    return None


def _send(session: Session, frame: Send) -> Awaitable[None] | None:
    if (error := _check(session, frame)) is not None:
        session.send(error)
        return None
    append = appends.message(
        frame.conv,
        session.user,
        frame.id,
        frame.body,
        reply_to=frame.reply_to,
        meta=frame.meta,
        trace=current_trace_bytes(),
    )
    return _post(session, append, frame.rid)


def _edit(session: Session, frame: Edit) -> Awaitable[None] | None:
    if (
        error := _check_fit(session, frame.body, frame.rid) or _check_rate(session, frame.rid)
    ) is not None:
        session.send(error)
        return None
    trace = current_trace_bytes()
    append = appends.edit(frame.conv, session.user, frame.id, frame.target, frame.body, trace=trace)
    return _post(session, append, frame.rid)


def _delete(session: Session, frame: Delete) -> Awaitable[None] | None:
    if (error := _check_rate(session, frame.rid)) is not None:
        session.send(error)
        return None
    trace = current_trace_bytes()
    append = appends.delete(frame.conv, session.user, frame.id, frame.target, trace=trace)
    return _post(session, append, frame.rid)


def _post(session: Session, append: Append, rid: int) -> Awaitable[None] | None:
    post = Post(append, rid, session)
    conversation = session.services.conversations.read_by(append.conversation, session)
    if conversation is None:
        return _reach(session, post)
    return _hand_over(session, post, conversation)


async def _reach(session: Session, post: Post) -> None:
    """Post to a conversation that the session does not read."""
    id_ = post.append.conversation
    if logical_shard(id_) in session.missing:  # it is introduced first, then sent to
        session.send(unavailable(post.rid))
        return
    try:
        conversation = await session.services.conversations.reach(id_, session)
    except StorageError:
        session.send(unavailable(post.rid))
        return
    if conversation is None:
        session.send(not_found(post.rid))
        return
    if (wait := _hand_over(session, post, conversation)) is not None:
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


def _recv(session: Session, frame: Recv) -> Awaitable[None] | None:
    return _mark(session, frame.conv, MarkRead(session, frame.seq, 0))


def _read(session: Session, frame: Read) -> Awaitable[None] | None:
    return _mark(session, frame.conv, MarkRead(session, frame.seq, frame.seq))


def _mark(session: Session, id_: str, mark: MarkRead) -> Awaitable[None] | None:
    conversation = session.services.conversations.read_by(id_, session)
    if conversation is not None:
        try:
            conversation.tell_nowait(mark)
        except MailboxFull:
            return _mark_patiently(conversation, mark)
        except ActorStopped:
            pass  # the client connects again, and repeats its marks
    return None


async def _mark_patiently(conversation: ConversationActor, mark: MarkRead) -> None:
    with suppress(ActorStopped):
        await conversation.tell(mark)


def _typing(session: Session, frame: Typing) -> None:
    conversation = session.services.conversations.read_by(frame.conv, session)
    if conversation is not None:
        with suppress(ActorStopped, MailboxFull):  # best effort
            conversation.tell_nowait(Compose(session, frame.kind))


def _watch(session: Session, frame: Watch) -> None:
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


def _refresh(session: Session, frame: Refresh) -> None:
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


def _ping(session: Session, frame: Ping) -> None:
    session.send(Pong(at=frame.at, now=session.now_ms()))


_HANDLERS: Final[dict[type, Callable[[Session, Any], Awaitable[None] | None]]] = {
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
