"""Two nodes over one storage and one bus: which of them a client uses is all one."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
from msgspec import Struct

from chat4all_actors.conversation.actor import EARLY_WAIT
from chat4all_actors.conversation.composing import MAX_MEMBERS
from chat4all_protocol.codec import encode_body
from chat4all_protocol.codes import CloseCode
from chat4all_protocol.frames import (
    Composing,
    Conv,
    Create,
    Gap,
    MemberBody,
    Msg,
    Read,
    Receipt,
    Recv,
    Send,
    Sent,
    TextBody,
    Typing,
)
from chat4all_protocol.ids import new_id
from chat4all_storage.memory.bus import MemoryBus
from chat4all_storage.memory.tally import MemoryTally
from chat4all_storage.ports.directory import User
from chat4all_storage.ports.events import Append

from ..actors.harness import Person, memory_with_users, person, running_node

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from trio.testing import MockClock

    from chat4all_actors.node import Node
    from chat4all_storage.ports.events import CommitResult, Mark, StoredEvent
    from chat4all_storage.ports.shard import Range
    from chat4all_storage.storage import Storage

G7 = 5.0
"""Seconds in which everybody has everything, whatever has failed."""


class Two(Struct):
    """The nodes and what they have in common."""

    one: Node
    other: Node
    bus: MemoryBus
    storage: Storage


@asynccontextmanager
async def two_nodes(**settings: Any) -> AsyncIterator[Two]:
    storage, bus, tally = await memory_with_users(), MemoryBus(), MemoryTally()
    async with (
        running_node(storage, bus=bus, tally=tally, **settings) as one,
        running_node(storage, bus=bus, tally=tally, **settings) as other,
    ):
        await trio.sleep(2.5)  # they beat, and tell each other who is there
        yield Two(one, other, bus, storage)


async def begun(someone: Person, *others: str) -> str:
    """A group that someone has opened with others."""
    await someone.say(Create(rid=1, type="group", members=list(others)))
    return someone.outlet.of(Conv)[-1].conv


def text(conv: str, words: str = "hello") -> Send:
    return Send(rid=7, conv=conv, id=new_id(), body=TextBody(words))


def heard(someone: Person) -> list[tuple[int, str]]:
    """The messages that somebody was passed."""
    return [
        (msg.seq, msg.body.text) for msg in someone.outlet.of(Msg) if isinstance(msg.body, TextBody)
    ]


def change(conv: str, kind: str, user: str) -> Append:
    return Append(
        conversation=conv,
        sender="ana",
        id=new_id(),
        kind="join" if kind == "join" else "leave",
        body=encode_body(MemberBody(user, "member" if kind == "join" else None)),
        digest=0,
        subject=user,
        role="member" if kind == "join" else None,
    )


# --- events ---------------------------------------------------------------------------------------


async def test_what_one_stores_the_other_delivers_at_once_and_in_order(
    autojump_clock: MockClock,
) -> None:
    async with two_nodes() as two:
        ana, bob = await person(two.one, "ana"), await person(two.other, "bob")
        conv = await begun(ana, "bob")
        assert [frame.conv for frame in bob.outlet.of(Conv)] == [conv]
        before = trio.current_time()
        for number in range(4):
            speaker = (ana, bob)[number % 2]
            await speaker.say(text(conv, str(number)))
        assert trio.current_time() == before
        assert heard(bob) == [(1, "0"), (3, "2")]
        assert heard(ana) == [(2, "1"), (4, "3")]
        assert [sent.seq for sent in ana.outlet.of(Sent)] == [1, 3]


@pytest.mark.parametrize("bus_is_away", [False, True])
async def test_on_every_node_a_message_is_the_same_bytes(
    autojump_clock: MockClock, bus_is_away: bool
) -> None:
    async with two_nodes() as two:
        ana, bob = await person(two.one, "ana"), await person(two.one, "bob")
        carla = await person(two.other, "carla")
        conv = await begun(ana, "bob", "carla")
        two.bus.down = bus_is_away
        await trio.sleep(3)
        words = ["hello", '\N{SNOWMAN} \\ "quoted" \x7f', "x" * 3000]
        for each in words:
            await ana.say(text(conv, each))
        await trio.sleep(G7)
        assert heard(bob) == list(enumerate(words, 1))
        assert carla.outlet.bytes_of(Msg) == bob.outlet.bytes_of(Msg)


async def test_a_message_is_one_entry_for_each_other_node_however_many_members(
    autojump_clock: MockClock,
) -> None:
    names = [f"member{number}" for number in range(300)]
    settings: dict[str, Any] = {"max_members": 301}
    async with (
        two_nodes(**settings) as two,
        running_node(two.storage, bus=two.bus, **settings) as third,
    ):
        await trio.sleep(2.5)  # the third is there, too
        for name in names:
            await two.storage.directory.add_user(User(f"id of {name}", name, b""))
        ana = await person(two.one, "ana")
        nodes = (two.other, third)
        there = [await person(nodes[n % 2], name) for n, name in enumerate(names)]
        conv = await begun(ana, *names)
        before = two.bus.appended
        for number in range(5):
            await ana.say(text(conv, str(number)))
        assert two.bus.appended - before == 5 * len(nodes)
        assert all(len(heard(each)) == 5 for each in there)


async def test_a_node_without_members_is_told_nothing(autojump_clock: MockClock) -> None:
    async with two_nodes() as two:
        ana = await person(two.one, "ana")
        await person(two.other, "carla")
        await trio.sleep(1)
        conv = await begun(ana, "bob")
        await ana.say(text(conv))  # from here on it knows its members
        before = two.one.backbone.statistics().sent_items
        await ana.say(text(conv))
        assert two.one.backbone.statistics().sent_items == before


async def test_without_the_bus_the_journal_brings_everything_in_time(
    autojump_clock: MockClock,
) -> None:
    async with two_nodes() as two:
        ana, bob = await person(two.one, "ana"), await person(two.other, "bob")
        two.bus.down = True
        await trio.sleep(3)
        assert two.other.degraded()
        conv = await begun(ana, "bob")
        await ana.say(text(conv))
        await trio.sleep(G7)
        assert heard(bob) == [(1, "hello")] or [gap.to for gap in bob.outlet.of(Gap)] == [1]
        await ana.say(text(conv, "again"))
        await trio.sleep(G7)
        assert heard(bob)[-1] == (2, "again")
        two.bus.down = False
        await trio.sleep(3)
        assert two.one.degraded() == two.other.degraded() == []
        await bob.say(text(conv, "back"))
        assert heard(ana) == [(3, "back")]


async def test_a_bus_that_has_forgotten_everything_is_joined_again(
    autojump_clock: MockClock,
) -> None:
    async with two_nodes() as two:
        ana, bob = await person(two.one, "ana"), await person(two.other, "bob")
        conv = await begun(ana, "bob")
        two.bus.forget()
        await ana.say(text(conv, "lost?"))
        await trio.sleep(G7)
        assert heard(bob) == [(1, "lost?")]
        await ana.say(text(conv, "found"))
        assert heard(bob) == [(1, "lost?"), (2, "found")]


async def test_an_own_message_that_the_journal_tells_first_is_answered_once(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_nodes() as two:
        ana, bob = await person(two.one, "ana"), await person(two.other, "bob")
        conv = await begun(ana, "bob")
        two.bus.down = True
        await trio.sleep(3)
        store = two.storage.shards.all[0]
        commit = store.commit

        async def answer_late(appends: Sequence[Append], marks: Sequence[Mark]) -> CommitResult:
            result = await commit(appends, marks)
            await trio.sleep(2)
            return result

        monkeypatch.setattr(store, "commit", answer_late)
        await ana.say(text(conv))
        await trio.sleep(1)
        assert ana.outlet.of(Msg) == []
        assert ana.outlet.of(Sent) == []
        assert heard(bob) == [(1, "hello")]
        await trio.sleep(2)
        assert ana.outlet.of(Msg) == []
        assert [(sent.seq, sent.dup) for sent in ana.outlet.of(Sent)] == [(1, False)]


class Held:
    """What the other node tells the first one is held back until it is let go."""

    def __init__(self, two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
        self._bus, self._to = two.bus, two.one.backbone.name
        self._append = two.bus.append
        self._entries: list[tuple[str, bytes]] = []
        self.reads = 0
        """Of events, from the store."""
        store = two.storage.shards.all[0]
        history = store.history

        async def counted(ranges: Sequence[Range]) -> list[list[StoredEvent]]:
            self.reads += 1
            return await history(ranges)

        monkeypatch.setattr(store, "history", counted)
        monkeypatch.setattr(two.bus, "append", self._hold)

    async def _hold(self, entries: Sequence[tuple[str, bytes]]) -> None:
        self._entries += [each for each in entries if each[0] == self._to]
        await self._append([each for each in entries if each[0] != self._to])

    async def let_go(self) -> None:
        entries, self._entries = self._entries, []
        await self._append(entries)
        await trio.testing.wait_all_tasks_blocked()


async def test_an_own_message_waits_for_what_another_node_stored_before_it(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_nodes() as two:
        ana, bob = await person(two.one, "ana"), await person(two.other, "bob")
        conv = await begun(ana, "bob")
        held = Held(two, monkeypatch)
        await bob.say(text(conv, "first"))
        for number in range(2):
            await ana.say(text(conv, str(number)))
        assert ana.outlet.of(Sent) == []
        assert heard(bob) == [(2, "0"), (3, "1")]  # nobody else waits for that
        await held.let_go()
        assert heard(ana) == [(1, "first")]
        assert [sent.seq for sent in ana.outlet.of(Sent)] == [2, 3]
        assert [type(frame) for frame in ana.outlet.taken[-3:]] == [Msg, Sent, Sent]
        assert held.reads == 0
        assert heard(bob) == [(2, "0"), (3, "1")]


async def test_a_retry_of_what_waits_is_answered_after_what_comes_before_it(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_nodes() as two:
        phone, bob = await person(two.one, "ana"), await person(two.other, "bob")
        laptop = await person(two.one, "ana", "laptop")
        conv = await begun(phone, "bob")
        held = Held(two, monkeypatch)
        await bob.say(text(conv, "first"))
        await phone.say(text(conv, "second"))
        await phone.say(again := text(conv, "third"))
        await laptop.say(again)
        await held.let_go()
        assert heard(laptop) == [(1, "first"), (2, "second"), (3, "third")]
        answer = laptop.outlet.taken[-1]
        assert isinstance(answer, Sent)
        assert (answer.seq, answer.dup) == (3, True)


async def test_what_does_not_come_from_the_other_node_in_time_is_read(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_nodes() as two:
        ana, bob = await person(two.one, "ana"), await person(two.other, "bob")
        conv = await begun(ana, "bob")
        held = Held(two, monkeypatch)
        await bob.say(text(conv, "first"))
        await ana.say(text(conv, "second"))
        await trio.sleep(EARLY_WAIT)
        await trio.testing.wait_all_tasks_blocked()
        assert [type(frame) for frame in ana.outlet.taken[-2:]] == [Msg, Sent]
        assert held.reads == 1
        await held.let_go()
        assert heard(ana) == [(1, "first")]


async def test_who_waits_for_another_node_is_told_when_the_conversation_ends(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_nodes() as two:
        ana, bob = await person(two.one, "ana"), await person(two.other, "bob")
        conv = await begun(ana, "bob")
        Held(two, monkeypatch)
        await bob.say(text(conv, "first"))
        await ana.say(text(conv, "second"))
        actor = two.one.conversations.get(conv)
        assert actor is not None
        with two.one.conversations.heads.reading():
            actor.stop()
            assert two.one.conversations.heads.of(conv) == 2
        assert ana.outlet.of(Sent) == []
        assert ana.outlet.closed is not None
        assert ana.outlet.closed[0] == CloseCode.INTERNAL


# --- members --------------------------------------------------------------------------------------


async def test_who_joins_and_leaves_elsewhere_is_let_in_and_out_here(
    autojump_clock: MockClock,
) -> None:
    async with two_nodes() as two:
        ana, carla = await person(two.one, "ana"), await person(two.other, "carla")
        conv = await begun(ana, "bob")
        await ana.say(text(conv, "before"))
        for kind in ("join", "leave"):
            await two.storage.shards.all[0].commit([change(conv, kind, "carla")], [])
            await ana.say(text(conv, f"after {kind}"))
            await trio.sleep(G7)
        entered, left = carla.outlet.of(Conv)
        assert (entered.head, entered.left) == (2, False)
        assert left.left
        announced = [(gap.from_, gap.to) for gap in carla.outlet.of(Gap)]
        assert heard(carla) == [(3, "after join")] or announced == [(3, 3)]


async def test_who_joins_elsewhere_is_let_in_though_the_conversation_came_alive_here_meanwhile(
    autojump_clock: MockClock,
) -> None:
    async with two_nodes() as two:
        ana, carla = await person(two.one, "ana"), await person(two.other, "carla")
        conv = await begun(ana, "bob")
        two.bus.down = True
        await trio.sleep(3.1)  # not when the journals are looked at, which is to come after bob
        await two.storage.shards.all[0].commit([change(conv, "join", "carla")], [])
        await person(two.other, "bob")
        await trio.sleep(G7)
        assert [frame.conv for frame in carla.outlet.of(Conv)] == [conv]
        await ana.say(text(conv))
        await trio.sleep(G7)
        assert heard(carla) == [(2, "hello")]


async def test_a_device_that_comes_to_the_other_node_ends_its_former_session(
    autojump_clock: MockClock,
) -> None:
    async with two_nodes() as two:
        former = await person(two.one, "ana", "phone")
        laptop = await person(two.one, "ana", "laptop")
        await person(two.other, "ana", "phone")
        await trio.sleep(2)
        assert former.outlet.closed is not None
        assert former.outlet.closed[0] == CloseCode.REPLACED
        assert laptop.outlet.closed is None


async def test_it_does_so_while_the_bus_is_away(autojump_clock: MockClock) -> None:
    async with two_nodes() as two:
        former = await person(two.one, "ana", "phone")
        await trio.sleep(1)
        two.bus.down = True
        await trio.sleep(3)
        await person(two.other, "ana", "phone")
        await trio.sleep(2)
        assert former.outlet.closed is not None
        assert former.outlet.closed[0] == CloseCode.REPLACED


async def test_a_revocation_ends_sessions_on_all_nodes_within_two_seconds(
    autojump_clock: MockClock,
) -> None:
    async with two_nodes() as two:
        sessions = [await person(two.one, "ana"), await person(two.other, "ana", "laptop")]
        bob = await person(two.other, "bob")
        await two.storage.directory.revoke("ana")
        await trio.sleep(2)
        for session in sessions:
            assert session.outlet.closed is not None
            assert session.outlet.closed[0] == CloseCode.REVOKED
        assert bob.outlet.closed is None


# --- receipts and typing --------------------------------------------------------------------------


async def test_receipts_of_a_pair_come_at_once(autojump_clock: MockClock) -> None:
    async with two_nodes() as two:
        ana, bob = await person(two.one, "ana"), await person(two.other, "bob")
        await ana.say(Create(rid=1, type="private", members=["bob"]))
        conv = ana.outlet.of(Conv)[0].conv
        await ana.say(text(conv))
        before = trio.current_time()
        await bob.say(Read(conv=conv, seq=1))
        assert [(r.user, r.recv, r.read) for r in ana.outlet.of(Receipt)] == [("bob", 1, 1)]
        assert trio.current_time() == before


@pytest.mark.parametrize("with_the_sender", [True, False])
async def test_receipts_of_a_group_are_collected_for_the_sender_and_who_looks_at_it(
    autojump_clock: MockClock, with_the_sender: bool
) -> None:
    async with two_nodes(receipt_interval=1.0) as two:
        ana, bob = await person(two.one, "ana"), await person(two.other, "bob")
        carla = await person(two.one if with_the_sender else two.other, "carla")
        conv = await begun(ana, "bob", "carla")
        await ana.say(text(conv))
        await bob.say(Recv(conv=conv, seq=1))
        assert ana.outlet.of(Receipt) == []
        await trio.sleep(1.5)
        assert [(r.user, r.recv) for r in ana.outlet.of(Receipt)] == [("bob", 1)]
        assert carla.outlet.of(Receipt) == []
        await carla.say(Read(conv=conv, seq=1))  # she looks at it now
        await bob.say(Read(conv=conv, seq=1))
        await trio.sleep(2.5)
        assert [(r.user, r.read) for r in carla.outlet.of(Receipt)] == [("bob", 1)]


async def test_who_composes_is_shown_on_the_other_node_too(autojump_clock: MockClock) -> None:
    async with two_nodes() as two:
        ana, bob = await person(two.one, "ana"), await person(two.other, "bob")
        conv = await begun(ana, "bob")
        await ana.say(Typing(conv=conv, kind="voice"))
        await ana.say(Typing(conv=conv))
        shown = [(one.user, one.kind, one.ttl) for one in bob.outlet.of(Composing)]
        assert shown == [("ana", "voice", 6000)]
        assert ana.outlet.of(Composing) == []


async def test_in_the_largest_group_that_shows_it_who_composes_is_shown(
    autojump_clock: MockClock,
) -> None:
    async with two_nodes() as two:
        names = [f"m{number}" for number in range(MAX_MEMBERS - 1)]
        for name in names:
            await two.storage.directory.add_user(User(f"id of {name}", name, b""))
        ana, one = await person(two.one, "ana"), await person(two.other, names[0])
        conv = await begun(ana, *names)
        for _ in range(3):  # the members may have to be read first
            await ana.say(Typing(conv=conv))
        assert [frame.user for frame in one.outlet.of(Composing)] == ["ana"]


async def test_in_a_large_group_nobody_is_shown_composing(autojump_clock: MockClock) -> None:
    async with two_nodes() as two:
        names = [f"m{number}" for number in range(MAX_MEMBERS)]
        for name in names:
            await two.storage.directory.add_user(User(f"id of {name}", name, b""))
        former, one = await person(two.one, "ana"), await person(two.other, names[0])
        conv = await begun(former, *names)
        await former.say(Typing(conv=conv))
        former.session.ended()
        ana = await person(two.one, "ana")  # of whose conversation nothing is known but its head
        for _ in range(3):
            await ana.say(Typing(conv=conv))
            await trio.sleep(3)
        assert one.outlet.of(Composing) == []


async def test_in_a_group_that_has_just_come_alive_who_composes_is_shown_when_it_is_said_again(
    autojump_clock: MockClock,
) -> None:
    async with two_nodes() as two:
        former, bob = await person(two.one, "ana"), await person(two.other, "bob")
        conv = await begun(former, "bob")
        former.session.ended()
        ana = await person(two.one, "ana")
        await ana.say(Typing(conv=conv))
        await ana.say(Typing(conv=conv))
        assert [one.user for one in bob.outlet.of(Composing)] == ["ana"]


# --- nodes that come and go -----------------------------------------------------------------------


async def test_a_node_that_ends_is_forgotten_at_once(autojump_clock: MockClock) -> None:
    storage, bus = await memory_with_users(), MemoryBus()
    async with running_node(storage, bus=bus) as one:
        async with running_node(storage, bus=bus) as other:
            await trio.sleep(2)
            assert one.backbone.peers.living == (other.node_id,)
        await trio.sleep(1)
        assert one.cluster.alone


# Rate limits


async def flood(someone: Person, conv: str, count: int) -> int:
    """How many of so many messages were taken."""
    for _ in range(count):
        await someone.say(text(conv))
    return len(someone.outlet.of(Sent))


async def test_a_user_who_goes_to_another_node_takes_along_what_was_sent(
    autojump_clock: MockClock,
) -> None:
    async with two_nodes(rate_messages_per_minute=60, rate_burst=10) as two:
        ana = await person(two.one, "ana")
        conv = await begun(ana, "bob")
        assert await flood(ana, conv, 15) == 10
        await trio.sleep(0.2)  # who is refused is told of at once
        away = await person(two.other, "ana", "phone")
        await trio.sleep(0.2)
        assert await flood(away, conv, 15) <= 1
        await trio.sleep(5.0)
        assert 5 <= await flood(away, conv, 15) <= 7


async def test_without_the_bus_each_node_takes_its_part_of_a_users_messages(
    autojump_clock: MockClock,
) -> None:
    async with two_nodes(rate_messages_per_minute=60, rate_burst=10) as two:
        two.bus.down = True
        ana = await person(two.one, "ana")
        conv = await begun(ana, "bob")
        await trio.sleep(2.0)
        assert await flood(ana, conv, 15) == 5
        two.bus.down = False
        await trio.sleep(60.0)
        ana = await person(two.one, "ana")
        assert await flood(ana, conv, 15) == 10
