"""A conversation on this node: soft state that the shard log can rebuild at any moment.

It knows the head (the `seq` up to which every event has been passed to the local readers) and
the readers, nothing else that matters. What is sent goes to the shard log; what the log has
committed goes to every reader and to the other nodes, in order: each event is passed exactly when
the head stands right before it. What comes from another node goes to the readers in the same way.
A hole (another writer, a commit whose answer was lost) is read from the store first.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar, cast

import trio

from chat4all_protocol.codec import decode_body, decode_meta
from chat4all_protocol.frames import Member, MemberBody
from chat4all_storage.log.entries import Entry, LogFull, Refused
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.events import Outcome, Status, StoredEvent
from chat4all_storage.ports.shard import Range

from ..fanout import CHECKPOINT_EVERY, Passing, fan_out, fan_out_nowait
from ..kernel import Actor, ActorStopped, MailboxFull
from ..messages import (
    Committed,
    Compose,
    ComposingElsewhere,
    HoleDue,
    MarkDue,
    Marked,
    MarkRead,
    MembersRead,
    Overtaken,
    Post,
    ReceiptsDue,
    Relayed,
    RisenElsewhere,
    ToConversation,
    stored_up_to,
)
from ..wire import explain, framed, message, unavailable, view
from . import composing
from .early import CHANGES, Early
from .watermarks import RECENT, Watermarks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from chat4all_protocol.frames import ConversationType
    from chat4all_storage.log.entries import Answer
    from chat4all_storage.sharding.shard_logs import ShardLogs
    from chat4all_storage.sharding.shards import Shards

    from ..fanout import Reader
    from .conversations import Conversations

logger = logging.getLogger(__name__)

A = TypeVar("A")
T = TypeVar("T")

CATCH_UP_BATCH: Final = 500
EARLY: Final = 256
"""Events of other nodes that wait for those before them, and as many answers of the log."""
EARLY_WAIT: Final = 0.05
"""Seconds that they wait before those are read from the store."""
RETRY_FIRST: Final = 0.05
RETRY_MAX: Final = 1.0

_STANDS: Final = (Status.STORED, Status.DUPLICATE)
"""The event stands in the log."""


class ConversationActor(Actor[ToConversation]):
    """One conversation; see the module."""

    __slots__ = (
        "_composers",
        "_deferred",
        "_early",
        "_logs",
        "_open",
        "_shards",
        "_watermarks",
        "born",
        "changed_at",
        "head",
        "id",
        "lingering",
        "members",
        "overtaken",
        "private",
        "readers",
        "relayed_bytes",
        "senders",
        "surroundings",
    )

    def __init__(
        self, id_: str, head: int, type_: ConversationType, surroundings: Conversations
    ) -> None:
        super().__init__(f"conversation {id_}", surroundings.pool, surroundings.settings.mailbox)
        self.id = id_
        self.born = head
        """The head that it started from."""
        self.head = head
        self.private = type_ == "private"
        self.readers: dict[Reader, None] = {}
        """In the order in which they came, so that what is sent to many walks through memory."""
        self.members: Sequence[str] | None = None
        """Names; read when other nodes are to be told something, and then kept."""
        self.senders: list[str] | None = None
        """Who sent the last events, up to the head."""
        self.lingering = False
        """Somebody without a session has posted lately, and may do so again."""
        self.surroundings = surroundings
        self._logs: ShardLogs = surroundings.logs
        self._shards: Shards = surroundings.storage.shards
        self.overtaken = 0
        """Up to where it was told last that events are stored."""
        self.relayed_bytes = 0
        """Of events of other nodes that wait in the mailbox."""
        self.changed_at = head
        """No event after this one, up to the head, has changed the members."""
        self._early: Early | None = None
        self._open: dict[tuple[str, str], int] | None = None
        """How many posts of a sender and id the log has not answered."""
        self._deferred = 0
        """Up to where to catch up when the log has answered."""
        self._watermarks: Watermarks | None = None
        self._composers: composing.Composers | None = None

    @property
    def needed(self) -> bool:
        """Whether there is anything here that a fresh actor would not know."""
        if self.readers or self.lingering or self._open or len(self._mailbox):
            return True
        return self._watermarks is not None and self._watermarks.busy

    async def tell_patiently(self, message_: ToConversation) -> None:
        """Tell it something, waiting while it holds back as much as it may.

        Raises:
            ActorStopped: it ended.
        """
        try:
            self.tell_nowait(message_)
        except MailboxFull:
            await self.tell(message_)

    async def receive(self, batch: list[ToConversation]) -> None:
        """Handle messages in order."""
        for message_ in batch:
            if isinstance(message_, Post):
                self._submit(message_)
            elif isinstance(message_, Committed):
                await self._committed(message_.answers)
            elif isinstance(message_, Relayed):
                await self._relayed(message_)
            elif isinstance(message_, Overtaken):
                await self._catch_up(message_.seq)
                await self._go_on()
            elif isinstance(message_, HoleDue):
                await self._close_holes()
            elif isinstance(message_, MembersRead):
                self.take_members(message_)
            else:
                self._receive_passing(message_)
        self.surroundings.release(self)

    def receive_nowait(self, message_: ToConversation) -> bool:
        """Handle what is sent, read and committed, if it needs nothing else: nearly always."""
        if type(message_) is Post:
            self._submit(message_)
        elif type(message_) is MarkRead:
            self._marks_of_all().mark(message_)
        elif type(message_) is not Committed or not self._committed_nowait(message_.answers):
            return False
        self.surroundings.release(self)
        return True

    def _receive_passing(
        self,
        message_: MarkRead
        | MarkDue
        | Marked
        | ReceiptsDue
        | RisenElsewhere
        | Compose
        | ComposingElsewhere,
    ) -> None:
        """Handle what concerns no event."""
        if isinstance(message_, Compose):
            self._compose(message_)
        elif isinstance(message_, ComposingElsewhere):
            composing.show(self.id, self.readers, message_.user, message_.kind)
        elif isinstance(message_, MarkRead):
            self._marks_of_all().mark(message_)
        elif isinstance(message_, Marked):
            self._marks_of_all().written(message_.mark)
        elif isinstance(message_, MarkDue):
            self._marks_of_all().mark_due(message_.user)
        elif isinstance(message_, ReceiptsDue):
            self._marks_of_all().receipts_due()
        else:
            self._marks_of_all().told(message_.risen)

    def on_fault(self, error: BaseException, unhandled: list[ToConversation]) -> None:
        """Let clients connect again and resume: their sessions hold no position of their own."""
        unhandled = self._held() + unhandled
        self.surroundings.forget(self, stored_up_to(unhandled, self.head))
        for reader in list(self.readers):
            reader.close_internal()
        self._lose(unhandled)

    def on_stop(self, unhandled: list[ToConversation]) -> None:
        """Who waits for an answer that won't come is told so."""
        unhandled = self._held() + unhandled
        self.surroundings.forget(self, stored_up_to(unhandled, self.head))
        self._lose(unhandled)

    def _held(self) -> list[ToConversation]:
        """The answers that wait for events of other nodes."""
        answers = self._early.answers if self._early is not None else []
        return [Committed(answers)] if answers else []

    # --- storing ------------------------------------------------------------------------------

    def _submit(self, post: Post) -> None:
        sender = cast("Reader", post.origin)
        if not self.private and self._watermarks is not None and sender in self.readers:
            self._watermarks.view(sender)
        try:
            self._logs.submit_nowait(Entry(post.append, self._on_commit, post))
        except (LogFull, Unavailable):
            post.origin.refused(post, unavailable(post.rid))
        else:
            if self._open is None:
                self._open = {}
            key = (post.append.sender, post.append.id)
            self._open[key] = self._open.get(key, 0) + 1

    def _on_commit(self, answers: list[tuple[Entry[Post], Answer]]) -> None:
        """Called by the log."""
        try:
            self.reply_nowait(Committed(answers))
        except ActorStopped:
            unhandled: list[ToConversation] = [Committed(answers)]
            self.surroundings.overtaken(self.id, stored_up_to(unhandled, self.head))
            self._lose(unhandled)

    def _committed_nowait(self, answers: list[tuple[Entry[Post], Answer]]) -> bool:
        """The same as `_committed` where nothing has to be read, and the readers are few."""
        if self._early is not None and self._early.waits:
            return False
        if self._deferred > self.head or len(self.readers) >= CHECKPOINT_EVERY:
            return False
        expected = self.head + 1
        for entry, answer in answers:
            if type(answer) is Outcome and answer.status in _STANDS:
                if answer.seq > expected or entry.append.kind in CHANGES:
                    return False
                expected += answer.seq == expected
        self._note_answered(answers)
        passing: list[Passing] = []
        senders: list[str] = []
        for entry, answer in answers:
            post = entry.context
            if type(answer) is not Outcome or answer.status not in _STANDS:
                _refuse(post, answer)
            elif answer.seq <= self.head + len(passing):
                post.origin.stored(
                    post, answer.seq, answer.ts, dup=answer.status is Status.DUPLICATE
                )
            else:
                dup = answer.status is Status.DUPLICATE
                data = framed(message(post.event(answer)))
                passing.append(Passing(answer.seq, answer.ts, data, post, dup))
                senders.append(post.append.sender)
        if passing:
            self._tell_others(passing, senders)
            self._advance(passing, senders)
            fan_out_nowait(self.readers, self.id, passing)
        return True

    async def _committed(
        self, answers: list[tuple[Entry[Post], Answer]], *, waiting: bool = True
    ) -> None:
        """Pass what the log has stored, and answer, after what else waits for that.

        With `waiting` it stops at an event that follows one of another node which has not come
        yet, as if the log had not answered; that is a matter of milliseconds, and reading it twice.
        """
        early = self._early
        if early is not None:
            answers = early.answers + answers
        waiting = waiting and len(answers) <= EARLY and self.surroundings.relay.hears
        passing: list[StoredEvent] = []
        posts: dict[int, tuple[Post, bool]] = {}
        expected = self.head + 1
        for index, (entry, answer) in enumerate(answers):
            post = entry.context
            if isinstance(answer, Refused) or answer.status not in _STANDS:
                _refuse(post, answer)
            else:
                if answer.seq > expected:
                    await self._pass(passing, posts)
                    passing, posts = [], {}
                    await self._pass_early()
                    if waiting and self.head < answer.seq - 1:
                        self._note_answered(answers[:index])
                        if early is None:
                            early = self._early = Early()
                        early.answers = answers[index:]
                        self._tell_ahead(early)
                        self._await_hole(early)
                        return
                    await self._catch_up(answer.seq - 1, waiting=False)
                    # Perhaps further than asked: the event itself may have come from elsewhere.
                    expected = self.head + 1
                dup = answer.status is Status.DUPLICATE
                if answer.seq < expected:
                    # It was passed before: a retry, or an event that was read as part of a hole.
                    if answer.seq > self.head:  # not yet: a retry of one that waited with it
                        await self._pass(passing, posts)
                        passing, posts = [], {}
                    post.origin.stored(post, answer.seq, answer.ts, dup=dup)
                else:
                    passing.append(post.event(answer))
                    posts[answer.seq] = (post, dup)
                    expected = answer.seq + 1
        self._note_answered(answers)
        await self._pass(passing, posts)
        if early is not None:
            early.answers = []
            early.told.clear()
        if early or self._deferred > self.head:
            await self._catch_up(self._deferred)
            if early:
                self._await_hole(early)

    def _note_answered(self, answers: list[tuple[Entry[Post], Answer]]) -> None:
        assert self._open is not None
        for entry, _ in answers:
            key = (entry.append.sender, entry.append.id)
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]
        self._open = self._open or None

    async def _catch_up(self, upto: int, *, waiting: bool = True) -> None:
        """Pass the events after the head that did not come through this actor.

        Those that came from other nodes already are at hand, the others are read. With `waiting`
        it stops at an event whose sender here still waits for its `sent`, which takes the place of
        the `msg`, until the log has answered. What lies before an answer was stored before, so a
        post of it that still waits is a retry, and is answered in any order.
        """
        await self._pass_early()
        while self.head < upto:
            wanted = Range(self.id, self.head, upto, CATCH_UP_BATCH)
            (events,) = await self._until_available(self._shards.history, [wanted])
            if not events:
                raise RuntimeError(f"{self.id} lacks what follows {self.head}, up to {upto}")
            for index, event in enumerate(events if waiting and self._open else ()):
                if (event.sender, event.id) in (self._open or ()):
                    await self._pass(events[:index], {})
                    self._deferred = max(self._deferred, upto)
                    return
            await self._pass(events, {})
            await self._pass_early()

    async def _until_available(self, read: Callable[[A], Awaitable[T]], argument: A) -> T:
        """What `read(argument)` returns, as soon as the store can be reached.

        Nothing can be passed before, and nobody else is kept waiting.
        """
        delay = RETRY_FIRST
        while True:
            try:
                return await read(argument)
            except Unavailable as error:
                logger.warning("%s waits for its store: %s", self.name, error)
                await trio.sleep(delay)
                delay = min(2 * delay, RETRY_MAX)

    # --- from other nodes ---------------------------------------------------------------------

    async def _relayed(self, relayed: Relayed) -> None:
        """Pass events of another node; what comes too early waits a little for the others."""
        self.relayed_bytes -= relayed.size
        if self._early is None:
            self._early = Early()
        self._early.add(relayed, self.head)
        await self._pass_early()
        await self._go_on()

    async def _go_on(self) -> None:
        """The head may have moved: see what waits for that, and what is missing now."""
        if self._early is None:
            return
        if self._early.answers:
            await self._committed([])
        if len(self._early) > EARLY:
            await self._close_holes()
        elif self._early.waits:
            self._await_hole(self._early)

    def _await_hole(self, early: Early) -> None:
        """Have what is missing after the head read, unless it comes in time."""
        if early.hole != self.head:  # else its time runs already
            early.hole = self.head
            timers, key = self.surroundings.timers, (self.id, ":hole")
            timers.set(key, EARLY_WAIT, self._on_hole_due)

    def _on_hole_due(self) -> None:
        """Called by the timers."""
        early = self._early
        if early is not None and early.waits and early.hole == self.head:
            with suppress(ActorStopped):
                self.reply_nowait(HoleDue())

    async def _close_holes(self) -> None:
        early = self._early
        assert early is not None  # something of it waits
        early.hole = -1
        if early.answers:
            await self._committed([], waiting=False)
        while early and self._deferred <= self.head:
            await self._catch_up(early.first - 1)

    async def _pass_early(self) -> None:
        """Pass what has come from other nodes and follows the head."""
        if self._early:
            passing, senders = self._early.take(self.head)
            if passing:
                await self._deliver(passing, senders)

    def take_members(self, read: MembersRead) -> None:
        """Know the members as they were read, unless they have changed since."""
        if read.head >= self.changed_at:
            self.members = read.members
        else:
            self.surroundings.read_members(self)

    # --- passing ------------------------------------------------------------------------------

    async def _pass(self, events: list[StoredEvent], posts: dict[int, tuple[Post, bool]]) -> None:
        """Give events that follow the head to the readers; members come and go as they say."""
        start = 0
        for index, event in enumerate(events):
            if event.kind in CHANGES:
                await self._pass_unchanged(events[start:index], posts)
                await self._pass_change(event, posts)
                start = index + 1
        await self._pass_unchanged(events[start:], posts)

    async def _pass_unchanged(
        self, events: list[StoredEvent], posts: dict[int, tuple[Post, bool]]
    ) -> None:
        if not events:
            return
        passing: list[Passing] = []
        told = self._early.told if self._early is not None else {}
        untold = 0
        for index, event in enumerate(events, 1):
            post, dup = posts.get(event.seq, (None, False))
            data = told.pop(event.seq, b"")
            if data:
                untold = index
            else:
                data = framed(message(event))
            passing.append(Passing(event.seq, event.ts, data, post, dup))
        senders = [event.sender for event in events]
        if posts and untold < len(events) and events[0].kind not in CHANGES:
            self._tell_others(passing[untold:], senders[untold:])
        await self._deliver(passing, senders)

    def _tell_others(self, passing: list[Passing], senders: list[str]) -> None:
        """Tell the other nodes of events that were stored through this one."""
        if self.surroundings.relay.alone:
            return
        if self.members is None:
            self.surroundings.read_members(self)
        self.surroundings.relay.events(self, passing, senders)

    def _tell_ahead(self, early: Early) -> None:
        """Tell other nodes now what can't be passed here yet, so that no node waits for another
        that waits.
        """
        for passing, senders in early.take_untold():
            self._tell_others(passing, senders)

    async def _deliver(self, passing: list[Passing], senders: list[str]) -> None:
        self._advance(passing, senders)
        await fan_out(self.readers, self.id, passing)

    def _advance(self, passing: list[Passing], senders: list[str]) -> None:
        """Move the head, before the fan-out: whoever enters then starts after these events."""
        if not self.private:
            self.senders = ((self.senders or []) + senders)[-RECENT:]
        self.head = passing[-1].seq

    async def _pass_change(self, event: StoredEvent, posts: dict[int, tuple[Post, bool]]) -> None:
        if event.kind == "change":
            await self._pass_settings(event, posts)
            return
        body = decode_body(event.body) if event.body is not None else None
        if not isinstance(body, MemberBody):
            raise ValueError(f"event {event.seq} of {self.id} names no member")
        stored = await self._until_available(self._shards.conversation, self.id)
        assert stored is not None  # conversations are never deleted
        self.members, self.changed_at = list(stored.members), event.seq
        if self._early is not None:
            self._early.told.clear()  # perhaps not to all who are members now
        local = self.surroundings.local
        if event.seq in posts:
            joined = event.kind == "join"
            self.surroundings.relay.changed(self, event.seq, body.user, joined=joined)
        if event.kind == "leave":
            for reader in local.of(body.user):
                self.readers.pop(reader, None)
        await self._pass_unchanged([event], posts)
        for reader in list(self.readers):
            (reader.parted if event.kind == "leave" else reader.met)(body.user)
        # Asked again: sessions have come and gone while the event was passed.
        for reader in local.of(body.user):
            if event.kind == "leave":
                self.readers.pop(reader, None)
                reader.left(view(stored, head=event.seq, left=True))
            elif reader not in self.readers:  # else it was let in before
                self.readers[reader] = None
                reader.entered(view(stored, head=self.head))

    async def _pass_settings(self, event: StoredEvent, posts: dict[int, tuple[Post, bool]]) -> None:
        """Pass a `change`, and show the conversation as it is now.

        Who is behind does without the second: the event says what has changed.
        """
        stored = await self._until_available(self._shards.conversation, self.id)
        assert stored is not None  # conversations are never deleted
        if event.seq in posts:
            self.surroundings.relay.changed(self, event.seq, None, joined=False)
        await self._pass_unchanged([event], posts)
        meta = decode_meta(event.meta) if event.meta is not None else {}
        user = meta.get("user")
        details: dict[str, Member] | None = None
        if user in stored.members:
            its = stored.members[user]
            details = {user: Member(role=its.role, recv=its.recv, read=its.read)}
        data = framed(view(stored, head=self.head, changed=True, details=details))
        for reader in list(self.readers):
            reader.deliver_passing(data)

    def _lose(self, unhandled: list[ToConversation]) -> None:
        """Let those connect again who would wait in vain: for an answer, to be let in or out."""
        for message_ in unhandled:
            if isinstance(message_, Post):
                message_.origin.lost(message_)
            elif isinstance(message_, Committed):
                for entry, answer in message_.answers:
                    entry.context.origin.lost(entry.context)
                    append = entry.append
                    if append.subject is not None and isinstance(answer, Outcome):
                        for reader in self.surroundings.local.of(append.subject):
                            reader.close_internal()

    # --- typing -------------------------------------------------------------------------------

    def _compose(self, wish: Compose) -> None:
        user = wish.reader.user
        if wish.reader not in self.readers:
            return
        if self.members is None and not self.private:
            self.surroundings.read_members(self)  # there may be many; the client says it again
            return
        if len(self.members or ()) > composing.MAX_MEMBERS:
            return
        self._marks_of_all().view(wish.reader)
        composers = self._composers = self._composers or composing.Composers()
        if composers.may_show(user):
            composing.show(self.id, self.readers, user, wish.kind)
            self.surroundings.relay.composes(self, user, wish.kind)

    # --- watermarks ---------------------------------------------------------------------------

    def _marks_of_all(self) -> Watermarks:
        if self._watermarks is None:
            self._watermarks = Watermarks(self)
        return self._watermarks


def _refuse(post: Post, answer: Answer) -> None:
    why = answer.error if isinstance(answer, Refused) else answer.status
    post.origin.refused(post, explain(post.rid, why))
