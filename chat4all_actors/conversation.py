"""A conversation on this node: soft state that the shard log can rebuild at any moment.

It knows the head (the `seq` up to which every event has been passed to the local readers) and
the readers, nothing else that matters. What is sent goes to the shard log; what the log has
committed goes to every reader, in order: each event is passed exactly when the head stands right
before it. A hole (another writer, a commit whose answer was lost) is read from the store first.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeVar

import trio
from msgspec import Struct

from chat4all_protocol.codec import decode_body
from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.frames import Composing, Conv, MemberBody, Receipt
from chat4all_storage.group_commit import Entry, LogFull, Refused
from chat4all_storage.ports import Mark, Outcome, Range, Rejected, Status, StoredEvent, Unavailable

from .fanout import Passing, fan_out
from .kernel import Actor, ActorStopped
from .messages import (
    Committed,
    Compose,
    MarkDue,
    Marked,
    MarkRead,
    Overtaken,
    Post,
    ToConversation,
)
from .wire import framed, message, not_found, refusal, unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chat4all_protocol.frames import Error
    from chat4all_storage.group_commit import Answer
    from chat4all_storage.ports import Conversation as StoredConversation
    from chat4all_storage.shard_logs import ShardLogs
    from chat4all_storage.shards import Shards

    from .conversations import Conversations
    from .fanout import Reader

logger = logging.getLogger(__name__)

A = TypeVar("A")
T = TypeVar("T")

TYPING_TTL_MS: Final = 6000
TYPING_INTERVAL: Final = 1.0
"""Seconds in which a user's further `typing` frames are dropped."""
CATCH_UP_BATCH: Final = 500
RETRY_FIRST: Final = 0.05
RETRY_MAX: Final = 1.0

_REFUSALS: Final = {
    Status.CONFLICT: (ErrorCode.CONFLICT, "this id was used for another message", "id"),
    Status.BAD_REFERENCE: (ErrorCode.INVALID_PAYLOAD, "reply_to names no event", "reply_to"),
    Status.ALREADY_MEMBER: (ErrorCode.CONFLICT, "already a member", "username"),
    Status.NO_SUCH_MEMBER: (ErrorCode.NOT_FOUND, "no such member", "username"),
    Status.FULL: (ErrorCode.CONFLICT, "the conversation has as many members as it may", None),
}


class _Marking(Struct, eq=False):
    """A user's watermarks on their way to the log, at most one write per interval."""

    recv: int
    read: int
    by: Reader
    waiting: bool
    """Whether they have risen since they were last written."""


class ConversationActor(Actor[ToConversation]):
    """One conversation; see the module."""

    __slots__ = (
        "_logs",
        "_marking",
        "_open",
        "_shards",
        "_surroundings",
        "_typed",
        "head",
        "id",
        "readers",
    )

    def __init__(self, id_: str, head: int, surroundings: Conversations) -> None:
        super().__init__(f"conversation {id_}", surroundings.pool, surroundings.settings.mailbox)
        self.id = id_
        self.head = head
        self.readers: set[Reader] = set()
        self._surroundings = surroundings
        self._logs: ShardLogs = surroundings.logs
        self._shards: Shards = surroundings.storage.shards
        self._open = 0
        """Posts that the log has not answered."""
        self._marking: dict[str, _Marking] | None = None
        self._typed: dict[str, float] | None = None

    @property
    def needed(self) -> bool:
        """Whether there is anything here that a fresh actor would not know."""
        return bool(self.readers or self._open or self._marking or len(self._mailbox))

    async def receive(self, batch: list[ToConversation]) -> None:
        """Handle messages in order."""
        for message_ in batch:
            if isinstance(message_, Post):
                self._submit(message_)
            elif isinstance(message_, Committed):
                await self._committed(message_.answers)
            elif isinstance(message_, Overtaken):
                await self._catch_up(message_.seq)
            elif isinstance(message_, MarkRead):
                self._mark(message_)
            elif isinstance(message_, Marked):
                self._announce(message_.mark)
            elif isinstance(message_, MarkDue):
                self._mark_due(message_.user)
            else:
                self._compose(message_)
        self._surroundings.release(self)

    def on_fault(self, error: BaseException, unhandled: list[ToConversation]) -> None:
        """Let clients connect again and resume: their sessions hold no position of their own."""
        self._surroundings.forget(self, _stored_up_to(unhandled, self.head))
        for reader in list(self.readers):
            reader.close_internal()
        self._lose(unhandled)

    def on_stop(self, unhandled: list[ToConversation]) -> None:
        """Who waits for an answer that won't come is told so."""
        self._surroundings.forget(self, _stored_up_to(unhandled, self.head))
        self._lose(unhandled)

    # --- storing ------------------------------------------------------------------------------

    def _submit(self, post: Post) -> None:
        try:
            self._logs.submit_nowait(Entry(post.append, self._on_commit, post))
        except (LogFull, Unavailable):
            post.origin.refused(post, unavailable(post.rid))
        else:
            self._open += 1

    def _on_commit(self, answers: list[tuple[Entry[Post], Answer]]) -> None:
        """Called by the log."""
        try:
            self.reply_nowait(Committed(answers))
        except ActorStopped:
            unhandled: list[ToConversation] = [Committed(answers)]
            self._surroundings.overtaken(self.id, _stored_up_to(unhandled, self.head))
            self._lose(unhandled)

    async def _committed(self, answers: list[tuple[Entry[Post], Answer]]) -> None:
        self._open -= len(answers)
        passing: list[StoredEvent] = []
        posts: dict[int, tuple[Post, bool]] = {}
        expected = self.head + 1
        for entry, answer in answers:
            post = entry.context
            if isinstance(answer, Refused):
                post.origin.refused(post, _explain(post, answer.error))
            elif answer.status not in (Status.STORED, Status.DUPLICATE):
                post.origin.refused(post, _explain(post, answer.status))
            elif answer.seq < expected:
                # It was passed before: a retry, or an event that was read as part of a hole.
                dup = answer.status is Status.DUPLICATE
                post.origin.stored(post, answer.seq, answer.ts, dup=dup)
            else:
                if answer.seq > expected:
                    await self._pass(passing, posts)
                    passing, posts = [], {}
                    await self._catch_up(answer.seq - 1)
                passing.append(_event(post, answer))
                posts[answer.seq] = (post, answer.status is Status.DUPLICATE)
                expected = answer.seq + 1
        await self._pass(passing, posts)

    async def _catch_up(self, upto: int) -> None:
        """Read and pass the events after the head that did not come through this actor."""
        while self.head < upto:
            wanted = Range(self.id, self.head, upto, CATCH_UP_BATCH)
            (events,) = await self._until_available(self._shards.history, [wanted])
            await self._pass(events, {})

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

    # --- passing ------------------------------------------------------------------------------

    async def _pass(self, events: list[StoredEvent], posts: dict[int, tuple[Post, bool]]) -> None:
        """Give events that follow the head to the readers; members come and go as they say."""
        start = 0
        for index, event in enumerate(events):
            if event.kind in ("join", "leave"):
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
        for event in events:
            post, dup = posts.get(event.seq, (None, False))
            data = framed(message(event))
            passing.append(Passing(event.seq, event.ts, data, post, dup))
        # The head moves first: whoever enters during the fan-out starts after these events.
        self.head = events[-1].seq
        await fan_out(self.readers, self.id, passing)

    async def _pass_change(self, event: StoredEvent, posts: dict[int, tuple[Post, bool]]) -> None:
        body = decode_body(event.body) if event.body is not None else None
        if not isinstance(body, MemberBody):
            raise ValueError(f"event {event.seq} of {self.id} names no member")
        stored = await self._until_available(self._shards.conversation, self.id)
        assert stored is not None  # conversations are never deleted
        local = self._surroundings.local
        if event.kind == "leave":
            self.readers.difference_update(local.of(body.user))
        await self._pass_unchanged([event], posts)
        # Asked again: sessions have come and gone while the event was passed.
        for reader in local.of(body.user):
            if event.kind == "leave":
                self.readers.discard(reader)
                reader.left(view(stored, head=event.seq, left=True))
            else:
                self.readers.add(reader)
                reader.entered(view(stored, head=self.head))

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
                        for reader in self._surroundings.local.of(append.subject):
                            reader.close_internal()

    # --- watermarks ---------------------------------------------------------------------------

    def _mark(self, wish: MarkRead) -> None:
        reader = wish.reader
        if reader not in self.readers:
            return
        read = min(wish.read, self.head)
        recv = min(max(wish.recv, read), self.head)
        if self._marking is None:
            self._marking = {}
        marking = self._marking.get(reader.user)
        if marking is None:
            self._marking[reader.user] = _Marking(recv, read, reader, waiting=False)
            self._write_mark(reader.user)
        elif recv > marking.recv or read > marking.read:
            marking.recv = max(marking.recv, recv)
            marking.read = max(marking.read, read)
            marking.by = reader
            marking.waiting = True

    def _write_mark(self, user: str) -> None:
        assert self._marking is not None
        marking = self._marking[user]
        marking.waiting = False
        self._logs.mark_nowait(Mark(self.id, user, marking.recv, marking.read), self._on_mark)
        interval = self._surroundings.settings.mark_interval
        self._surroundings.timers.set((self.id, user), interval, self._on_mark_due, user)

    def _on_mark(self, mark: Mark) -> None:
        """Called by the log."""
        self._tell_myself(Marked(mark))

    def _on_mark_due(self, user: str) -> None:
        """Called by the timers."""
        self._tell_myself(MarkDue(user))

    def _tell_myself(self, message_: Marked | MarkDue) -> None:
        try:
            self.reply_nowait(message_)
        except ActorStopped:
            logger.debug("%s ended before %s", self.name, type(message_).__name__)

    def _mark_due(self, user: str) -> None:
        if self._marking is None or (marking := self._marking.get(user)) is None:
            return
        if marking.waiting:
            self._write_mark(user)
        else:
            del self._marking[user]

    def _announce(self, mark: Mark) -> None:
        """Tell the readers where a member's watermarks stand, except who raised them."""
        marking = (self._marking or {}).get(mark.user)
        by = marking.by if marking is not None else None
        data = framed(Receipt(conv=self.id, user=mark.user, recv=mark.recv, read=mark.read))
        for reader in self.readers:
            if reader is not by:
                reader.deliver_passing(data)

    # --- typing -------------------------------------------------------------------------------

    def _compose(self, wish: Compose) -> None:
        user = wish.reader.user
        if wish.reader not in self.readers:
            return
        now = trio.current_time()
        typed = {name: at for name, at in (self._typed or {}).items() if at > now - TYPING_INTERVAL}
        self._typed = typed
        if user in typed:
            return
        typed[user] = now
        data = framed(Composing(conv=self.id, user=user, kind=wish.kind, ttl=TYPING_TTL_MS))
        for reader in self.readers:
            if reader.user != user:
                reader.deliver_passing(data)


def view(
    stored: StoredConversation, *, head: int, rid: int | None = None, left: bool = False
) -> Conv:
    """A conversation as its `conv` frame."""
    return Conv(
        conv=stored.id,
        type=stored.type,
        title=stored.title,
        members=[] if left else list(stored.members),
        head=head,
        rid=rid,
        left=left,
    )


def _event(post: Post, outcome: Outcome) -> StoredEvent:
    append = post.append
    return StoredEvent(
        conversation=append.conversation,
        seq=outcome.seq,
        id=append.id,
        sender=append.sender,
        kind=append.kind,
        ts=outcome.ts,
        body=append.body,
        reply_to=append.reply_to,
        target=append.target,
        meta=append.meta,
    )


def _explain(post: Post, why: Status | Unavailable | Rejected) -> Error:
    if isinstance(why, Unavailable):
        return unavailable(post.rid)
    if isinstance(why, Rejected):
        return refusal(ErrorCode.INTERNAL, "the message can't be stored", post.rid)
    if why is Status.NOT_MEMBER:
        return not_found(post.rid)
    code, text, field = _REFUSALS[why]
    return refusal(code, text, post.rid, field=field)


def _stored_up_to(unhandled: list[ToConversation], head: int) -> int:
    """The last event known to be stored: `head`, or one that was not passed."""
    for message_ in unhandled:
        if isinstance(message_, Committed):
            for _, answer in message_.answers:
                if not isinstance(answer, Refused):
                    head = max(head, answer.seq)
        elif isinstance(message_, Overtaken):
            head = max(head, message_.seq)
    return head
