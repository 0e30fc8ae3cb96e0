"""The answer to `connect`: who it is, what there is, and what was missed.

The order matters. The session is known as a local reader of its user before the stores are asked,
so that no membership can change unnoticed. Then, without waiting in between, it enters every
conversation at that conversation's head and sends `ready` with these heads: from there on every
event is delivered. Events after the client's cursors are replayed after `ready`; what happens in
these conversations meanwhile is held back until then. The conversations of a database that does not
answer, or of which the answer may be out of date, come later (`latecomers`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from chat4all_protocol.codes import CloseCode, ErrorCode
from chat4all_protocol.frames import FETCH_LIMIT, ConvState, Gap, Ready
from chat4all_storage.ports.errors import StorageError
from chat4all_storage.ports.logical_shards import logical_shard
from chat4all_storage.ports.shard import Range, Replay

from ..accounts.tokens import TokenRefused
from ..fanout import TooManySessions
from ..limits.admission import Overloaded
from ..wire import framed, message, refusal, unavailable
from .held import Held

if TYPE_CHECKING:
    from chat4all_protocol.frames import Connect, Conv
    from chat4all_storage.ports.events import StoredEvent
    from chat4all_storage.ports.shard import Membership
    from chat4all_storage.sharding.shards import Resumption

    from ..accounts.tokens import Identity
    from ..config import Settings
    from .session import Session

logger = logging.getLogger(__name__)

LISTED: Final = 200
"""Conversations that `ready` lists."""


async def connect(session: Session, frame: Connect) -> None:
    """Answer `connect`; returns when everything missed has been replayed."""
    services = session.services
    try:
        identity = services.tokens.verify(frame.token)
    except TokenRefused as error:
        session.send(refusal(ErrorCode.UNAUTHENTICATED, str(error)))
        code = CloseCode.TOKEN_EXPIRED if error.expired else CloseCode.BAD_TOKEN
        session.close(code, str(error))
        return
    if identity.client is not None:
        session.send(refusal(ErrorCode.UNAUTHENTICATED, "a service client has no sessions"))
        session.close(CloseCode.BAD_TOKEN, "a service client has no sessions: use the REST API")
        return
    if _refused(session, identity):
        return
    session.identify(identity, frame.device)
    try:
        await services.resumes.enter(session)
    except Overloaded as error:
        session.send(unavailable(None, retry_after=error.retry_after))
        session.close(CloseCode.OVERLOADED, "try again shortly")
        return
    try:
        await _resume(session, frame, identity)
    finally:
        services.resumes.leave(session)


def _refused(session: Session, identity: Identity) -> bool:
    """Whether the token was revoked; the session is closed then."""
    if not session.services.revocations.refuses(identity):
        return False
    session.send(refusal(ErrorCode.UNAUTHENTICATED, "the token was revoked"))
    session.close(CloseCode.REVOKED, "the token was revoked")
    return True


async def _resume(session: Session, frame: Connect, identity: Identity) -> None:
    services = session.services
    session.early = {}
    try:
        services.local.add(session)
    except TooManySessions as error:
        session.close(CloseCode.TOO_MANY_CONNECTIONS, str(error))
        return
    # From here on a revocation finds the session; one that came while it waited did not.
    if _refused(session, identity):
        return
    conversations = services.conversations
    session.background = frame.background
    cursors = frame.cursors or {}
    try:
        # Known on all nodes before the stores are asked, as it is known here.
        await services.presence.arrive(session, away=frame.background)
        with conversations.heads.reading():
            found = await conversations.storage.shards.resume(
                session.user,
                cursors,
                details=LISTED,
                replay=_replay_limits(services.settings),
                patience=services.settings.resume_patience,
            )
            unseen = {
                each.conversation
                for each in found.memberships
                if conversations.unseen(each.conversation, each.head)
            }
            sure = [each for each in found.memberships if each.conversation not in unseen]
            session.outlet.cork()
            starts = _enter(session, sure, frame)
            if late := found.missing.union(map(logical_shard, unseen)):
                services.latecomers.add(session, late, cursors)
    except StorageError as error:
        logger.warning("a connect could not be answered: %s", error)
        session.send(unavailable(None))
        session.close(CloseCode.OVERLOADED, "try again shortly")
        return
    await _replay(session, cursors, starts, found)
    session.outlet.uncork()


def _replay_limits(settings: Settings) -> Replay:
    return Replay(each=FETCH_LIMIT, events=settings.max_replay_events, size=settings.max_replay)


def _enter(session: Session, memberships: list[Membership], frame: Connect) -> dict[str, int]:
    """Enter every conversation and send `ready`; returns where the session starts in each."""
    conversations = session.services.conversations
    early = session.early or {}
    starts: dict[str, int] = {}
    listed: list[ConvState] = []
    more = False
    for membership in memberships:
        id_ = membership.conversation
        if (change := early.pop(id_, None)) is not None and change.left:
            continue
        conversation = conversations.enter(id_, membership.head, membership.type, session)
        session.conversations.append(conversation.id)
        starts[id_] = conversation.head
        if frame.since is not None and membership.active_at < frame.since:
            continue
        if len(listed) < LISTED:
            listed.append(_state(membership, conversation.head))
        else:
            more = True
    introduced: list[Conv | Gap] = []
    for change in early.values():
        # Entered after the stores were asked: introduced like any other new conversation.
        alive = conversations.read_by(change.conv, session)
        if alive is not None:
            starts[change.conv] = alive.head
            cursor = (frame.cursors or {}).get(change.conv)
            if cursor is not None:  # what follows it is replayed
                introduced.append(replace(change, head=min(cursor, alive.head)))
                continue
            introduced.append(change)
            if alive.head > change.head:
                introduced.append(Gap(conv=change.conv, from_=change.head + 1, to=alive.head))
    replayed = [id_ for id_, after in (frame.cursors or {}).items() if after < starts.get(id_, 0)]
    if replayed:
        session.held = Held(replayed, session.services.settings.max_outbound)
    session.send(
        Ready(session=session.id, user=session.user, now=session.now_ms(), convs=listed, more=more)
    )
    session.went_live()
    for frame_ in introduced:
        session.send(frame_)
    return starts


def _state(membership: Membership, head: int) -> ConvState:
    return ConvState(
        conv=membership.conversation,
        type=membership.type,
        head=head,
        read=membership.read,
        recv=membership.recv,
        unread=membership.unread,
        title=membership.title,
        peer=membership.peer,
    )


async def _replay(
    session: Session, cursors: dict[str, int], starts: dict[str, int], found: Resumption
) -> None:
    """Send what lies between the cursors and the starts, then what was held back meanwhile."""
    held = session.held
    if held is None:
        return
    heads = {each.conversation: each.head for each in found.memberships}
    behind: list[Range] = []
    for id_, after in cursors.items():
        if id_ in held:
            await session.outlet.room(session.services.settings.max_outbound)
        if id_ not in held:  # nothing was missed, or it has left while it waited
            continue
        upto = starts[id_]
        events: list[StoredEvent] = []
        if upto - after <= FETCH_LIMIT:
            events = [event for event in found.events.get(id_, ()) if event.seq <= upto]
        last = events[-1].seq if events else after
        session.outlet.send_nowait(b"".join([framed(message(event)) for event in events]))
        if last >= heads.get(id_, 0) and last < upto:
            # Stored after the memberships were read, and passed before the session entered.
            behind.append(Range(id_, last, upto, FETCH_LIMIT))
        else:
            _release(session, held, id_, last, upto)
    if behind:
        session.outlet.uncork()
        await _read_behind(session, held, behind)
    session.held = None


async def _read_behind(session: Session, held: Held, ranges: list[Range]) -> None:
    shards = session.services.conversations.storage.shards
    try:
        found: list[list[StoredEvent]] = await shards.history(ranges)
    except StorageError as error:
        # The client can still get them: it fetches a gap when it likes.
        logger.warning("missed events could not be read: %s", error)
        found = [[] for _ in ranges]
    for wanted, events in zip(ranges, found, strict=True):
        await session.outlet.room(session.services.settings.max_outbound)
        if wanted.conversation in held:  # else it has left meanwhile
            session.outlet.send_nowait(b"".join([framed(message(event)) for event in events]))
            last = events[-1].seq if events else wanted.after
            _release(session, held, wanted.conversation, last, wanted.upto)


def _release(session: Session, held: Held, conversation: str, last: int, upto: int) -> None:
    """Announce what was not sent up to `upto`, and let go of what follows it."""
    parts = []
    if last < upto:
        parts.append(framed(Gap(conv=conversation, from_=last + 1, to=upto)))
    parts.append(held.release(conversation))
    session.outlet.send_nowait(b"".join(parts))
