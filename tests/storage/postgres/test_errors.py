"""What failures of PostgreSQL mean: surely not stored, perhaps stored, or never to be stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from asyncpg.exceptions import ConnectionDoesNotExistError, InvalidCachedStatementError
from msgspec.structs import replace

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.errors import InDoubt, Rejected, StorageError, Unavailable
from chat4all_storage.ports.events import Mark
from chat4all_storage.postgres import shard as postgres_shard
from chat4all_storage.postgres.connections import Database, maybe_written, not_written
from chat4all_storage.postgres.shard import PostgresShard
from tests.storage.builders import append, commit, commit_one, events, new_conversation
from tests.storage.probes import backend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_storage.bridge import Bridge


@pytest.fixture
async def store(bridge: Bridge, database: str) -> AsyncIterator[PostgresShard]:
    store = PostgresShard(bridge, database, "store")
    yield store
    await store.close()


@pytest.fixture
async def connections(bridge: Bridge, database: str) -> AsyncIterator[Database]:
    """A database without a store over it."""
    connections = Database(bridge, database)
    yield connections
    await connections.close()


# --- what errors mean -----------------------------------------------------------------------------


def reported(state: str, severity: str = "ERROR") -> asyncpg.PostgresError:
    """An error as the server reports it."""
    fields = {"S": severity, "V": severity, "C": state, "M": "said the server"}
    error: asyncpg.PostgresError = asyncpg.PostgresError.new(fields)
    return error


@pytest.mark.parametrize(
    ("error", "unsent", "sent"),
    [
        # The server rolled the statement back, and would take it another time.
        (reported("40001"), Unavailable, Unavailable),  # serialization failure
        (reported("40P01"), Unavailable, Unavailable),  # deadlock
        (reported("55P03"), Unavailable, Unavailable),  # lock not available
        (reported("57014"), Unavailable, Unavailable),  # cancelled, or too slow
        (reported("25006"), Unavailable, Unavailable),  # a standby
        (reported("53100"), Unavailable, Unavailable),  # disk full
        (reported("53200"), Unavailable, Unavailable),  # out of memory
        (reported("58030"), Unavailable, Unavailable),  # input/output error
        (InvalidCachedStatementError("a new schema"), Unavailable, Unavailable),
        # At connecting.
        (reported("28P01"), Unavailable, Unavailable),  # wrong password, for now
        (reported("3D000"), Unavailable, Unavailable),  # no such database
        # The session ended, in whatever state of a commit.
        (reported("57P01", "FATAL"), Unavailable, InDoubt),  # terminated
        (reported("57P02", "FATAL"), Unavailable, InDoubt),  # crash of another session
        (reported("57P03", "FATAL"), Unavailable, InDoubt),
        (reported("53300", "FATAL"), Unavailable, InDoubt),
        (reported("53100", "PANIC"), Unavailable, InDoubt),  # no space for the log
        (reported("XX000", "FATAL"), Unavailable, InDoubt),
        (reported("08006"), Unavailable, InDoubt),
        (reported("40003"), Unavailable, InDoubt),  # statement completion unknown
        (ConnectionDoesNotExistError("gone"), Unavailable, InDoubt),
        (ConnectionResetError("reset"), Unavailable, InDoubt),
        (FileNotFoundError("no socket"), Unavailable, InDoubt),
        (TimeoutError(), Unavailable, InDoubt),
        (asyncpg.InterfaceError("the connection is closed"), Unavailable, InDoubt),
        # Never to be stored.
        (reported("22021"), Rejected, Rejected),  # NUL in a text
        (reported("23505"), Rejected, Rejected),  # not unique
        (reported("23514"), Rejected, Rejected),  # a check
        (reported("42P01"), Rejected, Rejected),  # no such table
        (reported("42501"), Rejected, Rejected),  # no privilege
        (reported("XX000"), Rejected, Rejected),  # a defect of the server
        (ValueError("not a number"), Rejected, Rejected),
    ],
    ids=lambda value: f"{value.severity} {value.sqlstate}" if hasattr(value, "severity") else None,
)
def test_errors_mean_what_is_certain(
    error: Exception, unsent: type[StorageError], sent: type[StorageError]
) -> None:
    assert type(not_written(error)) is unsent
    assert type(maybe_written(error)) is sent


def test_meanings_say_what_happened() -> None:
    assert str(not_written(reported("40P01"))) == "PostgreSQL 40P01: said the server"
    assert str(not_written(TimeoutError())) == "TimeoutError"
    assert "reset" in str(maybe_written(ConnectionResetError("reset")))


# --- poison ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"sender": "NUL\0"},
        {"sender": "half a \ud800 character"},
        {"digest": 2**63},
        {"target": -(2**63) - 1},
        {"id": "no uuid"},
        {"conversation": "no uuid"},
    ],
    ids=str,
)
async def test_values_that_do_not_fit_are_rejected_and_harm_nobody(
    store: PostgresShard, connections: Database, change: dict[str, Any]
) -> None:
    conversation = await new_conversation(store, "ann")
    good = append(conversation, "ann")
    with pytest.raises(Rejected):
        await commit(store, append(conversation, "ann"), replace(good, **change))
    assert await events(store, conversation) == []
    assert (await commit_one(store, append(conversation, "ann"))).seq == 1


async def test_a_rejected_write_keeps_its_connection(connections: Database) -> None:
    before = await connections.write(backend)
    with pytest.raises(Rejected):
        await connections.write(lambda connection: connection.execute("SELECT 1 / 0"))
    assert await connections.write(backend) == before


async def test_a_mark_that_does_not_fit_is_rejected(store: PostgresShard) -> None:
    conversation = await new_conversation(store, "ann")
    with pytest.raises(Rejected):
        await store.commit([], [Mark(conversation, "ann", 2**63, 0)])


async def test_a_batch_is_stored_whole_or_not_at_all(store: PostgresShard) -> None:
    conversation = await new_conversation(store, "ann")
    entry = append(conversation, "ann")
    with pytest.raises(Rejected):  # the log never sends such a batch
        await commit(store, append(conversation, "ann"), entry, entry)
    assert await events(store, conversation) == []
    found = await store.conversation(conversation)
    assert found is not None
    assert found.head == 0


async def test_a_creation_that_fails_half_way_leaves_nothing(
    store: PostgresShard, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(connection: asyncpg.Connection, conversation: str) -> None:
        await connection.execute("SELECT 1 / 0")

    id_ = new_id()
    with monkeypatch.context() as patch:
        patch.setattr(postgres_shard, "_load", fail)
        with pytest.raises(Rejected):
            await new_conversation(store, "ann", id=id_)
    assert await store.conversation(id_) is None
    assert await new_conversation(store, "ann", id=id_) == id_
