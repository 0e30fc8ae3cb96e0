"""Following the journal of one database."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_actors.cluster import sweeper as sweeper_module
from chat4all_actors.cluster.sweeper import EVERY, EVERY_WITHOUT, KEEP, LAG, TRIM_EVERY, Sweeper
from chat4all_storage.memory.shard import MemoryShard
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.events import Append

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from trio.testing import MockClock

    from chat4all_storage.ports.shard import JournalRow

ROOM = "00000000-0000-4000-8000-000000000001"
OTHER_ROOM = "00000000-0000-4000-8000-000000000002"


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


class Shard(MemoryShard):
    """A database that can be away, and counts what it is asked for."""

    def __init__(self) -> None:
        super().__init__("db", clock_ms=lambda: int(trio.current_time() * 1000))
        self.away: set[str] = set()
        """What can't be asked for."""
        self.looks: list[float] = []
        """When the journal was looked at."""
        self.asked: list[int] = []
        """How many heads, or users, were asked for at once."""

    def _reach(self, what: str) -> None:
        if what in self.away:
            raise Unavailable("gone")

    async def journal(
        self, after: int, missing: Collection[int], *, lag: float, limit: int
    ) -> list[JournalRow]:
        self.looks.append(trio.current_time())
        self._reach("journal")
        return await super().journal(after, missing, lag=lag, limit=limit)

    async def heads(self, conversations: Sequence[str]) -> dict[str, int]:
        self.asked.append(len(conversations))
        self._reach("heads")
        return await super().heads(conversations)

    async def conversations_of(self, users: Sequence[str]) -> list[tuple[str, str, int]]:
        self.asked.append(len(users))
        self._reach("memberships")
        return await super().conversations_of(users)

    async def trim_journal(self, keep: float) -> int:
        self._reach("trimming")
        return await super().trim_journal(keep)


class Scene:
    """A sweeper over a store; `working` is the state of the backbone."""

    def __init__(self) -> None:
        self.working = False
        self.rooms = FakeRooms()
        self.store = Shard()
        self.sweeper = Sweeper(self.store, self.rooms, lambda: self.working)

    async def create(self, *members: str, room: str = ROOM) -> None:
        await self.store.create(room, "group", None, members[0], dict.fromkeys(members, "owner"))

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


async def test_without_the_backbone_nothing_is_left_to_it(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    scene = Scene()
    await scene.start(nursery)
    await trio.sleep(EVERY_WITHOUT - LAG / 5)
    await scene.create("ana")
    await trio.sleep(LAG / 4)
    assert scene.rooms.stood == [(ROOM, 0)]


@pytest.mark.parametrize(("working", "every"), [(True, EVERY), (False, EVERY_WITHOUT)])
async def test_how_often_it_looks_depends_on_the_backbone(
    working: bool, every: float, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    scene = Scene()
    scene.working = working
    await scene.start(nursery)
    await trio.sleep(3.5 * every)
    assert scene.store.looks == pytest.approx([0, every, 2 * every, 3 * every])


async def test_those_who_join_are_introduced_where_the_commit_ends(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    scene = Scene()
    await scene.create("ana")
    await scene.create("ana", room=OTHER_ROOM)
    await scene.start(nursery)
    await scene.store.commit(
        [
            Append(ROOM, "ana", "1", "message", b"", 0),
            Append(OTHER_ROOM, "ana", "2", "message", b"", 0),
            Append(ROOM, "ana", "3", "join", None, 0, subject="bob", role="member"),
            Append(ROOM, "ana", "4", "join", None, 0, subject="carla", role="member"),
        ],
        [],
    )
    await trio.sleep(EVERY_WITHOUT + 0.01)
    assert sorted(scene.rooms.stood) == [(ROOM, 3), (OTHER_ROOM, 1)]
    assert scene.rooms.introduced == [(ROOM, 3, ["bob", "carla"])]


async def test_more_rows_than_one_look_has_are_all_read_at_once(
    autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper_module, "LIMIT", 2)
    scene = Scene()
    await scene.start(nursery)
    await scene.create("ana")
    for number in range(4):
        await scene.send(str(number))
    await trio.sleep(EVERY_WITHOUT + 0.01)
    assert scene.rooms.stood == [(ROOM, seq) for seq in range(5)]


async def test_a_nudge_while_the_backbone_works_looks_at_what_is_new_too(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    scene = Scene()
    scene.working = True
    await scene.start(nursery)
    await trio.sleep(EVERY / 2)
    await scene.create("ana")
    scene.sweeper.nudge()
    await trio.testing.wait_all_tasks_blocked()
    assert scene.rooms.stood == [(ROOM, 0)]
    await trio.sleep(EVERY - LAG / 2)
    await scene.send("one")
    await trio.sleep(LAG)
    assert scene.rooms.stood == [(ROOM, 0)]  # the backbone has its head start again


async def test_a_nudge_during_a_look_makes_it_look_again(
    autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene()
    await scene.start(nursery)
    read, go = scene.store.journal, trio.Event()

    async def slow(
        after: int, missing: Collection[int], *, lag: float, limit: int
    ) -> list[JournalRow]:
        rows = await read(after, missing, lag=lag, limit=limit)
        await go.wait()
        return rows

    monkeypatch.setattr(scene.store, "journal", slow)
    scene.sweeper.nudge()
    await trio.testing.wait_all_tasks_blocked()
    await scene.create("ana")
    scene.sweeper.nudge()
    before = trio.current_time()
    go.set()
    await trio.testing.wait_all_tasks_blocked()
    assert scene.rooms.stood == [(ROOM, 0)]
    assert trio.current_time() == before


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


async def test_a_comparison_after_a_loss_that_fails_is_done_again(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    scene = Scene()
    await scene.create("ana")
    await scene.start(nursery)
    scene.store.away = {"journal"}
    await trio.sleep(KEEP)
    scene.rooms.living, scene.rooms.here = [ROOM], ["ana"]
    scene.store.away = {"memberships"}
    await trio.sleep(EVERY_WITHOUT)
    assert scene.rooms.introduced == []
    scene.store.away = set()
    await trio.sleep(EVERY_WITHOUT)
    assert scene.rooms.introduced == [(ROOM, 0, ["ana"])]
    await trio.sleep(10 * EVERY_WITHOUT)
    assert len(scene.rooms.introduced) == 1


async def test_a_comparison_asks_for_a_bounded_number_at_once(
    autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper_module, "AT_ONCE", 2)
    scene = Scene()
    await scene.create("ana")
    await scene.create("ana", room=OTHER_ROOM)
    scene.rooms.living = ["a", "b", ROOM, "d", OTHER_ROOM]
    scene.rooms.here = ["bob", "carla", "ana"]
    await scene.start(nursery)
    assert scene.store.asked == [2, 2, 1, 2, 1]
    assert scene.rooms.stood == [(ROOM, 0), (OTHER_ROOM, 0)]
    assert scene.rooms.introduced == [(ROOM, 0, ["ana"]), (OTHER_ROOM, 0, ["ana"])]


async def test_a_database_that_is_away_keeps_nobody_waiting_and_costs_no_row(
    autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene()
    await scene.start(nursery)
    for time in ("first", "second"):
        caplog.clear()
        scene.store.away = {"journal"}
        await scene.create("ana", room=ROOM if time == "first" else OTHER_ROOM)
        await trio.sleep(5 * EVERY_WITHOUT)
        ours = [each for each in caplog.records if each.name.startswith("chat4all_actors")]
        assert [record.levelno for record in ours] == [logging.WARNING]
        scene.store.away = set()
        await trio.sleep(2 * EVERY_WITHOUT)
    assert scene.rooms.stood == [(ROOM, 0), (OTHER_ROOM, 0)]


async def test_it_is_ready_before_its_database_answers(
    autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene()
    monkeypatch.setattr(scene.store, "journal_end", trio.sleep_forever)
    await nursery.start(scene.sweeper.run)
    assert scene.store.looks == []


async def test_rows_that_can_not_be_removed_are_removed_later(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    scene = Scene()
    await scene.start(nursery)
    await scene.create("ana")
    scene.store.away = {"trimming"}
    await trio.sleep(KEEP + 2 * TRIM_EVERY)
    assert len(scene.store._journal) == 1
    scene.store.away = set()
    await trio.sleep(2 * TRIM_EVERY)
    assert scene.store._journal == []


async def test_old_rows_are_removed(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    scene = Scene()
    await scene.start(nursery)
    await scene.create("ana")
    await trio.sleep(KEEP - 1)
    assert len(scene.store._journal) == 1
    await trio.sleep(2 * TRIM_EVERY)
    assert scene.store._journal == []
