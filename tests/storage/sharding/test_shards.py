"""Reads and creations find their database, also when it is just changing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_protocol.ids import new_id
from chat4all_storage.memory.directory import MemoryDirectory
from chat4all_storage.memory.shard import MemoryShard
from chat4all_storage.ports.errors import Moved, Unavailable
from chat4all_storage.ports.logical_shards import default_placement, logical_shard
from chat4all_storage.ports.shard import Range, Replay
from chat4all_storage.sharding.shards import POLL_INTERVAL, Resumption, Shards
from tests.storage.builders import append, commit, conversation_of, fill, new_conversation

if TYPE_CHECKING:
    from trio.testing import MockClock


class Moving:
    """Two databases in memory, and a way to move everything of a logical shard."""

    def __init__(self) -> None:
        self.stores = [MemoryShard("a"), MemoryShard("b")]
        self.directory = MemoryDirectory(["a", "b"] * 32)
        self.shards = Shards(self.stores, default_placement(2), self.directory)

    def move(self, shard: int) -> None:
        source, target = self.stores if self.directory.placed[shard] == "a" else self.stores[::-1]
        source.moved_shards.add(shard)
        target.moved_shards.discard(shard)
        for id_ in [id_ for id_ in source._logs if logical_shard(id_) == shard]:
            target._logs[id_] = source._logs.pop(id_)
        self.directory.placed[shard] = target.name


@pytest.fixture
def moving() -> Moving:
    return Moving()


async def test_ranges_of_several_databases_come_back_in_their_order(moving: Moving) -> None:
    ids = [conversation_of(shard) for shard in (3, 4, 5)]
    for count, id_ in enumerate(ids, 1):
        await moving.shards.create(id_, "group", None, "ann", {"ann": "owner"})
        await fill(moving.shards.of(id_), id_, "ann", count)
    found = await moving.shards.history([Range(id_, 0, 9, 9) for id_ in ids])
    assert [len(events) for events in found] == [1, 2, 3]
    assert await moving.shards.history([]) == []


async def test_reads_follow_a_shard_that_has_moved(moving: Moving) -> None:
    here, there = conversation_of(4), conversation_of(6)
    for id_ in (here, there):
        await new_conversation(moving.stores[0], "ann", id=id_)
        await fill(moving.stores[0], id_, "ann", 2)
    moving.move(4)
    found = await moving.shards.history([Range(id_, 0, 9, 9) for id_ in (here, there)])
    assert [len(events) for events in found] == [2, 2]
    assert moving.shards.of(here) is moving.stores[1]
    moving.move(4)
    page = await moving.shards.page(here, "ann", after=None, before=None, limit=9)
    assert page is not None
    assert page.head == 2
    moving.move(4)
    stored = await moving.shards.conversation(here)
    assert stored is not None
    moving.move(4)
    again, made = await moving.shards.create(here, "group", None, "ann", {"ann": "owner"})
    assert (again.head, made) == (2, False)


async def test_what_stands_is_asked_of_all_databases_and_follows_what_has_moved(
    moving: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: dict[tuple[str, str], list[bytes]] = {}
    for shard in (3, 4, 5, 6):
        id_ = conversation_of(shard)
        await new_conversation(moving.shards.of(id_), "ann", id=id_)
        entry = append(id_, "ann", f"of {shard}".encode())
        await commit(moving.shards.of(id_), entry)
        said[id_, entry.id] = [f"of {shard}".encode()]
    absent = (conversation_of(3), new_id())
    moving.move(4)
    assert await moving.shards.carrying([absent, *said], "ann") == said
    assert await moving.shards.carrying(list(said), "bob") == {}
    assert await moving.shards.carrying([], None) == {}

    async def away(*_: object) -> object:
        raise Unavailable("gone")

    monkeypatch.setattr(moving.stores[0], "carrying", away)
    with pytest.raises(Unavailable):
        await moving.shards.carrying(list(said), "ann")


async def test_what_is_in_neither_place_for_a_moment_is_waited_for(
    autojump_clock: MockClock, moving: Moving, nursery: trio.Nursery
) -> None:
    id_ = conversation_of(4)
    await new_conversation(moving.stores[0], "ann", id=id_)
    moving.stores[0].moved_shards.add(4)

    async def later() -> None:
        await trio.sleep(0.2)
        moving.move(4)

    nursery.start_soon(later)
    assert await moving.shards.conversation(id_) is not None
    moving.stores[1].moved_shards.add(4)
    with pytest.raises(Moved):
        await moving.shards.conversation(id_)


async def test_a_database_that_this_node_was_not_told_of_is_out_of_reach(moving: Moving) -> None:
    moving.directory.placed[4] = "c"
    await moving.shards.refresh()
    with pytest.raises(Unavailable, match="does not know"):
        await moving.shards.conversation(conversation_of(4))
    assert await moving.shards.conversation(conversation_of(6)) is None


async def test_an_idle_node_learns_of_moves(
    autojump_clock: MockClock, moving: Moving, nursery: trio.Nursery
) -> None:
    await nursery.start(moving.shards.run)
    moving.move(4)
    await trio.sleep(POLL_INTERVAL * 1.5)
    assert moving.shards.of(conversation_of(4)) is moving.stores[1]
    nursery.cancel_scope.cancel()


async def test_a_directory_that_does_not_answer_changes_nothing(
    autojump_clock: MockClock, moving: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang() -> list[str]:
        await trio.sleep_forever()
        return []

    async def away() -> list[str]:
        raise Unavailable("gone")

    for broken in (hang, away):
        monkeypatch.setattr(moving.directory, "placement", broken)
        await moving.shards.refresh()
    assert await moving.shards.conversation(new_id()) is None


async def test_one_database_that_hangs_costs_the_others_nothing(
    autojump_clock: MockClock,
    moving: Moving,
    nursery: trio.Nursery,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await nursery.start(moving.shards.run)
    hanging = True
    conversation = moving.stores[1].conversation
    history = moving.stores[1].history

    async def maybe(fn: object = None, *arguments: object) -> object:
        if hanging:
            await trio.sleep_forever()
        return await fn(*arguments)  # type: ignore[operator]

    monkeypatch.setattr(moving.stores[1], "conversation", lambda *a: maybe(conversation, *a))
    monkeypatch.setattr(moving.stores[1], "history", lambda *a: maybe(history, *a))
    start = trio.current_time()
    with pytest.raises(Unavailable):
        await moving.shards.conversation(conversation_of(3))
    assert trio.current_time() - start < 3
    assert [breaker.open for breaker in moving.shards.breakers] == [False, True]
    start = trio.current_time()
    with pytest.raises(Unavailable):
        await moving.shards.conversation(conversation_of(3))
    assert await moving.shards.conversation(conversation_of(4)) is None
    assert trio.current_time() == start
    hanging = False
    await trio.sleep(3)
    assert [breaker.open for breaker in moving.shards.breakers] == [False, False]
    assert await moving.shards.conversation(conversation_of(3)) is None
    nursery.cancel_scope.cancel()


# --- what a session starts from -------------------------------------------------------------------

PLENTY = Replay(each=100, events=1000, size=1_000_000)


async def resume(shards: Shards, cursors: dict[str, int] | None = None) -> Resumption:
    return await shards.resume("ann", cursors or {}, details=9, replay=PLENTY, patience=2)


async def test_a_session_starts_from_all_databases(moving: Moving) -> None:
    ids = [conversation_of(shard) for shard in (3, 4, 5)]
    for count, id_ in enumerate(ids, 1):
        await moving.shards.create(id_, "group", None, "ann", {"ann": "owner"})
        await fill(moving.shards.of(id_), id_, "ann", count)
    found = await resume(moving.shards, dict.fromkeys(ids, 0))
    assert {each.conversation: each.head for each in found.memberships} == dict(
        zip(ids, (1, 2, 3), strict=True)
    )
    ages = [(-each.active_at, each.conversation) for each in found.memberships]
    assert ages == sorted(ages)
    assert [len(found.events[id_]) for id_ in ids] == [1, 2, 3]
    assert found.missing == frozenset()


async def test_a_start_follows_a_shard_that_has_moved(moving: Moving) -> None:
    ids = [conversation_of(shard) for shard in (4, 6)]
    for id_ in ids:
        await new_conversation(moving.stores[0], "ann", id=id_)
        await fill(moving.stores[0], id_, "ann", 1)
    moving.move(4)
    found = await resume(moving.shards, dict.fromkeys(ids, 0))
    assert {each.conversation for each in found.memberships} == set(ids) == set(found.events)
    assert found.missing == frozenset()


async def test_a_start_does_without_a_shard_that_is_nowhere(
    autojump_clock: MockClock, moving: Moving
) -> None:
    here, nowhere = conversation_of(6), conversation_of(4)
    for id_ in (here, nowhere):
        await new_conversation(moving.stores[0], "ann", id=id_)
    moving.stores[0].moved_shards.add(4)
    found = await resume(moving.shards)
    assert [each.conversation for each in found.memberships] == [here]
    assert found.missing == {4}
    moving.move(4)
    later = await moving.shards.resume(
        "ann", {}, shards=found.missing, details=9, replay=PLENTY, patience=2
    )
    assert [each.conversation for each in later.memberships] == [nowhere]
    assert later.missing == frozenset()


@pytest.mark.parametrize("hangs", [True, False], ids=["hangs", "fails"])
async def test_a_start_does_without_a_database_that_does_not_answer(
    autojump_clock: MockClock, moving: Moving, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    for store, shard in zip(moving.stores, (4, 5), strict=True):
        await new_conversation(store, "ann", id=conversation_of(shard))

    async def away(*_: object, **__: object) -> object:
        if hangs:
            await trio.sleep_forever()
        raise Unavailable("gone")

    monkeypatch.setattr(moving.stores[1], "resume", away)
    start = trio.current_time()
    found = await resume(moving.shards)
    assert trio.current_time() - start <= 2
    assert [logical_shard(each.conversation) for each in found.memberships] == [4]
    assert found.missing == frozenset(range(1, 64, 2))
    monkeypatch.setattr(moving.stores[0], "resume", away)
    with pytest.raises(Unavailable):
        await resume(moving.shards)
