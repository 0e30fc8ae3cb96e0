"""A conversation by itself: everything around it is the test's."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.config import Settings
from chat4all_actors.conversation.actor import ConversationActor
from chat4all_actors.conversation.signs import Signs
from chat4all_actors.fanout import LocalReaders
from chat4all_actors.kernel import Pool, Timers
from chat4all_actors.messages import Post, Relayed
from chat4all_protocol.codec import decode_server, encode_body
from chat4all_protocol.frames import MemberBody, TextBody
from chat4all_protocol.ids import new_id
from chat4all_storage.log.entries import LogFull
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.events import Append, Mark, Outcome, Status, StoredEvent
from chat4all_storage.ports.shard import Conversation, MemberInfo

from ..actors.test_fanout import FakeReader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from chat4all_actors.conversation.members import Asking
    from chat4all_actors.conversation.surroundings import Alive, Surroundings
    from chat4all_actors.messages import Passing
    from chat4all_protocol.frames import Conv, ConversationType, Error, Kind
    from chat4all_storage.log.entries import Answer, Entry
    from chat4all_storage.ports.shard import Range


class Session(FakeReader):
    """A reader that writes down what it gets, in short."""

    def __init__(self, user: str, device: str = "phone") -> None:
        super().__init__(user, device)
        self.got: list[object] = []
        self.reads = ""
        """The conversation that it reads."""

    def deliver(self, conversation: str, first: int, last: int, data: bytes) -> None:
        assert conversation == self.reads
        self.got += range(first, last + 1)

    def deliver_own(self, conversation: str, events: Sequence[Passing]) -> None:
        assert conversation == self.reads
        for event in events:
            if event.post is not None and event.post.origin is self:
                self.stored(event.post, event.seq, event.ts, dup=event.dup)
            else:
                self.got.append(event.seq)

    def deliver_passing(self, data: bytes) -> None:
        self.got.append(decode_server(data[4:] if data[1] == 126 else data[2:]))

    def stored(self, post: Post, seq: int, ts: int, *, dup: bool) -> None:
        assert (post.origin, ts) == (self, 1000 + seq)
        self.got.append(("repeated" if dup else "sent", seq))

    def refused(self, post: Post, error: Error) -> None:
        assert (post.origin, error.rid) == (self, post.rid)
        self.got.append(("refused", str(error.code)))

    def lost(self, post: Post) -> None:
        self.got.append(("lost", post.append.id))

    def entered(self, frame: Conv) -> None:
        self.reads = frame.conv
        self.got.append(("entered", frame.head, frame.members))

    def left(self, frame: Conv) -> None:
        assert frame.left
        self.got.append(("left", frame.head))

    def met(self, user: str) -> None:
        self.got.append(("met", user))

    def parted(self, user: str) -> None:
        self.got.append(("parted", user))

    def close_internal(self) -> None:
        self.got.append("closed")

    def lately(self) -> list[object]:
        """What it got since the last call."""
        got, self.got = self.got, []
        return got


class Log:
    """Answers what the test says; `full` and `gone` take nothing."""

    def __init__(self) -> None:
        self.taken: list[Entry[Post]] = []
        self.marks: list[Mark] = []
        self.full = False
        self.gone = False

    def submit_nowait(self, entry: Entry[Post]) -> None:
        if self.full:
            raise LogFull
        if self.gone:
            raise Unavailable("gone")
        self.taken.append(entry)

    def mark_nowait(self, mark: Mark, done: object) -> None:
        self.marks.append(mark)

    def answer(self, *answers: Answer) -> None:
        """Answer the oldest posts, all in one flush."""
        entries, self.taken = self.taken[: len(answers)], self.taken[len(answers) :]
        entries[0].owner(list(zip(entries, answers, strict=True)))


class Shards:
    """A store of one conversation; it answers when it is not `held`, and has `failures` first."""

    def __init__(self, id_: str, type_: ConversationType) -> None:
        self.stored = Conversation(id_, type_, "title", "ana", 0, 0, {})
        self.events: dict[int, StoredEvent] = {}
        self.reads: list[tuple[int, int]] = []
        self.failures = 0
        self.held: trio.Event | None = None

    async def history(self, ranges: list[Range]) -> list[list[StoredEvent]]:
        (wanted,) = ranges
        assert wanted.conversation == self.stored.id
        self.reads.append((wanted.after, wanted.upto))
        await self._answering()
        seqs = range(wanted.after + 1, min(wanted.upto, wanted.after + wanted.limit) + 1)
        return [[self.events[seq] for seq in seqs if seq in self.events]]

    async def conversation(self, id_: str) -> Conversation:
        assert id_ == self.stored.id
        await self._answering()
        return self.stored

    async def _answering(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.held is not None:
            await self.held.wait()
        if self.failures:
            self.failures -= 1
            raise Unavailable("gone")


class Relay:
    """Two other nodes, of which one hears what the other tells, too."""

    def __init__(self) -> None:
        self.alone = False
        self.hears = True
        self.told: list[object] = []
        self.room: object = None

    def events(self, room: object, events: Sequence[Passing]) -> None:
        assert room is self.room
        self.told.append([event.seq for event in events])

    def changed(self, room: object, seq: int, user: str | None, *, joined: bool) -> None:
        assert room is self.room
        self.told.append((seq, user, joined))

    def created(self, conversation: Conversation) -> None:
        self.told.append(conversation)

    def composes(self, room: object, user: str, kind: str) -> None:
        assert room is self.room
        self.told.append((user, kind))

    def marks(self, room: object, risen: Sequence[object]) -> None:
        self.told += risen


class Scene:
    """A conversation, and everything around it."""

    def __init__(self, pool: Pool, timers: Timers[Any], type_: ConversationType, head: int) -> None:
        self.id = new_id()
        self.settings = Settings(mailbox=20)
        self.pool = pool
        self.timers = timers
        self.log = Log()
        self.shards = Shards(self.id, type_)
        self.local = LocalReaders()
        self.relay = Relay()
        self.signs = Signs()
        self.wanted_members = 0
        self.ended: list[int] = []
        """The heads that ended conversations left."""
        self.late: list[int] = []
        """Up to where was stored what an ended conversation could not pass."""
        self.logs = self.log
        self.faults: list[str] = []
        self.expected: list[str] = []
        self.actor = ConversationActor(self.id, head, type_, cast("Surroundings", self))
        self.relay.room = self.actor

    # --- as the surroundings of the conversation ----------------------------------------------

    def read_members(self, conversation: Asking) -> None:
        assert conversation is self.actor
        self.wanted_members += 1

    def release(self, conversation: Alive) -> None:
        if not conversation.needed:
            conversation.stop()

    def forget(self, conversation: Alive, seq: int) -> None:
        self.ended.append(seq)

    def overtaken(self, id_: str, seq: int) -> None:
        assert id_ == self.id
        self.late.append(seq)

    # --- what happens -------------------------------------------------------------------------

    def enter(self, user: str, device: str = "phone") -> Session:
        """A session that reads it."""
        session = self.here(user, device)
        session.reads = self.id
        self.actor.readers[session] = None
        return session

    def here(self, user: str, device: str = "phone") -> Session:
        """A session that does not read it."""
        session = Session(user, device)
        self.local.add(session)
        return session

    def post(self, session: Session, id_: str = "", kind: Kind = "message") -> None:
        """Send something, without an answer yet."""
        body = encode_body(TextBody("hi") if kind == "message" else MemberBody("carla", "member"))
        subject = "carla" if kind in ("join", "leave") else None
        append = Append(self.id, session.user, id_ or new_id(), kind, body, 0, subject=subject)
        self.actor.tell_nowait(Post(append, 1, session))

    async def answered(self, *answers: Answer) -> None:
        """Let the log answer in one flush, and everything happen that follows from it."""
        self.log.answer(*answers)
        await wait_all_tasks_blocked()

    async def relayed(self, first: int, last: int) -> None:
        """Another node tells of events, and everything happens that follows from it."""
        seqs = range(first, last + 1)
        self.actor.hear(Relayed(first, ["bob" for _ in seqs], [b"%d" % seq for seq in seqs]))
        await wait_all_tasks_blocked()

    async def stands(self, seq: int) -> None:
        """The journal tells, and everything happens that follows from it."""
        self.actor.stands(seq)
        await wait_all_tasks_blocked()

    def store(
        self, *seqs: int, by: str = "bob", id_: str = "", kind: Kind = "message", **more: Any
    ) -> None:
        """Something stands in the store."""
        body = encode_body(TextBody("hi") if kind == "message" else MemberBody("carla", "member"))
        fields = {"body": body} | more
        for seq in seqs:
            it = StoredEvent(self.id, seq, id_ or f"id {seq}", by, kind, 1000 + seq, **fields)
            self.shards.events[seq] = it

    def members(self, *names: str) -> None:
        """The store has these members."""
        info = MemberInfo("member", 0, 0)
        its = self.shards.stored
        self.shards.stored = Conversation(
            its.id, its.type, its.title, "ana", 0, 0, dict.fromkeys(names, info)
        )


def stored(seq: int) -> Outcome:
    """The log has stored it."""
    return Outcome(Status.STORED, seq, 1000 + seq)


def again(seq: int) -> Outcome:
    """It was stored before."""
    return Outcome(Status.DUPLICATE, seq, 1000 + seq)


@asynccontextmanager
async def scene_of(
    *users: str, type_: ConversationType = "group", head: int = 0
) -> AsyncIterator[tuple[Scene, list[Session]]]:
    """A conversation that sessions of these users read."""
    pool = Pool("conversations", on_fault=lambda _, error: scene.faults.append(str(error)))
    timers: Timers[Any] = Timers(
        "timers", on_fault=lambda _, error: scene.faults.append(str(error))
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(pool.run)
        await nursery.start(timers.run)
        scene = Scene(pool, timers, type_, head)
        scene.members(*users)
        yield scene, [scene.enter(user) for user in users]
        assert scene.faults == scene.expected
        nursery.cancel_scope.cancel()
