"""A logical shard moves while it is written: a pause, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from chat4all_storage.bridge import open_bridge
from chat4all_storage.log.entries import Entry
from chat4all_storage.log.shard_log import ShardLog
from chat4all_storage.moving import copying
from chat4all_storage.moving import move as moving
from chat4all_storage.moving.move import MoveReport, ShardMove
from chat4all_storage.moving.status import shard_status
from chat4all_storage.ports.errors import Moved, Rejected, StorageError
from chat4all_storage.ports.events import Mark, Outcome, Status
from chat4all_storage.ports.shard import Range, Replay
from chat4all_storage.sharding.shard_logs import ShardLogs
from chat4all_storage.storage import Storage, open_postgres
from tests.storage.builders import (
    append,
    change,
    commit,
    conversation_of,
    delete,
    edit,
    events,
    fill,
    join,
    leave,
    new_conversation,
)
from tests.storage.scripted_store import Inbox
from tests.support.storage_servers import execute, fetch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from chat4all_storage.bridge import Bridge
    from chat4all_storage.log.entries import Answer
    from chat4all_storage.ports.events import StoredEvent
    from chat4all_storage.ports.shard import Conversation
    from tests.support.storage_servers import PostgresServer

SHARD = 4


class Two:
    """Two databases, of which the first has the shard."""

    def __init__(self, dsns: list[str]) -> None:
        self.dsns = dsns
        self.names = [str(fetch(dsn, "SELECT name FROM database_identity")[0][0]) for dsn in dsns]

    def move(self, to: int = 1, **options: Any) -> ShardMove:
        named = dict(zip(self.names, self.dsns, strict=True))
        return ShardMove(named, SHARD, self.names[to], **options)

    def fence(self, database: int) -> str | None:
        rows = fetch(self.dsns[database], "SELECT state FROM shard_fences WHERE shard = $1", SHARD)
        return rows[0][0] if rows else None

    def left(self, database: int) -> list[int]:
        """How many conversations, members and events of the shard a database holds."""
        return [
            fetch(self.dsns[database], query, SHARD)[0][0]
            for query in (
                "SELECT count(*) FROM conversations WHERE shard = $1",
                "SELECT count(*) FROM members WHERE logical_shard(conversation) = $1",
                "SELECT count(*) FROM events WHERE logical_shard(conversation) = $1",
            )
        ]


class Answers(Inbox):
    """Tells when so many answers have come."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self._more = trio.lowlevel.ParkingLot()

    def receive(self, answers: list[tuple[Entry[Any], Answer]]) -> None:
        super().receive(answers)
        self.count += len(answers)
        self._more.unpark_all()

    async def wait(self, count: int) -> None:
        while self.count < count:
            await self._more.park()


@pytest.fixture
def two(postgres_server: PostgresServer) -> Iterator[Two]:
    with postgres_server.fresh_database() as one, postgres_server.fresh_database() as other:
        yield Two([one, other])


@asynccontextmanager
async def a_node(bridge: Bridge, two: Two) -> AsyncIterator[tuple[Storage, ShardLogs]]:
    """What a node runs of this."""
    async with open_postgres(bridge, two.dsns) as storage, trio.open_nursery() as nursery:
        logs = ShardLogs(storage.shards, partial(ShardLog, patience=20), patience=20)
        await nursery.start(storage.shards.run)
        for log in logs.all:
            await nursery.start(log.run)
        await nursery.start(logs.run)
        yield storage, logs
        nursery.cancel_scope.cancel()


async def run(bridge: Bridge, move: ShardMove) -> MoveReport:
    return await bridge.call(move.run, timeout=120)


async def filled(storage: Storage, count: int = 3) -> list[str]:
    """Conversations of the shard and of another one, of every kind."""
    store = storage.shards.all[0]
    made: list[str] = []
    for number in range(count):
        id_ = await new_conversation(
            store, "ann", "bob", id=conversation_of(SHARD), title=f"{number}"
        )
        await fill(store, id_, "ann", number)
        made.append(id_)
    await new_conversation(store, "ann", id=conversation_of(SHARD + 2))
    return made


Everything = list[tuple["Conversation | None", "list[StoredEvent]"]]


async def everything(storage: Storage, ids: list[str]) -> Everything:
    return [
        (await storage.shards.conversation(id_), await events(storage.shards.of(id_), id_))
        for id_ in ids
    ]


async def test_a_shard_moves_whole_and_its_source_forgets_it(bridge: Bridge, two: Two) -> None:
    async with open_postgres(bridge, two.dsns) as storage:
        ids = await filled(storage)
        store = storage.shards.all[0]
        entries = [
            append(ids[2], "bob", b"reply", reply_to=1, meta=b"meta"),
            append(ids[2], "ann", None, kind="delete", target=1),
            join(ids[2], "ann", "carl"),
        ]
        for entry in entries:
            await store.commit([entry], [Mark(ids[2], "ann", 2, 1)])
        await store.commit([leave(ids[2], "ann", "bob")], [])
        before = await everything(storage, ids)
        report = await run(bridge, two.move())
        assert (report.source, report.target) == tuple(two.names)
        assert (report.conversations, report.events) == (3, 7)
        assert 0 < report.paused < 1
        assert await everything(storage, ids) == before
        assert storage.shards.of(ids[0]) is storage.shards.all[1]
        assert (await storage.shards.of(ids[2]).commit([entries[0]], [])).outcomes[
            0
        ].status is Status.DUPLICATE
        with pytest.raises(Moved):
            await store.conversation(ids[0])
    assert await trio.to_thread.run_sync(two.left, 0) == [0, 0, 0]
    assert await trio.to_thread.run_sync(two.left, 1) == [3, 6, 7]
    status = await shard_status(bridge, two.dsns)
    assert [each.shard for each in status.shards if each.database == two.names[1]].count(SHARD) == 1
    assert status.moves == []


async def test_it_moves_back_and_again(bridge: Bridge, two: Two) -> None:
    async with open_postgres(bridge, two.dsns) as storage:
        ids = await filled(storage)
        for to in (1, 0, 1):
            before = await everything(storage, ids)
            await run(bridge, two.move(to))
            assert await everything(storage, ids) == before
            for id_ in ids:
                await storage.shards.refresh()
                await fill(storage.shards.of(id_), id_, "bob", 1)


async def test_conversations_of_many_events_are_copied_in_parts(
    bridge: Bridge, two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "MAX_EVENTS", 7)
    monkeypatch.setattr(moving, "PURGE_BATCH", 2)
    async with open_postgres(bridge, two.dsns) as storage:
        ids = await filled(storage, 5)
        await fill(storage.shards.all[0], ids[1], "bob", 50)
        before = await everything(storage, ids)
        await run(bridge, two.move())
        assert await everything(storage, ids) == before
    assert await trio.to_thread.run_sync(two.left, 0) == [0, 0, 0]


async def test_what_changes_events_during_the_copy_is_copied_after_them(
    bridge: Bridge, two: Two
) -> None:
    """By events that say so, and by retention, of which no event tells."""
    async with open_postgres(bridge, two.dsns) as storage:
        (id_, other, _) = await filled(storage)
        store = storage.shards.all[0]
        await fill(store, id_, "ann", 6)
        await commit(store, change(other, "ann", retention=0))
        await commit(store, edit(id_, "ann", 1, b"before"))

        async def change_all() -> None:
            await commit(store, edit(id_, "ann", 1, b"once"), edit(id_, "ann", 2, b"once"))
            await commit(store, edit(id_, "ann", 1, b"twice"))
            await commit(store, delete(id_, "ann", 3), change(id_, "ann", title="changed"))
            assert (await store.expire(99, now=2**53)).messages == 1

        token = trio.lowlevel.current_trio_token()

        def report(stage: str) -> None:
            if stage == "comparing":
                trio.from_thread.run(change_all, trio_token=token)

        async with open_bridge() as own:  # the move's loop waits for what the others write
            await run(own, two.move(report=report))
        await storage.shards.refresh()
        assert storage.shards.of(id_) is storage.shards.all[1]
        log = await events(storage.shards.of(id_), id_)
        assert [event.body for event in log[:3]] == [b"twice", b"once", None]
        former = await storage.shards.of(id_).revisions(id_, 1, "ann")
        assert former is not None
        assert [each.body for each in former] == [b"hello", b"before", b"once"]
        found = await storage.shards.conversation(id_)
        assert found is not None
        assert found.title == "changed"


async def test_a_shard_is_moved_while_it_is_written(two: Two) -> None:
    """Two nodes write all the time: nothing is lost, doubled, reordered or refused."""
    async with (
        open_bridge() as bridge,
        a_node(bridge, two) as (storage, logs),
        a_node(bridge, two) as (_, elsewhere),
    ):
        ids = await filled(storage, 20)
        inbox, stop, marked = Answers(), trio.Event(), list[Mark]()
        sent: dict[tuple[str, int], list[str]] = {}

        async def write(logs: ShardLogs, id_: str, writer: int) -> None:
            mine = sent.setdefault((id_, writer), [])
            while not stop.is_set():
                for _ in range(3):
                    entry = append(id_, "ann" if writer else "bob", b"under way")
                    logs.submit_nowait(Entry(entry, inbox.receive, writer))
                    mine.append(entry.id)
                logs.mark_nowait(Mark(id_, "bob", len(mine), len(mine) // 2), marked.append)
                await trio.sleep(0.01)

        async with trio.open_nursery() as nursery:
            for id_ in ids:
                nursery.start_soon(write, logs, id_, 0)
                nursery.start_soon(write, elsewhere, id_, 1)
            await trio.sleep(0.2)
            reports = [await run(bridge, two.move(to)) for to in (1, 0)]
            stop.set()
        submitted = sum(map(len, sent.values()))
        await inbox.wait(submitted)
        assert all(
            isinstance(each, Outcome) and each.status is Status.STORED for each in inbox.answers
        )
        await storage.shards.refresh()
        for id_ in ids:
            log = await storage.shards.history([Range(id_, 0, 10**9, 10**6)])
            assert [event.seq for event in log[0]] == list(range(1, len(log[0]) + 1))
            for writer in (0, 1):
                user = "ann" if writer else "bob"
                known = set(sent[id_, writer])
                stored = [
                    event.id for event in log[0] if event.sender == user and event.id in known
                ]
                assert stored == sent[id_, writer]
        print([f"{report.paused * 1000:.0f} ms" for report in reports], submitted)
        assert all(report.paused < 1 for report in reports)


STAGES = ["copying", "comparing", "freezing", "frozen", "compared", "moved", "served", "purging"]
KILLED = """
import asyncio, os, sys
from chat4all_storage.sharding.moving import ShardMove
def report(stage):
    if stage == sys.argv[1]:
        os._exit(9)
named = dict(zip(sys.argv[2:4], sys.argv[4:6]))
asyncio.run(ShardMove(named, 4, sys.argv[3], report=report).run())
"""


UNTIL_THAWED = """SELECT pg_sleep(greatest(0, extract(epoch FROM until - clock_timestamp())))
    FROM shard_fences WHERE state = 'frozen'"""


@pytest.mark.parametrize("stage", STAGES)
async def test_a_move_that_is_killed_is_finished_or_begins_again(
    bridge: Bridge, two: Two, stage: str
) -> None:
    async with open_postgres(bridge, two.dsns) as storage:
        ids = await filled(storage)
        before = await everything(storage, ids)
        command = [sys.executable, "-c", KILLED, stage, *two.names, *two.dsns]
        died = await trio.to_thread.run_sync(partial(subprocess.run, command, check=False))
        assert died.returncode == 9
        over = STAGES.index(stage) >= STAGES.index("moved")
        if not over:
            assert await everything(storage, ids) == before
            # A freeze is over by itself.
            await trio.to_thread.run_sync(execute, two.dsns[0], UNTIL_THAWED)
            assert await store_one(storage, ids[0]) is Status.STORED
            before = await everything(storage, ids)
        status = await shard_status(bridge, two.dsns)
        assert [(move.shard, move.target) for move in status.moves] == [(SHARD, two.names[1])]
        with pytest.raises(Rejected, match="was begun"):
            await run(bridge, two.move(0))
        report = await run(bridge, two.move())
        assert report.resumed
        await storage.shards.refresh()
        assert await everything(storage, ids) == before
        assert await store_one(storage, ids[0]) is Status.STORED
    assert await trio.to_thread.run_sync(two.left, 0) == [0, 0, 0]
    assert (await shard_status(bridge, two.dsns)).moves == []


async def store_one(storage: Storage, id_: str) -> Status:
    result = await storage.shards.of(id_).commit([append(id_, "ann")], [])
    return result.outcomes[0].status


async def test_a_copy_that_is_not_the_same_is_not_used(bridge: Bridge, two: Two) -> None:
    async with open_postgres(bridge, two.dsns) as storage:
        ids = await filled(storage)
        before = await everything(storage, ids)

        def spoil(stage: str) -> None:
            if stage == "comparing":
                change = partial(
                    execute, two.dsns[1], "UPDATE events SET body = 'spoilt' WHERE seq = 1"
                )
                worker = threading.Thread(target=change)
                worker.start()
                worker.join()

        with pytest.raises(Rejected, match="not the same"):
            await run(bridge, two.move(report=spoil))
        assert await everything(storage, ids) == before
        assert await store_one(storage, ids[0]) is Status.STORED
        before = await everything(storage, ids)
        await run(bridge, two.move())
        await storage.shards.refresh()
        assert await everything(storage, ids) == before


async def test_what_can_not_be_moved_is_refused(bridge: Bridge, two: Two) -> None:
    async with open_postgres(bridge, two.dsns):
        with pytest.raises(Rejected, match="is in that database"):
            await run(bridge, two.move(0))

        async def both() -> list[str]:
            said: list[str] = []

            async def one() -> None:
                try:
                    await run(bridge, two.move())
                except StorageError as error:
                    said.append(str(error))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(one)
                nursery.start_soon(one)
            return said

        (said,) = await both()
        assert said in ("another move is under way", f"shard {SHARD} is in that database")


async def test_the_status_tells_what_is_where(bridge: Bridge, two: Two) -> None:
    async with open_postgres(bridge, two.dsns) as storage:
        await filled(storage)
        await new_conversation(storage.shards.all[1], "ann", id=conversation_of(SHARD + 1))
        await trio.to_thread.run_sync(
            execute, two.dsns[0], "INSERT INTO shard_fences VALUES (5, 'moved'), (6, 'copying')"
        )
        status = await shard_status(bridge, [two.dsns[0], two.dsns[1].replace("test_", "gone_")])
    known = {shard.shard: shard for shard in status.shards}
    assert (known[SHARD].state, known[SHARD].conversations, known[SHARD].events) == (
        "serving",
        3,
        3,
    )
    assert (known[6].state, known[6].conversations) == ("copying", 1)
    assert known[5].database == two.names[1]
    assert (known[5].state, known[5].conversations) == (None, None)
    assert [database.error is None for database in status.databases] == [True, False]


async def test_a_session_that_starts_during_a_move_has_everything(two: Two) -> None:
    async with open_bridge() as bridge, a_node(bridge, two) as (storage, _):
        ids = await filled(storage, 10)
        replay = Replay(each=100, events=1000, size=10**6)
        stop = False
        found: set[int] = set()

        async def connect() -> None:
            while not stop:
                resumed = await storage.shards.resume(
                    "ann", dict.fromkeys(ids, 0), details=9, replay=replay, patience=2
                )
                late = len(ids) if SHARD in resumed.missing else 0  # introduced a moment later
                found.add(len(resumed.memberships) + late)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(connect)
            for to in (1, 0):
                await run(bridge, two.move(to))
            stop = True
        assert found == {len(ids) + 1}
