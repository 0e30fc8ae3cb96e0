"""Ways to break the server, each of which `simulation` has to notice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import trio
from msgspec.structs import replace

from chat4all_actors.cluster.elsewhere import Elsewhere
from chat4all_actors.cluster.sweeper import Sweeper
from chat4all_actors.conversation import actor as conversation
from chat4all_actors.conversation.actor import ConversationActor
from chat4all_actors.conversation.conversations import Conversations
from chat4all_actors.conversation.heads import Heads
from chat4all_actors.conversation.order import Early
from chat4all_actors.fanout import fan_out, fan_out_nowait
from chat4all_actors.presence.presence import Presences
from chat4all_actors.session import requests, resume
from chat4all_actors.session.held import Held
from chat4all_actors.session.session import Session
from chat4all_storage.log.queue import Queue
from chat4all_storage.memory.shard import MemoryShard
from chat4all_storage.ports.errors import InDoubt, Unavailable

from .cluster_programs import apart, introduced, mingled, moving, woken
from .programs import alone, anything, away, behind, curious, expelled, outage, overtaken, vacated
from .sim_store import FaultyShard
from .sim_world import SilentOrigin

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from chat4all_actors.messages import Relayed
    from chat4all_protocol.frames import ConversationType
    from chat4all_storage.sharding.shards import Resumption


def ack_before_commit() -> AbstractContextManager[Any]:
    """`sent` goes out when the log has taken the message."""
    submit = ConversationActor._submit

    def early(self: ConversationActor, post: Any) -> None:
        post.origin.stored(post, self.head + len(self._open or ()) + 1, 0, dup=False)
        submit(self, replace(post, origin=SilentOrigin()))

    return patch.object(ConversationActor, "_submit", early)


def no_deduplication() -> AbstractContextManager[Any]:
    """The store forgets which ids it has seen."""
    append = MemoryShard._append

    def forgetful(self: MemoryShard, new: Any, heads: Any, now: int) -> Any:
        self._logs[new.conversation].sent.clear()
        return append(self, new, heads, now)

    return patch.object(MemoryShard, "_append", forgetful)


def doubt_is_refusal() -> AbstractContextManager[Any]:
    """A commit in doubt is taken for one that stored nothing."""
    commit = FaultyShard.commit

    async def sure(self: FaultyShard, appends: Any, marks: Any) -> Any:
        try:
            return await commit(self, appends, marks)
        except InDoubt as error:
            raise Unavailable("surely nothing") from error

    return patch.object(FaultyShard, "commit", sure)


def reordered_requests() -> AbstractContextManager[Any]:
    """The log writes the last first."""
    take = Queue.take_entries

    def backwards(self: Queue) -> Any:
        return take(self)[::-1]

    return patch.object(Queue, "take_entries", backwards)


def head_without_delivery() -> AbstractContextManager[Any]:
    """Every third fan-out reaches nobody but the sender."""
    count = 0

    def some(readers: Any) -> Any:
        nonlocal count
        count += 1
        return [] if count % 3 == 0 else readers

    async def lossy(readers: Any, id_: str, passing: Any) -> None:
        await fan_out(some(readers), id_, passing)

    def lossy_nowait(readers: Any, id_: str, passing: Any) -> None:
        fan_out_nowait(some(readers), id_, passing)

    return patch.multiple(conversation, fan_out=lossy, fan_out_nowait=lossy_nowait)


def hole_not_filled() -> AbstractContextManager[Any]:
    """What other writers stored is skipped."""

    async def skip(self: ConversationActor, upto: int) -> None:
        self.head = max(self.head, upto)

    return patch.object(ConversationActor, "_read", skip)


def gap_not_announced() -> AbstractContextManager[Any]:
    """What does not fit into the queue is dropped."""
    return patch.object(Session, "_miss", lambda *_: None)


def gap_lost_when_drained() -> AbstractContextManager[Any]:
    """What was remembered as missed is forgotten."""

    def forget(self: Session) -> None:
        self._gaps = None

    return patch.object(Session, "drained", forget)


def resume_from_wrong_place() -> AbstractContextManager[Any]:
    """The first of the missed events is skipped."""
    replay = resume._replay

    async def late(session: Any, cursors: Any, starts: Any, found: Resumption) -> None:
        events = {id_: missed[1:] for id_, missed in found.events.items()}
        await replay(session, cursors, starts, replace(found, events=events))

    return patch.object(resume, "_replay", late)


def woken_at_wrong_head() -> AbstractContextManager[Any]:
    """A conversation that is woken takes the next event for passed."""
    awake = Conversations._awake

    def ahead(
        self: Conversations, id_: str, head: int, type_: ConversationType
    ) -> ConversationActor:
        return awake(self, id_, head + 1, type_)

    return patch.object(Conversations, "_awake", ahead)


def held_events_dropped() -> AbstractContextManager[Any]:
    """What came during a replay is dropped at its end."""
    release = Held.release

    def drop(self: Held, conversation: str) -> bytes:
        release(self, conversation)
        return b""

    return patch.object(Held, "release", drop)


def events_not_held() -> AbstractContextManager[Any]:
    """What comes during a replay overtakes it."""
    return patch.object(Held, "take", lambda *_: False)


def leaver_still_reads() -> AbstractContextManager[Any]:
    """Who left is told so, and goes on to read."""
    left = Session.left

    def stay(self: Session, frame: Any) -> None:
        left(self, frame)
        actor = self.services.conversations._alive[frame.conv]
        actor.readers[self] = None

    return patch.object(Session, "left", stay)


def page_for_everybody() -> AbstractContextManager[Any]:
    """Membership is not asked for when history is read."""

    async def page(self: MemoryShard, id_: str, _: str, **bounds: Any) -> Any:
        return await original(self, id_, "admin", **bounds)

    original = MemoryShard.page
    return patch.object(MemoryShard, "page", page)


def page_cut_short() -> AbstractContextManager[Any]:
    """A page leaves out its last event, and does not say so."""

    def within(events: list[Any], _: int, *, forward: bool) -> list[Any]:
        return events[:1] + events[2:]

    return patch.object(requests, "_within", within)


def marks_overwritten() -> AbstractContextManager[Any]:
    """Watermarks stand where the last one who told says."""

    def overwrite(self: MemoryShard, mark: Any) -> Any:
        return mark if mark.user in self._logs[mark.conversation].members else None

    return patch.object(MemoryShard, "_mark", overwrite)


def stale_heads() -> AbstractContextManager[Any]:
    """A conversation is woken where a read of the store saw it long ago."""
    return patch.object(Heads, "of", lambda *_: 0)


def stopped_at_work() -> AbstractContextManager[Any]:
    """A conversation without readers is stopped even in the middle of its work."""

    def leave(self: Conversations, id_: str, reader: Any) -> None:
        if (actor := self._alive.get(id_)) is not None:
            actor.readers.pop(reader, None)
            self.release(actor)

    return patch.object(Conversations, "leave", leave)


# --- between nodes --------------------------------------------------------------------------------


def journal_not_followed() -> AbstractContextManager[Any]:
    """Other nodes are only heard over the bus."""

    async def nothing(self: Sweeper) -> None:
        await trio.lowlevel.checkpoint()

    return patch.object(Sweeper, "_sweep", nothing)


def relayed_at_any_head() -> AbstractContextManager[Any]:
    """Events of other nodes are passed as they come."""

    relayed = Early.relayed

    def pass_on(self: Early, head: int, came: Relayed) -> None:
        relayed(self, head, replace(came, first=head + 1))

    return patch.object(Early, "relayed", pass_on)


def own_event_as_message() -> AbstractContextManager[Any]:
    """What is read from the store is passed to its sender before the log has answered."""
    return patch.object(Early, "before_own", lambda *_: True)


def introduced_without_gap() -> AbstractContextManager[Any]:
    """Who comes in is told where it came in, and nothing of what was stored since."""
    return patch.object(Session, "missed", lambda *_: None)


def woken_where_it_was_read() -> AbstractContextManager[Any]:
    """What other nodes store for a conversation that is not alive here is not noted."""
    stands = Elsewhere.stands

    def unnoted(self: Elsewhere, conversation: str, seq: int) -> None:
        if self._conversations.get(conversation) is not None:
            stands(self, conversation, seq)

    return patch.object(Elsewhere, "stands", unnoted)


def former_session_kept() -> AbstractContextManager[Any]:
    """A device that connects to another node goes on to be served here."""
    return patch.object(Presences, "_end", lambda *_: None)


CLUSTER_MUTANTS = [
    (journal_not_followed, apart()),
    (relayed_at_any_head, mingled()),
    (own_event_as_message, mingled()),
    (introduced_without_gap, introduced()),
    (woken_where_it_was_read, woken()),
    (former_session_kept, moving()),
]
"""Those that show on several nodes only."""

MUTANTS = [
    (ack_before_commit, anything),
    (no_deduplication, anything),
    (doubt_is_refusal, outage()),
    (reordered_requests, anything),
    (head_without_delivery, anything),
    (hole_not_filled, anything),
    (gap_not_announced, behind()),
    (gap_lost_when_drained, behind()),
    (resume_from_wrong_place, away()),
    (woken_at_wrong_head, anything),
    (held_events_dropped, overtaken()),
    (events_not_held, overtaken()),
    (leaver_still_reads, expelled()),
    (page_for_everybody, curious()),
    (page_cut_short, anything),
    (marks_overwritten, curious()),
    (stale_heads, alone()),
    (stopped_at_work, vacated()),
]
"""Each with the kind of scene in which it shows soonest."""
