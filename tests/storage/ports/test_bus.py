"""What every bus does; and what only Redis can do to us."""

from __future__ import annotations

import os
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
import redis
import trio

from chat4all_storage.embedded.embedded import EmbeddedServers, open_embedded
from chat4all_storage.memory.bus import MemoryBus
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.redis.bus import STREAM_LIFETIME, RedisStreams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from chat4all_storage.ports.bus import Bus

CLUSTER = "test"
ENTRIES = 100


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[EmbeddedServers]:
    async with open_embedded(tmp_path / "redis", postgres=False) as servers:
        yield servers


@pytest.fixture
async def streams(servers: EmbeddedServers) -> AsyncIterator[RedisStreams]:
    async with AsyncExitStack() as stack:
        streams = RedisStreams(servers.redis_url, CLUSTER, max_entries=ENTRIES)
        stack.push_async_callback(streams.close)
        yield streams


@pytest.fixture
def admin(servers: EmbeddedServers) -> redis.Redis:
    return redis.Redis.from_url(servers.redis_url)


@pytest.fixture(params=["memory", "redis"])
def bus(request: pytest.FixtureRequest) -> Bus:
    if request.param == "memory":
        return MemoryBus(max_entries=ENTRIES)
    found: Bus = request.getfixturevalue("streams")
    return found


async def data(bus: Bus, node: str, after: str = "0", *, limit: int = 1000) -> list[bytes]:
    return [each.data for each in await bus.read(node, after, wait=0.01, limit=limit)]


def blocked_clients(admin: redis.Redis) -> int:
    """How many wait for an entry."""
    found = admin.info("clients")
    assert isinstance(found, dict)
    return int(found["blocked_clients"])


async def begin(bus: Bus, *nodes: str) -> str:
    """Let nodes beat for the first time: they have streams then. The position of the last one."""
    for node in nodes:
        position = (await bus.beat(node, b"first")).position
    return position


async def test_entries_are_read_in_the_order_in_which_they_were_appended(bus: Bus) -> None:
    await begin(bus, "one", "two")
    await bus.append([("one", b"a"), ("two", b"b"), ("one", b"\x00\xff")])
    await bus.append([("one", b"c")])
    assert await data(bus, "one") == [b"first", b"a", b"\x00\xff", b"c"]
    assert await data(bus, "two") == [b"first", b"b"]
    assert await data(bus, "three") == []


async def test_a_node_that_never_beat_or_was_removed_gets_nothing(bus: Bus) -> None:
    await begin(bus, "one", "two")
    await bus.remove("two")
    await bus.append([("two", b"a"), ("one", b"b"), ("three", b"c")])
    assert await data(bus, "two") == await data(bus, "three") == []
    assert await data(bus, "one") == [b"first", b"b"]
    await begin(bus, "two")
    await bus.append([("two", b"d")])
    assert await data(bus, "two") == [b"first", b"d"]


async def test_reading_goes_on_after_a_position_and_stops_at_a_limit(bus: Bus) -> None:
    start = await begin(bus, "one")
    await bus.append([("one", b"%d" % number) for number in range(5)])
    first, second = await bus.read("one", start, wait=0.01, limit=2)
    assert (first.data, second.data) == (b"0", b"1")
    assert await data(bus, "one", second.position) == [b"2", b"3", b"4"]


async def test_who_reads_waits_for_an_entry(bus: Bus) -> None:
    start = await begin(bus, "one")
    async with trio.open_nursery() as nursery:
        found: list[bytes] = []

        async def read() -> None:
            found.extend(each.data for each in await bus.read("one", start, wait=60, limit=10))

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        await bus.append([("one", b"now")])
    assert found == [b"now"]


async def test_a_stream_keeps_the_last_entries(bus: Bus) -> None:
    await begin(bus, "one")
    for start in range(0, 10 * ENTRIES, ENTRIES):
        await bus.append([("one", b"%d" % number) for number in range(start, start + ENTRIES)])
    kept = [int(each) for each in await data(bus, "one", limit=10 * ENTRIES)]
    assert kept == list(range(kept[0], 10 * ENTRIES))
    assert ENTRIES <= len(kept) <= 3 * ENTRIES


async def test_a_position_that_was_trimmed_is_followed_by_the_oldest_that_is_kept(
    bus: Bus,
) -> None:
    start = await begin(bus, "one")
    await bus.append([("one", b"%d" % number) for number in range(5 * ENTRIES)])
    assert b"first" not in await data(bus, "one")
    found = [int(each) for each in await data(bus, "one", start)]
    assert found == list(range(found[0], 5 * ENTRIES))
    assert found[0] > 0


async def test_who_does_not_wait_is_answered_at_once(bus: Bus) -> None:
    start = await begin(bus, "one")
    assert await bus.read("one", start, wait=0, limit=10) == []
    await bus.append([("one", b"a")])
    (found,) = await bus.read("one", start, wait=0, limit=10)
    assert found.data == b"a"


async def test_nothing_may_be_appended(bus: Bus) -> None:
    start = await begin(bus, "one")
    await bus.append([])
    assert await data(bus, "one", start) == []


async def test_a_node_that_was_not_known_is_not_removed_for_any_beat(bus: Bus) -> None:
    await begin(bus, "one")
    for unless in (b"first", b""):
        assert not await bus.remove("two", unless=unless)
    assert not await bus.remove("one", unless=b"")
    assert await data(bus, "one") == [b"first"]


async def test_a_beat_tells_of_all_and_comes_back_to_its_node(bus: Bus) -> None:
    first = await bus.beat("one", b"beat 1")
    second = await bus.beat("two", b"beat 2")
    assert first.epoch == second.epoch
    assert (first.nodes, second.nodes) == (
        {"one": b"beat 1"},
        {"one": b"beat 1", "two": b"beat 2"},
    )
    (own,) = await bus.read("one", "0", wait=0.01, limit=10)
    assert (own.data, own.position) == (b"beat 1", first.position)


async def test_a_node_that_beat_again_is_not_removed(bus: Bus) -> None:
    await bus.beat("one", b"old")
    await bus.beat("one", b"new")
    assert not await bus.remove("one", unless=b"old")
    assert (await bus.beat("two", b"")).nodes.keys() == {"one", "two"}
    assert await bus.remove("one", unless=b"new")
    assert (await bus.beat("two", b"")).nodes.keys() == {"two"}
    assert await data(bus, "one") == []
    assert not await bus.remove("one")


# --- Redis ----------------------------------------------------------------------------------------


async def test_clusters_do_not_see_each_other(
    streams: RedisStreams, servers: EmbeddedServers
) -> None:
    other = RedisStreams(servers.redis_url, "another")
    await streams.beat("one", b"ours")
    assert (await other.beat("one", b"theirs")).nodes == {"one": b"theirs"}
    assert await data(streams, "one") == [b"ours"]
    await other.close()


async def test_an_emptied_redis_has_another_epoch(
    streams: RedisStreams, admin: redis.Redis
) -> None:
    before = await streams.beat("one", b"1")
    assert (await streams.beat("one", b"2")).epoch == before.epoch
    admin.flushall()
    await streams.append([("one", b"to nobody")])
    after = await streams.beat("one", b"3")
    assert after.epoch != before.epoch
    assert after.nodes == {"one": b"3"}
    assert await data(streams, "one") == [b"3"]


async def test_the_stream_of_a_node_that_beats_no_more_expires(
    streams: RedisStreams, admin: redis.Redis
) -> None:
    await streams.beat("one", b"1")
    left = admin.pttl(f"chat4all:{CLUSTER}:in:one")
    assert isinstance(left, int)
    assert 0 < left <= STREAM_LIFETIME * 1000


async def test_only_beats_keep_a_stream(streams: RedisStreams, admin: redis.Redis) -> None:
    stream = f"chat4all:{CLUSTER}:in:one"
    await begin(streams, "one")
    admin.pexpire(stream, 30_000)
    await streams.append([("one", b"a")])
    left = admin.pttl(stream)
    assert isinstance(left, int)
    assert 0 < left <= 30_000
    await streams.beat("one", b"2")
    left = admin.pttl(stream)
    assert isinstance(left, int)
    assert 30_000 < left <= STREAM_LIFETIME * 1000
    admin.pexpireat(stream, 1)  # long ago
    await streams.append([("one", b"b")])
    assert await data(streams, "one") == []
    await streams.beat("one", b"3")
    await streams.append([("one", b"c")])
    assert await data(streams, "one") == [b"3", b"c"]


async def test_a_full_redis_is_read_and_relieved(streams: RedisStreams, admin: redis.Redis) -> None:
    await begin(streams, "one")
    await streams.append([("one", b"a")])
    admin.config_set("maxmemory", "1")
    assert await data(streams, "one") == [b"first", b"a"]
    assert await streams.remove("one")
    admin.config_set("maxmemory", "0")
    assert await data(streams, "one") == []


async def test_a_full_redis_is_out_of_reach_and_comes_back(
    streams: RedisStreams, admin: redis.Redis
) -> None:
    await streams.beat("one", b"1")
    admin.config_set("maxmemory", "1")
    with pytest.raises(Unavailable, match="Redis"):
        await streams.append([("one", b"x")])
    with pytest.raises(Unavailable, match="Redis"):
        await streams.beat("one", b"2")
    admin.config_set("maxmemory", "0")
    await streams.append([("one", b"y")])
    assert await data(streams, "one") == [b"1", b"y"]


async def test_a_redis_that_hangs_is_out_of_reach_in_bounded_time(
    streams: RedisStreams, servers: EmbeddedServers
) -> None:
    await streams.beat("one", b"1")
    pid = servers.pids["redis"]
    os.kill(pid, signal.SIGSTOP)
    try:
        for call in (
            lambda: streams.append([("one", b"x")]),
            lambda: streams.read("one", "0", wait=0.1, limit=1),
            lambda: streams.beat("one", b"late"),
            lambda: streams.remove("two"),
        ):
            with pytest.raises(Unavailable, match="no answer in time"):
                await call()
    finally:
        os.kill(pid, signal.SIGCONT)
    # None of the answers that come late is taken for that of another call.
    beat = await streams.beat("one", b"2")
    assert beat.nodes == {"one": b"2"}
    assert not await streams.remove("two")
    await streams.append([("one", b"y")])
    found = await streams.read("one", "0", wait=1, limit=100)
    assert [each.data for each in found if each.position >= beat.position] == [b"2", b"y"]


async def test_a_redis_that_was_killed_is_found_again(
    streams: RedisStreams, servers: EmbeddedServers
) -> None:
    await streams.beat("one", b"1")
    os.kill(servers.pids["redis"], signal.SIGKILL)
    failures = 0
    while True:
        try:
            beat = await streams.beat("one", b"2")
        except Unavailable:
            failures += 1
            await trio.lowlevel.checkpoint()
        else:
            break
    assert failures
    assert beat.nodes == {"one": b"2"}


async def test_who_reads_while_redis_is_killed_is_told_and_reads_again(
    streams: RedisStreams, servers: EmbeddedServers, admin: redis.Redis
) -> None:
    start = await begin(streams, "one")
    async with trio.open_nursery() as nursery:
        told: list[Unavailable] = []

        async def read() -> None:
            try:
                await streams.read("one", start, wait=60, limit=10)
            except Unavailable as error:
                told.append(error)

        nursery.start_soon(read)
        while not blocked_clients(admin):
            await trio.lowlevel.checkpoint()
        os.kill(servers.pids["redis"], signal.SIGKILL)
    assert len(told) == 1
    while True:
        try:
            beat = await streams.beat("one", b"2")
            found = await streams.read("one", "0", wait=1, limit=1000)
        except Unavailable:
            await trio.lowlevel.checkpoint()
        else:
            break
    assert (found[-1].data, found[-1].position) == (b"2", beat.position)
