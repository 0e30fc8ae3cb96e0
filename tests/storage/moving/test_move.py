"""A logical shard moves while it is written: a pause, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_storage.bridge import open_bridge
from chat4all_storage.moving import copying
from chat4all_storage.moving import move as moving
from chat4all_storage.moving.status import shard_status
from chat4all_storage.ports.errors import Moved, Rejected, StorageError
from chat4all_storage.ports.events import Mark, Status
from chat4all_storage.ports.queries import Reaction
from chat4all_storage.storage import open_postgres
from tests.storage.builders import (
    append,
    change,
    commit,
    delete,
    edit,
    events,
    fill,
    join,
    leave,
    react,
)
from tests.storage.moving.two_databases import (
    SHARD,
    Two,
    everything,
    filled,
    run,
    store_one,
)
from tests.storage.probes import until_no_move
from tests.support.storage_servers import execute

if TYPE_CHECKING:
    from chat4all_storage.bridge import Bridge


async def test_a_shard_moves_whole_and_its_source_forgets_it(bridge: Bridge, two: Two) -> None:
    async with open_postgres(bridge, two.dsns) as storage:
        ids = await filled(storage)
        store = storage.shards.all[0]
        entries = [
            append(ids[2], "bob", b"reply", reply_to=1, meta=b"meta"),
            append(ids[2], "ann", None, kind="delete", target=1),
            react(ids[2], "ann", 2),
            join(ids[2], "ann", "carl"),
        ]
        for entry in entries:
            await store.commit([entry], [Mark(ids[2], "ann", 2, 1)])
        await store.commit([leave(ids[2], "ann", "bob")], [])
        before = await everything(storage, ids)
        report = await run(bridge, two.move())
        assert (report.source, report.target) == tuple(two.names)
        assert (report.conversations, report.events) == (3, 8)
        assert 0 < report.paused < 1
        assert await everything(storage, ids) == before
        assert await storage.shards.reactions(ids[2], 2, 9) == [Reaction(5, "ann", "👍")]
        assert storage.shards.of(ids[0]) is storage.shards.all[1]
        assert (await storage.shards.of(ids[2]).commit([entries[0]], [])).outcomes[
            0
        ].status is Status.DUPLICATE
        with pytest.raises(Moved):
            await store.conversation(ids[0])
    assert await trio.to_thread.run_sync(two.left, 0) == [0, 0, 0]
    assert await trio.to_thread.run_sync(two.left, 1) == [3, 6, 8]
    status = await shard_status(bridge, two.dsns)
    assert [each.shard for each in status.shards if each.database == two.names[1]].count(SHARD) == 1
    assert status.moves == []


async def test_what_is_to_leave_through_channels_moves_along(bridge: Bridge, two: Two) -> None:
    async with open_postgres(bridge, two.dsns) as storage:
        *_, group = await filled(storage)
        source, target = storage.shards.all
        await commit(source, join(group, "ann", "whatsapp:+5511999998888"))
        for body in (b"one", b"two"):
            await commit(source, append(group, "ann", body))
        before = [(row.seq, row.channels, row.members) for row in await source.leaving(10)]
        assert len(before) == 2
        await run(bridge, two.move())
        assert await source.leaving(10) == []
        after = [(row.seq, row.channels, row.members) for row in await target.leaving(10)]
        assert after == before
        await commit(target, append(group, "ann", b"three"))
        assert [row.seq for row in await target.leaving(10)][:2] == [seq for seq, *_ in before]
        assert len(await target.leaving(10)) == 3


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


STAGES = ["copying", "comparing", "freezing", "frozen", "compared", "moved", "served", "purging"]


KILLED = """
import asyncio, os, sys
from chat4all_storage.moving.move import ShardMove
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
        await until_no_move(two.dsns[0])
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
