"""Following the journal of one database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_actors.cluster.sweeper import EVERY, EVERY_WITHOUT, KEEP, LAG, TRIM_EVERY, Sweeper
from chat4all_storage.memory import MemoryShard
from chat4all_storage.ports import Append, Unavailable

if TYPE_CHECKING:
    from collections.abc import Collection

    import pytest
    from trio.testing import MockClock

ROOM = "00000000-0000-4000-8000-000000000001"


class FakeRooms:
    """Conversations that are alive, and what they are told."""

    def __init__(self) -> None:
        self.living: list[str] = []
        self.here: list[str] = []
        self.stood: list[tuple[str, int]] = []
        self.introduced: list[tuple[str, int, list[str]]] = []

    def alive(self) -> list[str]:
        return self.living

    def users(self) -> list[str]:
        return self.here

    def stands(self, conversation: str, seq: int) -> None:
        self.stood.append((conversation, seq))

    def introduce(self, conversation: str, seq: int, users: Collection[str]) -> None:
        self.introduced.append((conversation, seq, list(users)))


class Scene:
    """A sweeper over a store; `working` is the state of the backbone."""

    def __init__(self) -> None:
        self.working = False
        self.rooms = FakeRooms()
        self.store = MemoryShard("db", clock_ms=lambda: int(trio.current_time() * 1000))
        self.sweeper = Sweeper(self.store, self.rooms, lambda: self.working)

    async def create(self, *members: str) -> None:
        await self.store.create(ROOM, "group", None, members[0], dict.fromkeys(members, "member"))

    async def send(self, id_: str) -> None:
        await self.store.commit([Append(ROOM, "ana", id_, "message", b"", 0)], [])

    async def start(self, nursery: trio.Nursery) -> None:
        await nursery.start(self.sweeper.run)
        await trio.testing.wait_all_tasks_blocked()


async def test_what_others_store_is_told_soon_while_the_backbone_does_not_work(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    scene = Scene()
    await scene.start(nursery)
    await scene.create("ana", "bob")
    await scene.send("one")
    await trio.sleep(EVERY_WITHOUT + 0.01)
    assert scene.rooms.stood == [(ROOM, 0), (ROOM, 1)]
    assert scene.rooms.introduced == [(ROOM, 0, ["ana", "bob"])]


async def test_the_backbone_has_a_head_start_while_it_works(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    scene = Scene()
    scene.working = True
    await scene.start(nursery)
    await trio.sleep(EVERY - LAG / 2)
    await scene.create("ana")
    await trio.sleep(LAG)
    assert scene.rooms.stood == []
    await trio.sleep(EVERY)
    assert scene.rooms.stood == [(ROOM, 0)]


async def test_a_nudge_makes_it_look_at_once(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    scene = Scene()
    await scene.start(nursery)
    await scene.create("ana")
    before = trio.current_time()
    scene.sweeper.nudge()
    await trio.testing.wait_all_tasks_blocked()
    assert scene.rooms.stood == [(ROOM, 0)]
    assert trio.current_time() == before


async def test_what_was_stored_before_it_began_is_found_by_comparing(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    scene = Scene()
    await scene.create("ana")
    await scene.send("one")
    scene.rooms.living = [ROOM]
    await scene.start(nursery)
    assert scene.rooms.stood == [(ROOM, 1)]


async def test_a_first_comparison_that_fails_is_done_again(
    autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene()
    await scene.create("ana")
    await scene.send("one")
    scene.rooms.living = [ROOM]

    async def away(conversations: Collection[str]) -> dict[str, int]:
        monkeypatch.undo()
        raise Unavailable("gone")

    monkeypatch.setattr(scene.store, "heads", away)
    await scene.start(nursery)
    assert scene.rooms.stood == []
    await trio.sleep(EVERY_WITHOUT + 0.01)
    assert scene.rooms.stood == [(ROOM, 1)]


async def test_who_was_away_for_long_compares_heads_and_memberships(
    autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene()
    await scene.start(nursery)
    read = scene.store.journal

    async def away(*_: object, **__: object) -> object:
        raise Unavailable("gone")

    monkeypatch.setattr(scene.store, "journal", away)
    await trio.sleep(KEEP)
    await scene.create("ana", "bob")
    await scene.send("one")
    await scene.store.trim_journal(-1)
    scene.rooms.living, scene.rooms.here = [ROOM], ["bob"]
    assert scene.rooms.stood == []
    monkeypatch.setattr(scene.store, "journal", read)
    await trio.sleep(2 * EVERY_WITHOUT)
    assert scene.rooms.stood == [(ROOM, 1)]
    assert scene.rooms.introduced == [(ROOM, 0, ["bob"])]


async def test_old_rows_are_removed(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    scene = Scene()
    await scene.start(nursery)
    await scene.create("ana")
    await trio.sleep(KEEP - 1)
    assert len(scene.store._journal) == 1
    await trio.sleep(2 * TRIM_EVERY)
    assert scene.store._journal == []
