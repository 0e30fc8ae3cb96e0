"""A conversation on this node: soft state that the shard log can rebuild at any moment.

It knows the head (the `seq` up to which every event has been passed to the local readers) and
the readers, nothing else that matters. What is sent goes to the shard log; what the log has
committed goes to every reader and to the other nodes, what comes from another node to the
readers, both in the order that `order.py` knows. What is missing is read from the store.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from chat4all_storage.log.entries import Entry, LogFull
from chat4all_storage.ports.errors import Unavailable

from ..fanout import CHECKPOINT_EVERY, fan_out, fan_out_nowait
from ..kernel import Actor, ActorStopped, MailboxFull
from ..messages import (
    Committed,
    Compose,
    ComposingElsewhere,
    HoleDue,
    MarkRead,
    MembersRead,
    Overtaken,
    Post,
    Relayed,
    ToConversation,
    stored_up_to,
)
from ..wire import unavailable
from . import composing
from .answering import lose, tell
from .changes import pass_change
from .order import CHANGES, Early, changes, in_line, read
from .reading import read_events
from .watermarks import RECENT, Watermarks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chat4all_protocol.frames import ConversationType
    from chat4all_storage.log.entries import Answer
    from chat4all_storage.ports.events import StoredEvent
    from chat4all_storage.sharding.shard_logs import ShardLogs

    from ..messages import Passing, Reader
    from .surroundings import Surroundings

EARLY_WAIT: Final = 0.05
"""Seconds that events wait for those before them, until these are read from the store."""
MAX_RELAYED: Final = 1024 * 1024
"""Bytes of events of other nodes in the mailbox; what is beyond is read from the store later."""


class ConversationActor(Actor[ToConversation]):
    """One conversation; see the module."""

    __slots__ = (
        "_composers",
        "_early",
        "_logs",
        "_open",
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
        self, id_: str, head: int, type_: ConversationType, surroundings: Surroundings
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
        self.overtaken = 0
        """Up to where it was told last that events are stored."""
        self.relayed_bytes = 0
        """Of events of other nodes that wait in the mailbox."""
        self.changed_at = head
        """No event after this one, up to the head, has changed the members."""
        self._early: Early | None = None
        """While anything is known behind the head."""
        self._open: dict[tuple[str, str], int] | None = None
        """How many posts of a sender and id the log has not answered."""
        self._watermarks: Watermarks | None = None
        self._composers: composing.Composers | None = None

    @property
    def needed(self) -> bool:
        """Whether there is anything here that a fresh actor would not know."""
        if self.readers or self.lingering or self._open or len(self._mailbox):
            return True
        if self._early is not None and self._early.owing:
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
        for message in batch:
            if isinstance(message, Post):
                self._submit(message)
            elif isinstance(message, Committed):
                await self._committed(message.answers)
            elif isinstance(message, Relayed):
                self.relayed_bytes -= message.size
                self._behind_head().relayed(self.head, message)
                await self._go_on()
            elif isinstance(message, Overtaken):
                early = self._behind_head()
                early.stored = max(early.stored, message.seq)
                await self._go_on()
            elif isinstance(message, HoleDue):
                await self._go_on(due=True)
            elif isinstance(message, MembersRead):
                self.take_members(message)
            elif isinstance(message, Compose):
                self._composers = self._composers or composing.Composers(self)
                if self._composers.compose(message):
                    self._marks_of_all().view(message.reader)
            elif isinstance(message, ComposingElsewhere):
                composing.show(self.id, self.readers, message.user, message.kind)
            else:
                self._marks_of_all().receive(message)
        self.surroundings.release(self)

    def receive_nowait(self, message: ToConversation) -> bool:
        """Handle what is sent, read and committed, if it needs nothing else: nearly always."""
        if type(message) is Post:
            self._submit(message)
        elif type(message) is MarkRead:
            self._marks_of_all().mark(message)
        elif type(message) is not Committed or not self._committed_nowait(message.answers):
            return False
        self.surroundings.release(self)
        return True

    def on_fault(self, error: BaseException, unhandled: list[ToConversation]) -> None:
        """Let clients connect again and resume: their sessions hold no position of their own."""
        self.on_stop(unhandled)
        for reader in list(self.readers):
            reader.close_internal()

    def on_stop(self, unhandled: list[ToConversation]) -> None:
        """Who waits for an answer that won't come is told so."""
        known, early = self.head, list[Post]()
        if self._early is not None:
            known, early = self._early.last(self.head), self._early.posts()
        self.surroundings.forget(self, stored_up_to(unhandled, known))
        lose(early, unhandled, self.surroundings.local)

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
            lose((), unhandled, self.surroundings.local)

    def _committed_nowait(self, answers: list[tuple[Entry[Post], Answer]]) -> bool:
        """The same as `_committed` where nothing is early, and the readers are few."""
        if self._early is not None or len(self.readers) >= CHECKPOINT_EVERY:
            return False
        run = in_line(self.head, answers)
        if run is None:
            return False
        self._note_answered(answers)
        self._tell_others(run)
        self._advance(run)
        fan_out_nowait(self.readers, self.id, run)
        return True

    async def _committed(self, answers: list[tuple[Entry[Post], Answer]]) -> None:
        self._note_answered(answers)
        for post, answer in self._behind_head().answered(self.head, answers):
            tell(post, answer)
        await self._go_on()

    def _note_answered(self, answers: list[tuple[Entry[Post], Answer]]) -> None:
        assert self._open is not None
        for entry, _ in answers:
            key = (entry.append.sender, entry.append.id)
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]
        self._open = self._open or None

    # --- from other nodes ---------------------------------------------------------------------

    def hear(self, relayed: Relayed) -> None:
        """Events were stored through another node.

        Raises:
            ActorStopped: it ended.
        """
        last = relayed.first + len(relayed.frames) - 1
        if self.relayed_bytes > MAX_RELAYED:
            self.stands(last)
        elif last > self.head:
            self.relayed_bytes += relayed.size
            self.reply_nowait(relayed)

    def stands(self, seq: int) -> None:
        """Events are stored up to `seq`: those that are not passed yet are to be read.

        Raises:
            ActorStopped: it ended.
        """
        if seq > max(self.head, self.overtaken):
            self.overtaken = seq
            self.reply_nowait(Overtaken(seq))

    def take_members(self, read: MembersRead) -> None:
        """Know the members as they were read, unless they have changed since."""
        if read.head >= self.changed_at:
            self.members = read.members
        else:
            self.surroundings.read_members(self)

    # --- what is early ------------------------------------------------------------------------

    def _behind_head(self) -> Early:
        if self._early is None:
            self._early = Early()
        return self._early

    async def _go_on(self, *, due: bool = False) -> None:
        """Pass what follows the head. What is missing there is read: at once, or, if another node
        may yet tell of it, when that has had its time (`due`).

        To wait is a matter of milliseconds, and spares reading what comes anyway.
        """
        early, relay = self._behind_head(), self.surroundings.relay
        while True:
            while run := early.following(self.head):
                await self._pass(run)
            for post, answer in early.repeated(self.head):
                tell(post, answer)
            upto = early.missing(self.head)
            if upto == self.head:
                if not early.busy(self.head):
                    self._early = None
                return
            deaf = early.owing and not relay.hears  # who is here and waits, waits for nothing
            if not (due or deaf or early.urgent(self.head)):
                break
            await self._read(upto)
        # So that no node waits for another that waits.
        for run in early.untold():
            self._tell_others(run)
        if early.hole != self.head:  # else its time runs already
            early.hole = self.head
            timers, key = self.surroundings.timers, (self.id, ":hole")
            timers.set(key, EARLY_WAIT, self._on_hole_due)

    def _on_hole_due(self) -> None:
        """Called by the timers."""
        if self._early is not None and self._early.hole == self.head:
            self._early.hole = None
            with suppress(ActorStopped):
                self.reply_nowait(HoleDue())

    async def _read(self, upto: int) -> None:
        """Pass what the store has behind the head, up to there or for a while.

        It stops at an event whose sender here still waits for its `sent`, which takes the place of
        the `msg`, until the log has answered.
        """
        early = self._behind_head()
        retries = early.before_own(upto)  # what is open of these is answered in any order
        events = await read_events(self.surroundings.shards, self.id, self.head, upto)
        run: list[Passing] = []
        awaited = False
        for event in events:
            awaited = not retries and (event.sender, event.id) in (self._open or ())
            if awaited:
                break
            if event.kind in CHANGES:
                await self._pass(run)
                await self._pass_change(event, read(event))
                run = []
            else:
                run.append(read(event))
        await self._pass(run)
        if awaited:
            early.awaited, early.stored = self.head, max(early.stored, upto)

    # --- passing ------------------------------------------------------------------------------

    async def _pass(self, run: list[Passing]) -> None:
        """Give events that follow the head to the readers, and own ones to other nodes."""
        if not run:
            return
        first = run[0]
        if first.post is not None:
            if changes(first):
                await self._pass_change(first.post.event(first.seq, first.ts), first)
                return
            told = self._behind_head().told
            self._tell_others([event for event in run if event.seq > told])
        await self.deliver(run)

    async def _pass_change(self, event: StoredEvent, passing: Passing) -> None:
        self._behind_head().told = event.seq  # of later ones perhaps not all who are members now
        await pass_change(self, event, passing)

    def _tell_others(self, run: list[Passing]) -> None:
        """Tell the other nodes of events that were stored through this one."""
        if self.surroundings.relay.alone or not run:
            return
        if self.members is None:
            self.surroundings.read_members(self)
        self.surroundings.relay.events(self, run)

    async def deliver(self, run: list[Passing]) -> None:
        """Give events that follow the head to the readers."""
        self._advance(run)
        await fan_out(self.readers, self.id, run)

    def _advance(self, run: list[Passing]) -> None:
        """Move the head, before the fan-out: whoever enters then starts after these events."""
        if not self.private:
            self.senders = ((self.senders or []) + [event.sender for event in run])[-RECENT:]
        self.head = run[-1].seq

    def _marks_of_all(self) -> Watermarks:
        if self._watermarks is None:
            self._watermarks = Watermarks(self)
        return self._watermarks
