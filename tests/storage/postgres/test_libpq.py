"""A connection that trio waits for: what it says when all is well, and when it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_storage.postgres import binary
from chat4all_storage.postgres.libpq import LibpqConnection, ServerError, TimeLimit
from tests.storage.probes import ask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NAME = b"statement"


@pytest.fixture
async def connection(database: str) -> AsyncIterator[LibpqConnection]:
    opened = await LibpqConnection.open(database, {"application_name": "a test", "jit": "off"})
    yield opened
    opened.close()


async def test_the_values_of_all_rows_come_one_after_the_other(connection: LibpqConnection) -> None:
    await connection.prepare(NAME, "SELECT x::int2, (x + $1)::int8 FROM generate_series(1, 2) x")
    found = await connection.execute(NAME, [binary.int4(10)])
    assert found == b"".join([b"\0\x01", binary.int8(11), b"\0\x02", binary.int8(12)])


async def test_settings_may_have_spaces(database: str) -> None:
    settings = {"default_transaction_isolation": "read committed", "application_name": "a test"}
    connection = await LibpqConnection.open(database, settings)
    await connection.prepare(NAME, "SELECT current_setting($1)")
    for name, value in settings.items():
        assert await connection.execute(NAME, [name.encode()]) == value.encode()
    connection.close()


async def test_more_than_a_socket_takes_at_once_is_sent(connection: LibpqConnection) -> None:
    await connection.prepare(NAME, "SELECT octet_length($1::bytea)")
    assert await connection.execute(NAME, [b"x" * 20_000_000]) == binary.int4(20_000_000)


async def test_a_refusal_has_its_state_and_leaves_the_connection_usable(
    connection: LibpqConnection,
) -> None:
    await connection.prepare(NAME, "SELECT 1 / $1")
    with pytest.raises(ServerError) as refusal:
        await connection.execute(NAME, [binary.int4(0)])
    assert (refusal.value.sqlstate, refusal.value.severity) == ("22012", "ERROR")
    assert str(refusal.value) == "division by zero"
    assert await connection.execute(NAME, [binary.int4(1)]) == binary.int4(1)


async def test_a_statement_that_is_wrong_is_refused(connection: LibpqConnection) -> None:
    with pytest.raises(ServerError, match="no_such_table"):
        await connection.prepare(NAME, "SELECT * FROM no_such_table")


async def test_a_connection_that_the_server_ends_says_so(
    connection: LibpqConnection, database: str
) -> None:
    await connection.prepare(NAME, "SELECT pg_sleep(60)")
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises((ServerError, ConnectionError)) as failure:
                await connection.execute(NAME, [])
            if isinstance(failure.value, ServerError):
                assert (failure.value.sqlstate, failure.value.severity) == ("57P01", "FATAL")

        nursery.start_soon(wait)
        end = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE application_name = 'a test' AND wait_event = 'PgSleep'"""
        while not await ask(database, end):  # noqa: ASYNC110 - the server sets no events
            await trio.sleep(0.01)
    with pytest.raises(ConnectionError):
        await connection.execute(NAME, [])


async def test_whoever_waits_is_told_when_it_is_closed(connection: LibpqConnection) -> None:
    await connection.prepare(NAME, "SELECT pg_sleep(60)")
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(ConnectionError):
                await connection.execute(NAME, [])

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        connection.close()


async def test_what_takes_too_long_is_a_timeout(connection: LibpqConnection) -> None:
    await connection.prepare(NAME, "SELECT pg_sleep(60)")
    with pytest.raises(TimeoutError), TimeLimit(0.05):
        await connection.execute(NAME, [])


async def test_nobody_at_the_address_is_an_error_of_the_connection() -> None:
    with trio.socket.socket() as nobody:
        await nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        with pytest.raises(OSError, match="refused"):
            await LibpqConnection.open(f"postgresql://user@localhost:{port}/db", {})


async def test_a_server_that_says_nothing_can_be_given_up() -> None:
    with trio.socket.socket() as silent:
        await silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        with pytest.raises(TimeoutError), TimeLimit(0.05):
            await LibpqConnection.open(f"postgresql://user@127.0.0.1:{port}/db", {})


async def test_a_name_without_an_address_is_an_error_of_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def look_up(*_: object, **__: object) -> list[object]:
        raise OSError("no such name")

    monkeypatch.setattr(trio.socket, "getaddrinfo", look_up)
    with pytest.raises(OSError, match="no such name"):
        await LibpqConnection.open("postgresql://user@nowhere/db", {})


async def test_names_are_looked_up_before_libpq_could(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, str]] = []

    async def look_up(host: str, port: str, **_: object) -> list[object]:
        asked.append((host, port))
        return [(2, 1, 6, "", (f"127.0.0.{len(asked)}", 1))]

    monkeypatch.setattr(trio.socket, "getaddrinfo", look_up)
    with pytest.raises(OSError, match=r"127\.0\.0\.2"):
        await LibpqConnection.open("postgresql://user@one:1,two:2/db", {})
    assert asked == [("one", "1"), ("two", "2")]


async def test_what_libpq_does_not_know_is_a_setting_as_with_asyncpg(database: str) -> None:
    more = "datestyle=ISO,%20DMY&statement_timeout=1s"
    settings = {"statement_timeout": "9s"}  # ours count
    connection = await LibpqConnection.open(f"{database}&{more}", settings)
    await connection.prepare(NAME, "SELECT current_setting($1)")
    assert await connection.execute(NAME, [b"datestyle"]) == b"ISO, DMY"
    assert await connection.execute(NAME, [b"statement_timeout"]) == b"9s"
    connection.close()


async def test_a_dsn_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="not a DSN"):
        await LibpqConnection.open("nonsense", {})
