"""Two databases, of which one does not answer: what is in the other goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_protocol.codec import encode
from chat4all_protocol.frames import Conv, Error, Fetch, Gap, Msg, Page, Ready, Send, Sent, TextBody
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.directory import User
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.events import Append
from chat4all_storage.ports.logical_shards import logical_shard
from chat4all_storage.storage import Storage, memory_storage

from ..actors.harness import USERS, Person, person, running_node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio.testing import MockClock


READS = ("resume", "history", "conversation", "page", "members", "commit", "create")


def conversation_in(database: int) -> str:
    while logical_shard(id_ := new_id()) % 2 != database:
        pass
    return id_


class Outage:
    """The second database hangs or fails, until it is healed."""

    def __init__(self, storage: Storage, monkeypatch: pytest.MonkeyPatch, *, hangs: bool) -> None:
        async def away(*_: object, **__: object) -> object:
            if hangs:
                await trio.sleep_forever()
            raise Unavailable("gone")

        self._patch = monkeypatch
        for name in READS:
            monkeypatch.setattr(storage.shards.all[1], name, away)

    def heal(self) -> None:
        self._patch.undo()


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
        assert gaps(bob) == [(there, 3, 5)]
        assert node.degraded() == []
        assert len(node.latecomers) == 0
        await bob.say(Send(rid=2, conv=there, id=new_id(), body=TextBody("back")))
        assert [sent.seq for sent in bob.outlet.of(Sent)] == [6, 6]
        await bob.say(Fetch(rid=3, conv=there, after=2))
        assert [item.seq for item in bob.outlet.of(Page)[0].items] == [3, 4, 5, 6]


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
