"""A PostgreSQL that crashes, is away, or hangs: nothing is lost, doubled or answered wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_storage.log.entries import Refused
from chat4all_storage.log.shard_log import ShardLog
from chat4all_storage.ports.errors import InDoubt, Unavailable
from chat4all_storage.ports.events import Outcome, Status
from chat4all_storage.ports.shard import Range
from chat4all_storage.postgres import commit as postgres_commit
from chat4all_storage.postgres import connections as postgres
from chat4all_storage.postgres import prepared as postgres_prepared
from chat4all_storage.postgres.connections import Database
from tests.storage.builders import (
    append,
    commit,
    commit_one,
    events,
    memberships,
    new_conversation,
)
from tests.storage.probes import backend, locked, open_shard, until_blocked
from tests.storage.scripted_store import answer_to
from tests.support.storage_servers import PostgresServer, run_postgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from chat4all_storage.bridge import Bridge
    from chat4all_storage.postgres.shard import PostgresShard

WRITERS = 8
CRASHES = 3


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server that may be ill-treated."""
    with run_postgres() as server:
        yield server


@pytest.fixture
async def store(bridge: Bridge, server: PostgresServer) -> AsyncIterator[PostgresShard]:
    async with open_shard(bridge, server.dsn) as store:
        yield store


@pytest.fixture
async def fresh(bridge: Bridge, server: PostgresServer) -> AsyncIterator[PostgresShard]:
    """Another store, which has no connection yet."""
    async with open_shard(bridge, server.dsn) as store:
        yield store


@pytest.fixture
async def connections(bridge: Bridge, server: PostgresServer) -> AsyncIterator[Database]:
    connections = Database(bridge, server.dsn)
    yield connections
    await connections.close()


def shorten_timeouts(patch: pytest.MonkeyPatch) -> None:
    for name in ("CONNECT_TIMEOUT", "COMMAND_TIMEOUT", "ACQUIRE_TIMEOUT"):
        for module in (postgres, postgres_commit, postgres_prepared):
            if hasattr(module, name):
                patch.setattr(module, name, 0.3)


async def test_crashes_under_load_lose_and_double_nothing(
    bridge: Bridge, server: PostgresServer, store: PostgresShard, nursery: trio.Nursery
) -> None:
    log = ShardLog(store, patience=60)
    await nursery.start(log.run)
    writers = [f"writer-{number}" for number in range(WRITERS)]
    conversation = await new_conversation(store, *writers)
    answers: dict[str, Outcome] = {}
    crashing = True

    async def write(name: str) -> None:
        while crashing:
            entry = append(conversation, name)
            answer = await answer_to(log, entry)
            assert isinstance(answer, Outcome)
            assert answer.status in (Status.STORED, Status.DUPLICATE)
            answers[entry.id] = answer

    async with trio.open_nursery() as writing:
        for name in writers:
            writing.start_soon(write, name)
        for _ in range(CRASHES):
            done = len(answers)
            while len(answers) < done + 20:  # noqa: ASYNC110 - it commits again
                await trio.sleep(0.01)
            await trio.to_thread.run_sync(server.crash)
        done = len(answers)
        while len(answers) < done + 20:  # noqa: ASYNC110 - as above
            await trio.sleep(0.01)
        crashing = False

    stored = await events(store, conversation)
    assert [event.seq for event in stored] == list(range(1, len(stored) + 1))
    assert {event.id: (event.seq, event.ts) for event in stored} == {
        id_: (answer.seq, answer.ts) for id_, answer in answers.items()
    }
    assert log.statistics().retries > 0


async def test_a_commit_that_meets_a_crash_is_in_doubt_and_its_retry_is_stored_once(
    bridge: Bridge, server: PostgresServer, store: PostgresShard
) -> None:
    conversation = await new_conversation(store, "ann")
    batch = [append(conversation, "ann") for _ in range(3)]

    async def doubtful() -> None:
        with pytest.raises(InDoubt):
            await commit(store, *batch)

    async with trio.open_nursery() as nursery, locked(bridge, server.dsn):
        nursery.start_soon(doubtful)
        await until_blocked(server.dsn)
        await trio.to_thread.run_sync(server.crash)
    await trio.to_thread.run_sync(server.wait_ready)
    assert [outcome.status for outcome in await commit(store, *batch)] == [Status.STORED] * 3
    assert [outcome.status for outcome in await commit(store, *batch)] == [Status.DUPLICATE] * 3
    assert len(await events(store, conversation)) == 3


async def test_a_server_that_is_away_is_unavailable(
    server: PostgresServer, store: PostgresShard, fresh: PostgresShard
) -> None:
    conversation = await new_conversation(store, "ann")
    await commit(store, append(conversation, "ann"))
    with server.outage():
        for _ in range(2):  # nothing can have been sent: there is no connection
            with pytest.raises(Unavailable):
                await commit(fresh, append(conversation, "ann"))
            with pytest.raises(Unavailable):
                await fresh.history([Range(conversation, 0, 9, 9)])
        with pytest.raises(Unavailable):
            await memberships(store, "ann", details=1)
    await trio.to_thread.run_sync(server.wait_ready)
    assert (await commit_one(fresh, append(conversation, "ann"))).seq == 2
    assert len(await events(fresh, conversation)) == 2


async def test_a_log_refuses_during_an_outage_and_comes_back_after_it(
    server: PostgresServer, store: PostgresShard, fresh: PostgresShard, nursery: trio.Nursery
) -> None:
    conversation = await new_conversation(store, "ann")
    log = ShardLog(fresh, patience=0.2)
    await nursery.start(log.run)
    with server.outage():
        assert isinstance(await answer_to(log, append(conversation, "ann")), Refused)
        with pytest.raises(Unavailable):
            await answer_to(log, append(conversation, "ann"))
    while log.down:  # noqa: ASYNC110 - it comes back by itself
        await trio.sleep(0.01)
    answer = await answer_to(log, append(conversation, "ann"))
    assert isinstance(answer, Outcome)
    assert (answer.status, answer.seq) == (Status.STORED, 1)


async def test_a_hanging_server_is_given_up_in_time(
    server: PostgresServer, store: PostgresShard, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = await new_conversation(store, "ann")
    before = append(conversation, "ann")
    await commit(store, before)  # there is a connection to hang
    sent, unsent = append(conversation, "ann"), append(conversation, "ann")
    with server.frozen(), monkeypatch.context() as patch:
        shorten_timeouts(patch)
        with pytest.raises(InDoubt):
            await commit(store, sent)
        with pytest.raises(Unavailable):  # nothing can be sent: there is no connection any more
            await commit(store, unsent)
        with pytest.raises(Unavailable):
            await store.conversation(conversation)
    first, second = await commit(store, sent, unsent)
    # The server found the first try in its socket when it went on.
    assert first.status in (Status.STORED, Status.DUPLICATE)
    assert second.status is Status.STORED
    stored = [event.id for event in await events(store, conversation)]
    assert stored == [before.id, sent.id, unsent.id]


async def test_a_connection_that_did_not_answer_is_never_used_again(
    server: PostgresServer, connections: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, reading = await connections.write(backend), await connections.read(backend)
    with server.frozen(), monkeypatch.context() as patch:
        shorten_timeouts(patch)
        with pytest.raises(InDoubt):
            await connections.write(backend)
        with pytest.raises(Unavailable):
            await connections.read(backend)
    assert await connections.write(backend) != writing
    assert await connections.read(backend) != reading
