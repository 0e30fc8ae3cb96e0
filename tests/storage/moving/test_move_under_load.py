"""A logical shard moves while it is written and read: a pause, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_storage.bridge import open_bridge
from chat4all_storage.log.entries import Entry
from chat4all_storage.ports.events import Mark, Outcome, Status
from chat4all_storage.ports.shard import Range, Replay
from tests.storage.builders import (
    append,
)
from tests.storage.moving.two_databases import (
    SHARD,
    Answers,
    Two,
    a_node,
    filled,
    run,
)

if TYPE_CHECKING:
    from chat4all_storage.sharding.shard_logs import ShardLogs


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
