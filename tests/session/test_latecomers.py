"""Two databases, of which one does not answer: what is in the other goes on."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_actors.conversation import appends
from chat4all_protocol.codec import encode
from chat4all_protocol.frames import (
    Composing,
    Conv,
    Error,
    Fetch,
    Gap,
    Msg,
    Page,
    Ready,
    Send,
    Sent,
    TextBody,
    Typing,
)
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.directory import User
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.events import Append
from chat4all_storage.ports.logical_shards import logical_shard
from chat4all_storage.storage import Storage, memory_storage

from ..actors.harness import USERS, Person, person, running_node
from ..conversation.test_posts import Inbox
from .outage import READS, Outage, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio.testing import MockClock

    from chat4all_actors.node import Node


def conversation_in(database: int) -> str:
    while logical_shard(id_ := new_id()) % 2 != database:
        pass
    return id_


@pytest.fixture
async def storage() -> Storage:
    """Ana and Bob have a conversation in each of two databases, with five events."""
    storage = memory_storage(2)
    for name in USERS:
        await storage.directory.add_user(User(f"id of {name}", name, b""))
    return storage


@pytest.fixture
async def convs(storage: Storage) -> list[str]:
    made = [conversation_in(0), conversation_in(1)]
    for id_ in made:
        await storage.shards.create(id_, "group", "t", "ana", {"ana": "owner", "bob": "member"})
        events = [Append(id_, "ana", new_id(), "message", b"\xc0", 1) for _ in range(5)]
        await storage.shards.of(id_).commit(events, [])
    return made


def introduced(someone: Person) -> list[tuple[str, int, list[str]]]:
    return [(conv.conv, conv.head, conv.members) for conv in someone.outlet.of(Conv)]


def gaps(someone: Person) -> list[tuple[str, int, int]]:
    return [(gap.conv, gap.from_, gap.to) for gap in someone.outlet.of(Gap)]


@pytest.fixture(params=[True, False], ids=["hangs", "fails"])
def hangs(request: pytest.FixtureRequest) -> bool:
    answer: bool = request.param
    return answer


@pytest.fixture
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


async def test_a_session_starts_without_it_and_gets_the_rest_when_it_is_back(
    autojump_clock: MockClock,
    storage: Storage,
    convs: list[str],
    patch: pytest.MonkeyPatch,
    hangs: bool,
) -> None:
    here, there = convs
    async with running_node(storage) as node:
        outage = Outage(storage, patch, hangs=hangs)
        start = trio.current_time()
        bob = await person(node, "bob", cursors={here: 3, there: 2})
        (ready,) = bob.outlet.of(Ready)
        assert trio.current_time() - start < 3
        assert [conv.conv for conv in ready.convs] == [here]
        assert [one.seq for one in bob.outlet.of(Msg)] == [4, 5]
        await bob.say(Send(rid=1, conv=here, id=new_id(), body=TextBody("goes on")))
        assert [sent.seq for sent in bob.outlet.of(Sent)] == [6]
        await trio.sleep(10)
        start = trio.current_time()
        await bob.session.receive(encode(Fetch(rid=9, conv=there, after=0)))
        assert trio.current_time() == start
        assert [error.code for error in bob.outlet.of(Error)] == ["UNAVAILABLE"]
        assert node.unready() is None
        assert node.degraded() == ["database memory-1 is out of reach"]
        assert introduced(bob) == []
        outage.heal()
        await trio.sleep(5)
        assert introduced(bob) == [(there, 2, ["ana", "bob"])]
        assert [(conv.type, conv.title) for conv in bob.outlet.of(Conv)] == [("group", "t")]
        assert gaps(bob) == [(there, 3, 5)]
        assert node.degraded() == []
        assert len(node.latecomers) == 0
        await bob.say(Send(rid=2, conv=there, id=new_id(), body=TextBody("back")))
        assert [sent.seq for sent in bob.outlet.of(Sent)] == [6, 6]
        await bob.say(Fetch(rid=3, conv=there, after=2))
        assert [item.seq for item in bob.outlet.of(Page)[0].items] == [3, 4, 5, 6]
        await post(node, appends.message(there, "ana", new_id(), TextBody("welcome")))
        assert bob.outlet.of(Msg)[-1].seq == 7
        assert len(introduced(bob)) == 1


async def test_who_left_meanwhile_is_not_let_in_and_who_was_added_is_so_once(
    autojump_clock: MockClock,
    storage: Storage,
    convs: list[str],
    patch: pytest.MonkeyPatch,
) -> None:
    _, there = convs
    async with running_node(storage) as node:
        outage = Outage(storage, patch, hangs=False)
        bob = await person(node, "bob", cursors={there: 0})
        carla = await person(node, "carla", cursors={})
        outage.heal()
        store = storage.shards.all[1]
        changes = [
            Append(there, "ana", new_id(), "leave", None, 1, subject="bob"),
            Append(there, "ana", new_id(), "join", None, 2, subject="carla", role="member"),
        ]
        for change in changes:
            await store.commit([change], [])
        await trio.sleep(5)
        assert introduced(bob) == []
        assert introduced(carla) == [(there, 7, ["ana", "carla"])]
        assert gaps(carla) == []


async def test_all_who_wait_are_let_in_however_many_they_are(
    autojump_clock: MockClock, storage: Storage, convs: list[str], patch: pytest.MonkeyPatch
) -> None:
    _, there = convs
    async with running_node(storage) as node:
        outage = Outage(storage, patch, hangs=False)
        waiting = [await person(node, "bob", f"device{number}") for number in range(20)]
        outage.heal()
        asked: Counter[float] = Counter()

        async def slowly() -> None:
            asked[trio.current_time()] += 1
            await trio.sleep(1)

        Reading(storage, patch, "resume").always = slowly
        await trio.sleep(5)
        assert [introduced(bob) for bob in waiting] == [[(there, 5, ["ana", "bob"])]] * 20
        assert len(node.latecomers) == 0
        start = min(asked)  # eight at a time, one behind the other
        assert {at - start: count for at, count in asked.items()} == {0: 8, 1: 8, 2: 4}


@pytest.mark.parametrize("cursor", [5, 50], ids=["at the head", "that can not be right"])
async def test_with_a_cursor_beyond_which_there_is_nothing_there_is_no_gap(
    autojump_clock: MockClock,
    storage: Storage,
    convs: list[str],
    patch: pytest.MonkeyPatch,
    cursor: int,
) -> None:
    _, there = convs
    async with running_node(storage) as node:
        outage = Outage(storage, patch, hangs=False)
        bob = await person(node, "bob", cursors={there: cursor})
        outage.heal()
        await trio.sleep(5)
        assert introduced(bob) == [(there, 5, ["ana", "bob"])]
        assert gaps(bob) == []


async def post(node: Node, change: Append) -> None:
    await node.conversations.post(change, Inbox())
    await trio.testing.wait_all_tasks_blocked()


async def test_who_ends_while_its_conversations_are_read_is_not_let_in(
    autojump_clock: MockClock, storage: Storage, convs: list[str], patch: pytest.MonkeyPatch
) -> None:
    _, there = convs
    async with running_node(storage) as node:
        outage = Outage(storage, patch, hangs=False)
        bob, other = await person(node, "bob"), await person(node, "bob", "other")
        outage.heal()
        reading = Reading(storage, patch, "members")

        async def end() -> None:
            other.session.close_internal()
            other.session.ended()

        reading.after = end
        await trio.sleep(5)
        assert introduced(bob) == [(there, 5, ["ana", "bob"])]
        assert introduced(other) == []
        assert node.conversations.read_by(there, other.session) is None


async def test_who_is_removed_between_the_answers_of_the_database_is_not_let_in(
    autojump_clock: MockClock, storage: Storage, convs: list[str], patch: pytest.MonkeyPatch
) -> None:
    _, there = convs
    async with running_node(storage) as node:
        await person(node, "ana")  # keeps the conversation awake
        outage = Outage(storage, patch, hangs=False)
        bob = await person(node, "bob", cursors={there: 5})
        outage.heal()
        leave = appends.leave(there, "ana", new_id(), "bob")
        Reading(storage, patch, "members").after = lambda: post(node, leave)
        await trio.sleep(5)
        assert [frame.left for frame in bob.outlet.of(Conv)] == [True]
        assert node.conversations.read_by(there, bob.session) is None


async def test_who_is_added_just_before_its_conversations_are_read_is_told_once(
    autojump_clock: MockClock, storage: Storage, convs: list[str], patch: pytest.MonkeyPatch
) -> None:
    _, there = convs
    async with running_node(storage) as node:
        outage = Outage(storage, patch, hangs=False)
        carla = await person(node, "carla")
        outage.heal()
        join = appends.join(there, "ana", new_id(), "carla", "member")
        Reading(storage, patch, "resume").before = lambda: post(node, join)
        await trio.sleep(5)
        assert introduced(carla) == [(there, 6, ["ana", "bob", "carla"])]
        assert gaps(carla) == []


@pytest.mark.parametrize("removed", [False, True])
async def test_what_woke_while_it_was_read_is_read_again(
    autojump_clock: MockClock,
    storage: Storage,
    convs: list[str],
    patch: pytest.MonkeyPatch,
    removed: bool,
) -> None:
    _, there = convs
    async with running_node(storage) as node:
        outage = Outage(storage, patch, hangs=False)
        bob = await person(node, "bob", cursors={there: 5})
        outage.heal()
        words = [appends.message(there, "ana", new_id(), TextBody("hi")) for _ in range(2)]
        elsewhere = appends.leave(there, "ana", new_id(), "bob") if removed else words[0]

        async def act() -> None:
            await storage.shards.all[1].commit([elsewhere], [])
            await post(node, words[1])

        Reading(storage, patch, "members").after = act
        await trio.sleep(5)
        if removed:
            assert bob.outlet.of(Conv) == []
        else:
            assert introduced(bob) == [(there, 5, ["ana", "bob"])]
            assert gaps(bob) == [(there, 6, 7)]
        assert len(node.latecomers) == 0


async def test_of_two_databases_that_are_back_one_after_the_other_each_is_read_when_it_is(
    autojump_clock: MockClock, patch: pytest.MonkeyPatch
) -> None:
    storage = memory_storage(3)
    await storage.directory.add_user(User("id of bob", "bob", b""))
    convs = []
    for store in storage.shards.all:
        while storage.shards.of(id_ := new_id()) is not store:
            pass
        await store.create(id_, "group", "t", "bob", {"bob": "owner"})
        convs.append(id_)
    async with running_node(storage) as node:
        with pytest.MonkeyPatch.context() as last:
            Outage(storage, last, hangs=True, database=2)
            outage = Outage(storage, patch, hangs=True)
            bob = await person(node, "bob")
            assert [conv.conv for conv in bob.outlet.of(Ready)[0].convs] == convs[:1]
            outage.heal()
            asked: list[int] = []

            async def note(database: int) -> None:
                asked.append(database)

            for number in range(3):
                Reading(storage, last, "resume", number).always = partial(note, number)
            await trio.sleep(5)
            assert introduced(bob) == [(convs[1], 0, ["bob"])]
            assert asked == [1]
        await trio.sleep(5)
        assert introduced(bob) == [(conv, 0, ["bob"]) for conv in convs[1:]]
        assert len(node.latecomers) == 0


async def test_a_private_conversation_that_comes_late_shows_who_composes_at_once(
    autojump_clock: MockClock, storage: Storage, patch: pytest.MonkeyPatch
) -> None:
    private = conversation_in(1)
    members = {"ana": "member", "bob": "member"}
    await storage.shards.create(private, "private", None, "ana", members)
    async with running_node(storage) as node:
        outage = Outage(storage, patch, hangs=False)
        ana, bob = await person(node, "ana"), await person(node, "bob")
        outage.heal()
        await trio.sleep(5)
        assert [conv.type for conv in bob.outlet.of(Conv)] == ["private"]
        await ana.say(Typing(conv=private))
        assert [one.user for one in bob.outlet.of(Composing)] == ["ana"]


async def test_a_session_that_ends_is_forgotten(
    autojump_clock: MockClock, storage: Storage, convs: list[str], patch: pytest.MonkeyPatch
) -> None:
    async with running_node(storage) as node:
        Outage(storage, patch, hangs=False)
        bob = await person(node, "bob", cursors={})
        assert len(node.latecomers) == 1
        bob.session.close_internal()
        bob.session.ended()
        await trio.sleep(5)
        assert len(node.latecomers) == 0


async def test_a_node_is_not_ready_when_none_of_its_databases_answers(
    autojump_clock: MockClock, storage: Storage, convs: list[str], patch: pytest.MonkeyPatch
) -> None:
    async with running_node(storage) as node:

        async def away(*_: object, **__: object) -> object:
            raise Unavailable("gone")

        ana = await person(node, "ana")
        for number, conv in enumerate(convs):
            for name in READS:
                patch.setattr(storage.shards.of(conv), name, away)
            for rid in range(3):
                await ana.say(Fetch(rid=rid, conv=conv, after=0))
            if not number:
                assert node.unready() is None
                assert node.degraded() == ["database memory-0 is out of reach"]
        assert node.unready() == "database memory-0, memory-1 is out of reach"
