"""The connections for what sessions start from: kept, replaced and given up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_storage.ports.errors import Rejected, Unavailable
from chat4all_storage.postgres import binary
from chat4all_storage.postgres.starts import StartConnections
from tests.storage.probes import ask, until_none_of_ours, until_sleeping

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

QUERY = "SELECT 7 / $1::int4, NULL::text, pg_backend_pid(), pg_sleep($2::float8)"
NO_PAUSE = binary.int8(0)  # of a float, too
LONG_PAUSE = bytes.fromhex("4072c00000000000")
"""300 seconds."""


async def nothing() -> None:
    await trio.lowlevel.checkpoint()


@pytest.fixture
async def starts(database: str) -> AsyncIterator[StartConnections]:
    made = StartConnections(database, nothing, QUERY)
    yield made
    made.close()


async def backend(starts: StartConnections) -> int:
    """Which of the server's processes answers."""
    ((seven, null, process, _),) = await starts.read([binary.int4(1), NO_PAUSE])
    assert (seven, null) == (binary.int4(7), None)
    assert process is not None
    return binary.read_integer(process)


async def test_a_connection_is_used_again(starts: StartConnections) -> None:
    assert await backend(starts) == await backend(starts)


async def test_callers_at_the_same_time_have_one_each(
    starts: StartConnections, nursery: trio.Nursery, database: str
) -> None:
    nursery.start_soon(starts.read, [binary.int4(1), LONG_PAUSE])
    await until_sleeping(database)
    await backend(starts)
    nursery.cancel_scope.cancel()


async def test_a_refusal_leaves_the_connection_usable(starts: StartConnections) -> None:
    before = await backend(starts)
    with pytest.raises(Rejected, match="division by zero"):
        await starts.read([binary.int4(0), NO_PAUSE])
    assert await backend(starts) == before


async def test_a_connection_that_the_server_ended_is_replaced(
    starts: StartConnections, database: str
) -> None:
    before = await backend(starts)
    await ask(database, f"SELECT pg_terminate_backend({before}, 10000)")
    with pytest.raises(Unavailable):
        await backend(starts)
    assert await backend(starts) != before


async def test_a_caller_that_is_cancelled_takes_its_connection_along(
    starts: StartConnections, database: str
) -> None:
    before = await backend(starts)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(starts.read, [binary.int4(1), LONG_PAUSE])
        await until_sleeping(database)
        nursery.cancel_scope.cancel()
    assert await backend(starts) != before


async def test_after_its_end_nothing_is_asked_and_nothing_stays_open(
    starts: StartConnections, database: str
) -> None:
    await backend(starts)
    starts.close()
    await until_none_of_ours(database)
    with pytest.raises(Unavailable, match="closed"):
        await backend(starts)


async def test_what_is_to_be_done_first_is_done_before_each_connection(database: str) -> None:
    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise Unavailable("not prepared")

    with pytest.raises(Unavailable, match="not prepared"):
        await StartConnections(database, fail, QUERY).read([])


async def test_a_statement_that_is_wrong_is_told(database: str) -> None:
    with pytest.raises(Rejected, match="no_such_table"):
        await StartConnections(database, nothing, "SELECT * FROM no_such_table").read([])
