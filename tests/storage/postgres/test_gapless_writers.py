"""Many writers on several nodes: no gap, no second copy, no deadlock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_storage.log.shard_log import ShardLog
from chat4all_storage.ports.events import Append, Mark, Outcome, Status
from chat4all_storage.postgres.shard import PostgresShard
from tests.storage.builders import append, events, join, leave, new_conversation, watermarks
from tests.storage.scripted_store import answer_to
from tests.support.storage_servers import fetch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_storage.bridge import Bridge
    from chat4all_storage.ports.shard import ShardStore

WRITERS = 16
EVENTS_EACH = 24


@pytest.fixture
async def stores(bridge: Bridge, database: str) -> AsyncIterator[list[ShardStore]]:
    """The same database as four nodes have it: each has its own writing connection."""
    stores: list[ShardStore] = [PostgresShard(bridge, database, f"node-{n}") for n in range(4)]
    yield stores
    for store in stores:
        await store.close()


async def test_many_writers_with_duplicates_leave_a_gapless_log(
    stores: list[ShardStore], nursery: trio.Nursery
) -> None:
    logs = [ShardLog(store) for store in stores[:2]]
    for log in logs:
        await nursery.start(log.run)
    writers = [f"writer-{number}" for number in range(WRITERS)]
    conversation = await new_conversation(stores[0], *writers)
    answers: dict[str, list[Outcome]] = {}

    async def send(log: ShardLog, entry: Append) -> None:
        answer = await answer_to(log, entry)
        assert isinstance(answer, Outcome)
        answers.setdefault(entry.id, []).append(answer)

    async def write(name: str, number: int) -> None:
        for count in range(EVENTS_EACH):
            here, there = logs[number % 2], logs[(number + count) % 2]
            entry = append(conversation, name)
            # A retry at once, perhaps by way of the other node, or one after the answer.
            async with trio.open_nursery() as both:
                both.start_soon(send, here, entry)
                if count % 3:
                    both.start_soon(send, there, entry)
            if not count % 3:
                await send(there, entry)

    async with trio.open_nursery() as all_writers:
        for number, name in enumerate(writers):
            all_writers.start_soon(write, name, number)

    stored = await events(stores[1], conversation)
    assert [event.seq for event in stored] == list(range(1, WRITERS * EVENTS_EACH + 1))
    by_id = {event.id: event.seq for event in stored}
    assert len(by_id) == len(stored)
    assert by_id.keys() == answers.keys()
    for id_, outcomes in answers.items():
        assert sorted(outcome.status for outcome in outcomes) == [Status.STORED, Status.DUPLICATE]
        assert {outcome.seq for outcome in outcomes} == {by_id[id_]}
        assert len({outcome.ts for outcome in outcomes}) == 1


async def test_an_answer_before_a_send_on_another_node_is_a_lower_seq(
    stores: list[ShardStore], nursery: trio.Nursery
) -> None:
    logs = [ShardLog(store) for store in stores[:2]]
    for log in logs:
        await nursery.start(log.run)
    conversation = await new_conversation(stores[0], "ann", "bob")
    seqs = []
    for number in range(40):
        answer = await answer_to(logs[number % 2], append(conversation, ("ann", "bob")[number % 2]))
        assert isinstance(answer, Outcome)
        seqs.append(answer.seq)
    assert seqs == list(range(1, 41))


async def test_overlapping_batches_in_opposite_orders_do_not_deadlock(
    stores: list[ShardStore], database: str
) -> None:
    conversations = sorted([await new_conversation(stores[0], "ann", "bob") for _ in range(8)])
    rounds = 60

    async def write(store: ShardStore, order: list[str], guest: str) -> None:
        for _ in range(rounds):
            for change in (join, leave):
                batch = [append(each, "ann") for each in order]
                batch += [change(each, "ann", guest) for each in order]
                marks = [Mark(each, user, 9**9, 9**9) for each in order for user in ("ann", guest)]
                result = await store.commit(batch, marks)
                assert {outcome.status for outcome in result.outcomes} == {Status.STORED}

    async def mark(store: ShardStore, order: list[str], users: list[str]) -> None:
        for number in range(2 * rounds):
            await store.commit(
                [], [Mark(each, user, number, 0) for each in order for user in users]
            )

    backwards = conversations[::-1]
    users = ["ann", "bob", "guest-1", "guest-2"]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write, stores[0], conversations, "guest-1")
        nursery.start_soon(write, stores[1], backwards, "guest-2")
        nursery.start_soon(mark, stores[2], conversations, users)
        nursery.start_soon(mark, stores[3], backwards, users[::-1])
    # A deadlock would have been an error; the server counts those that it has broken up, too.
    (row,) = await trio.to_thread.run_sync(
        fetch, database, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    assert row["deadlocks"] == 0
    for each in conversations:
        assert len(await events(stores[0], each)) == 2 * 2 * 2 * rounds
        assert list(await watermarks(stores[0], each)) == ["ann", "bob"]
