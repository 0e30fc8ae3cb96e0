"""The embedded servers, as they are: real processes, real signals, real time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
import redis
import trio

from chat4all_storage.bridge import Bridge, open_bridge
from chat4all_storage.embedded.embedded import EmbeddedError, find_embedded, open_embedded
from chat4all_storage.embedded.processes import command_line, mark_of, marked_processes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

# Opens the servers, tells their processes, and stays until it is killed.
OWNER = """
import sys, pathlib, trio
from chat4all_storage.embedded.embedded import open_embedded
async def main():
    data_dir, *options = sys.argv[1:]
    async with open_embedded(pathlib.Path(data_dir), throwaway="throwaway" in options) as servers:
        print(*servers.pids.values(), flush=True)
        await trio.sleep_forever()
trio.run(main)
"""


async def until(condition: Callable[[], object], seconds: float = 30) -> None:
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - other processes set no events
            await trio.sleep(0.01)


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700)
    mark = mark_of(data_dir)
    yield data_dir
    for pid in marked_processes(mark):
        os.kill(pid, signal.SIGKILL)  # of a test that failed


@pytest.fixture
async def bridge() -> AsyncIterator[Bridge]:
    async with open_bridge() as bridge:
        yield bridge


async def sql(bridge: Bridge, dsn: str, query: str) -> list[tuple[Any, ...]]:
    async def run() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(dsn)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    return await bridge.call(run, timeout=20)


def redis_client(url: str) -> redis.Redis:
    client: redis.Redis = redis.Redis.from_url(url, decode_responses=True)
    return client


async def put_data(bridge: Bridge, postgres_dsn: str, redis_url: str) -> None:
    await sql(bridge, postgres_dsn, "create table kept as select 'in PostgreSQL' as value")
    with redis_client(redis_url) as client:
        client.set("kept", "in Redis")


async def assert_data(bridge: Bridge, postgres_dsn: str, redis_url: str) -> None:
    assert await sql(bridge, postgres_dsn, "select value from kept") == [("in PostgreSQL",)]
    with redis_client(redis_url) as client:
        assert client.get("kept") == "in Redis"


def is_running(pid: int) -> bool:
    return command_line(pid) != ""


def nothing_runs(data_dir: Path) -> bool:
    return not marked_processes(mark_of(data_dir))


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def is_there(path: Path) -> bool:
    return path.exists()


def entries(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


@asynccontextmanager
async def running_owner(*arguments: str | Path) -> AsyncIterator[tuple[trio.Process, list[int]]]:
    """An owner in a process of its own, once its servers run; and their pids, keeper first."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", OWNER, *arguments], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        said = await process.stdout.receive_some()
        yield process, [int(pid) for pid in said.split()]
    finally:
        process.kill()
        await process.wait()
        await process.stdout.aclose()


async def test_both_servers_answer_and_nothing_is_left_behind(
    data_dir: Path, bridge: Bridge
) -> None:
    async with open_embedded(data_dir) as servers:
        pids = servers.pids
        assert set(pids) == {"keeper", "postgres", "redis"}
        assert all(is_running(pid) for pid in pids.values())
        assert await sql(bridge, servers.postgres_dsn, "select 1") == [(1,)]
        with redis_client(servers.redis_url) as client:
            assert client.ping()
    assert not any(is_running(pid) for pid in pids.values())
    assert nothing_runs(data_dir)
    assert entries(data_dir) == {"keeper.lock", "logs", "postgres", "redis"}


async def test_a_commit_is_durable_and_the_server_is_reached_by_socket_only(
    data_dir: Path, bridge: Bridge
) -> None:
    async with open_embedded(data_dir, redis=False) as servers:
        names = "fsync synchronous_commit full_page_writes server_encoding listen_addresses"
        wanted = ",".join(f"'{name}'" for name in names.split())
        query = f"select name, setting from pg_settings where name in ({wanted})"
        assert dict(await sql(bridge, servers.postgres_dsn, query)) == {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "server_encoding": "UTF8",
            "listen_addresses": "",
        }
        assert mode(data_dir) == mode(data_dir / "run" / "pg") == 0o700


async def test_what_users_write_is_not_logged_with_an_error(data_dir: Path, bridge: Bridge) -> None:
    async with open_embedded(data_dir, redis=False) as servers:
        with pytest.raises(asyncpg.DataError):
            await sql(bridge, servers.postgres_dsn, "select 'a private text'::int")
    assert "private" not in (data_dir / "logs" / "postgres.log").read_text()


@pytest.mark.parametrize(("postgres", "redis"), [(True, False), (False, True)])
async def test_one_of_the_servers_alone(data_dir: Path, *, postgres: bool, redis: bool) -> None:
    async with open_embedded(data_dir, postgres=postgres, redis=redis) as servers:
        assert ("postgres" in servers.pids) is (servers.postgres_dsn != "") is postgres
        assert ("redis" in servers.pids) is (servers.redis_url != "") is redis


async def test_a_directory_that_is_used_again_has_its_data(data_dir: Path, bridge: Bridge) -> None:
    async with open_embedded(data_dir) as servers:
        await put_data(bridge, servers.postgres_dsn, servers.redis_url)
    async with open_embedded(data_dir) as servers:
        await assert_data(bridge, servers.postgres_dsn, servers.redis_url)


async def test_a_throwaway_directory_is_removed(data_dir: Path) -> None:
    async with open_embedded(data_dir, throwaway=True) as servers:
        pids = servers.pids
    assert not is_there(data_dir)
    assert not any(is_running(pid) for pid in pids.values())


async def test_a_directory_with_something_in_it_is_never_thrown_away(data_dir: Path) -> None:
    (data_dir / "thesis").touch()
    with pytest.raises(EmbeddedError, match="not empty"):
        async with open_embedded(data_dir, throwaway=True):
            pass
    assert entries(data_dir) == {"thesis"}


async def test_the_servers_stop_when_their_owner_is_killed_and_its_successor_has_the_data(
    data_dir: Path, bridge: Bridge
) -> None:
    async with running_owner(data_dir) as (owner, pids):
        found = find_embedded(data_dir)
        assert found is not None
        await put_data(bridge, found.postgres_dsn, found.redis_url)
        owner.kill()
        # At once: it waits until the keeper of the dead owner has stopped everything.
        async with open_embedded(data_dir) as servers:
            assert not any(is_running(pid) for pid in pids)
            await assert_data(bridge, servers.postgres_dsn, servers.redis_url)


async def test_a_throwaway_directory_is_removed_when_its_owner_is_killed(data_dir: Path) -> None:
    async with running_owner(data_dir, "throwaway") as (owner, pids):
        owner.kill()
        await until(lambda: not any(is_running(pid) for pid in pids))
        assert not is_there(data_dir)


async def test_servers_that_lost_their_keeper_and_owner_are_stopped_by_the_next_one(
    data_dir: Path, bridge: Bridge
) -> None:
    async with running_owner(data_dir) as (owner, pids):
        found = find_embedded(data_dir)
        assert found is not None
        await put_data(bridge, found.postgres_dsn, found.redis_url)
        os.kill(pids[0], signal.SIGKILL)
        owner.kill()
        await owner.wait()
        assert all(is_running(pid) for pid in pids[1:])
        await until(lambda: find_embedded(data_dir) is None)  # nobody keeps them
        async with open_embedded(data_dir) as servers:
            assert not any(is_running(pid) for pid in pids)
            await assert_data(bridge, servers.postgres_dsn, servers.redis_url)


async def test_an_owner_whose_keeper_is_killed_is_told_and_leaves_nothing(data_dir: Path) -> None:
    async with open_embedded(data_dir) as servers:
        os.kill(servers.pids["keeper"], signal.SIGKILL)
        with trio.fail_after(30), pytest.raises(EmbeddedError, match=r"keeper .* died"):
            await servers.wait_failed()
        assert not nothing_runs(data_dir)
    assert nothing_runs(data_dir)


@pytest.mark.parametrize("server", ["postgres", "redis"])
@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGKILL, signal.SIGTERM])
async def test_a_server_that_ends_on_its_own_comes_back_at_the_same_address(
    data_dir: Path, bridge: Bridge, server: str, how: signal.Signals
) -> None:
    async with open_embedded(data_dir) as servers:
        await put_data(bridge, servers.postgres_dsn, servers.redis_url)
        before = servers.pids
        os.kill(before[server], how)
        await until(lambda: servers.pids[server] != before[server])
        await assert_data(bridge, servers.postgres_dsn, servers.redis_url)
        others = set(before) - {server}
        assert {servers.pids[name] for name in others} == {before[name] for name in others}


async def test_a_backend_that_outlives_its_postmaster_does_not_prevent_its_return(
    data_dir: Path, bridge: Bridge
) -> None:
    async def work_without_a_pause(dsn: str) -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute("select sum(sqrt(n)) from generate_series(1, 1e12::bigint) n")

    async with open_embedded(data_dir, redis=False) as servers, trio.open_nursery() as nursery:
        before = servers.pids["postgres"]

        async def work() -> None:
            with pytest.raises(asyncpg.PostgresConnectionError):
                await bridge.call(work_without_a_pause, servers.postgres_dsn, timeout=60)

        nursery.start_soon(work)
        mark = mark_of(data_dir)
        await until(lambda: any("SELECT" in title for title in marked_processes(mark).values()))
        os.kill(before, signal.SIGKILL)
        await until(lambda: servers.pids["postgres"] != before)
        assert await sql(bridge, servers.postgres_dsn, "select 1") == [(1,)]


async def test_a_server_that_cannot_come_back_is_given_up(data_dir: Path) -> None:
    async with open_embedded(data_dir) as servers:
        (data_dir / "postgres" / "global" / "pg_control").unlink()
        os.kill(servers.pids["postgres"], signal.SIGKILL)
        with trio.fail_after(60), pytest.raises(EmbeddedError) as caught:
            await servers.wait_failed()
        assert "PostgreSQL failed" in caught.value.what
        assert "pg_control" in caught.value.why
    assert nothing_runs(data_dir)


async def test_a_failure_nobody_waited_for_is_raised_at_the_end_of_the_block(
    data_dir: Path,
) -> None:
    with pytest.raises(EmbeddedError, match="died"):
        async with open_embedded(data_dir, postgres=False) as servers:
            os.kill(servers.pids["keeper"], signal.SIGKILL)
    assert nothing_runs(data_dir)


async def test_signals_do_not_stop_the_keeper(data_dir: Path, bridge: Bridge) -> None:
    async with open_embedded(data_dir) as servers:
        keeper = servers.pids["keeper"]
        assert os.getsid(keeper) != os.getsid(0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(keeper, number)
        os.kill(servers.pids["redis"], signal.SIGKILL)
        before = servers.pids["redis"]
        await until(lambda: servers.pids["redis"] != before)  # so it has had its signals
        assert servers.pids["keeper"] == keeper
        assert await sql(bridge, servers.postgres_dsn, "select 1") == [(1,)]


async def test_a_second_owner_is_refused_by_name(data_dir: Path, bridge: Bridge) -> None:
    async with open_embedded(data_dir) as servers:
        keeper = servers.pids["keeper"]
        with pytest.raises(EmbeddedError, match=rf"another server uses .* \(pid {keeper}\)"):
            async with open_embedded(data_dir):
                pass
        assert await sql(bridge, servers.postgres_dsn, "select 1") == [(1,)]


async def test_running_servers_are_found_only_while_they_run(data_dir: Path) -> None:
    assert find_embedded(data_dir) is None
    assert find_embedded(data_dir / "missing") is None
    async with open_embedded(data_dir) as servers:
        found = find_embedded(data_dir)
        assert found is not None
        assert (found.postgres_dsn, found.redis_url) == (servers.postgres_dsn, servers.redis_url)
        assert found.pids == servers.pids
        assert mode(data_dir / "embedded.json") == 0o600
        record = (data_dir / "embedded.json").read_text()
    assert find_embedded(data_dir) is None
    (data_dir / "embedded.json").write_text(record)  # as a killed keeper leaves it
    assert find_embedded(data_dir) is None


async def test_a_path_too_long_for_a_socket_gets_a_temporary_directory(
    data_dir: Path, bridge: Bridge
) -> None:
    deep = data_dir / ("d" * 60) / ("e" * 60)
    async with open_embedded(deep) as servers:
        await put_data(bridge, servers.postgres_dsn, servers.redis_url)
        sockets = (deep / "run").readlink()
        assert sockets.is_dir()
    assert not sockets.exists()
    assert not (deep / "run").is_symlink()
    async with open_embedded(deep, postgres=False) as servers:
        stale = (deep / "run").readlink()
        os.kill(servers.pids["keeper"], signal.SIGKILL)
        with pytest.raises(EmbeddedError):
            await servers.wait_failed()
        assert stale.is_dir()
    assert not stale.exists()


async def test_a_start_that_is_cancelled_leaves_nothing_running(data_dir: Path) -> None:
    async def cancel_when_it_has_begun(scope: trio.CancelScope) -> None:
        await until((data_dir / "run").exists)
        scope.cancel()

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel_when_it_has_begun, scope)
            async with open_embedded(data_dir):
                await trio.sleep_forever()
    assert scope.cancelled_caught
    assert nothing_runs(data_dir)
    assert "run" not in entries(data_dir)


async def test_the_error_of_the_block_comes_out_as_it_is(data_dir: Path) -> None:
    error = LookupError("of the block")
    with pytest.raises(LookupError) as caught:
        async with open_embedded(data_dir, postgres=False):
            raise error
    assert caught.value is error
    assert nothing_runs(data_dir)
