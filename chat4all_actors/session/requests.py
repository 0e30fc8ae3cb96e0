"""What a live session does with each frame of its client."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec.structs import replace

from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.frames import (
    AskFile,
    Create,
    Delete,
    Edit,
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
from chat4all_storage.ports.events import event_size

from ..accounts.tokens import TokenRefused
from ..kernel import ActorStopped, MailboxFull
from ..messages import Compose, MarkRead
from ..presence.watching import TooManyWatched
from ..wire import message, not_found, progress, refusal, unavailable
from . import posts
from .refusing import telling

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chat4all_protocol.frames import AnyClientFrame
    from chat4all_storage.ports.events import StoredEvent

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


async def _fetch(session: Session, frame: Fetch) -> None:
    conversations = session.services.conversations
    shards = conversations.storage.shards
    was_reader = conversations.read_by(frame.conv, session) is not None
    found = await shards.page(
        frame.conv, session.user, after=frame.after, before=frame.before, limit=frame.limit
    )
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
        await session.services.presence.set_invisible(session, frame.invisible)
    if frame.background is not None:
        if not frame.background:
            session.acted()
        session.put_in_background(frame.background)
    session.send(Ok(rid=frame.rid))


async def _create(session: Session, frame: Create) -> None:
    conversations = session.services.conversations
    stored, _ = await conversations.create(
        frame.type, session.user, frame.members, frame.title, by=session
    )
    if stored.id not in session.conversations:
        session.conversations.append(stored.id)
    session.send(conversations.frame(stored, frame.rid))
    session.services.presence.watching.met(session, stored.members)


async def _info(session: Session, frame: Info) -> None:
    conversations = session.services.conversations
    was_reader = conversations.read_by(frame.conv, session) is not None
    stored = await conversations.storage.shards.conversation(frame.conv)
    left = was_reader and conversations.read_by(frame.conv, session) is None
    if stored is None or session.user not in stored.members or left:
        session.send(not_found(frame.rid))
        return
    details = {
        name: Member(role=member.role, recv=member.recv, read=member.read)
        for name, member in stored.members.items()
    }
    session.send(replace(conversations.frame(stored, frame.rid), details=details))


async def _file(session: Session, frame: AskFile) -> None:
    file, uploaded = await session.services.files.progress(session.user, frame.file)
    session.send(progress(file, uploaded, rid=frame.rid))


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


_Handler: TypeAlias = "Callable[[Session, Any], Awaitable[None] | None]"


def _asking(ask: Callable[[Session, Any], Awaitable[None]]) -> _Handler:
    """A handler that waits for a store."""

    def handler(session: Session, frame: Any) -> Awaitable[None]:
        return telling(session, frame.rid, ask(session, frame))

    return handler


_HANDLERS: Final[dict[type, _Handler]] = {
    AskFile: _asking(_file),
    Create: _asking(_create),
    Delete: posts.delete,
    Edit: posts.edit,
    Fetch: _asking(_fetch),
    Info: _asking(_info),
    Mode: _asking(_mode),
    Ping: _ping,
    React: posts.react,
    Read: _read,
    Recv: _recv,
    Refresh: _refresh,
    Send: posts.send,
    Typing: _typing,
    Watch: _watch,
}
