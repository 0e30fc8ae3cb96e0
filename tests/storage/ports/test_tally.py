"""What every tally does; and what only Redis can do to us."""

from __future__ import annotations

import os
import signal
import struct
from typing import TYPE_CHECKING, cast

import pytest
import redis
import trio

from chat4all_storage.embedded.embedded import EmbeddedServers, open_embedded
from chat4all_storage.memory.tally import MemoryTally
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.tally import INTEREST, Usage
from chat4all_storage.redis.tally import CHUNK, RedisTally

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from chat4all_storage.ports.tally import Standing, Tally

CLUSTER = "test"
# Of a standing whose clock goes on while it is asked for.
LATE = 1.0


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[EmbeddedServers]:
    async with open_embedded(tmp_path / "redis", postgres=False) as servers:
        yield servers


@pytest.fixture
async def redis_tally(servers: EmbeddedServers) -> AsyncIterator[RedisTally]:
    tally = RedisTally(servers.redis_url, CLUSTER)
    yield tally
    await tally.close()


@pytest.fixture
def admin(servers: EmbeddedServers) -> redis.Redis:
    return redis.Redis.from_url(servers.redis_url)


@pytest.fixture(params=["memory", "redis"])
def tally(request: pytest.FixtureRequest) -> Tally:
    if request.param == "memory":
        return MemoryTally()
    found: Tally = request.getfixturevalue("redis_tally")
    return found


def used(key: str, cost: float, *, known: float = 0.0, ceiling: float = 10_000.0) -> Usage:
    return Usage(key, cost, known, ceiling)


async def told(tally: Tally, node: str, usage: Usage) -> Standing:
    (standing,) = await tally.exchange(node, [usage])
    return standing


def about(standing: Standing, ahead: float) -> bool:
    return ahead - LATE < standing.ahead <= ahead + 1e-3


async def test_what_nodes_tell_adds_up_and_asking_costs_nothing(tally: Tally) -> None:
    assert about(await told(tally, "one", used("a", 100)), 100)
    assert about(await told(tally, "two", used("a", 50)), 150)
    assert about(await told(tally, "two", used("a", 0)), 150)
    assert about(await told(tally, "one", used("b", 7)), 7)


async def test_a_key_that_nobody_used_is_at_rest(tally: Tally) -> None:
    standing = await told(tally, "one", used("a", 0))
    assert (standing.ahead, standing.nodes) == (0.0, 1)


async def test_answers_come_in_the_order_of_the_questions(tally: Tally) -> None:
    usages = [used(f"key {number}", 100.0 * number) for number in range(2 * CHUNK + 1)]
    usages[7] = used("key 3", 100.0)  # a key twice: each is answered for itself
    standings = await tally.exchange("one", usages)
    assert len(standings) == len(usages)
    assert all(
        about(standing, 100.0 * min(100, number))
        for number, standing in enumerate(standings)
        if number != 7
    )
    assert about(standings[7], 400)
    assert await tally.exchange("one", []) == []


async def test_what_a_node_knows_mends_a_tally_that_has_forgotten(tally: Tally) -> None:
    assert about(await told(tally, "one", used("a", 100, known=80)), 100)
    assert about(await told(tally, "one", used("a", 0, known=300)), 300)
    assert about(await told(tally, "one", used("a", 10, known=5)), 310)


async def test_debts_end_at_the_ceiling(tally: Tally) -> None:
    assert about(await told(tally, "one", used("a", 500, ceiling=90)), 90)
    assert about(await told(tally, "one", used("a", 50, known=200, ceiling=90)), 90)


async def test_a_standing_tells_how_many_nodes_have_to_do_with_the_key(tally: Tally) -> None:
    for node, nodes in (("one", 1), ("one", 1), ("two", 2), ("three", 3), ("one", 3)):
        assert (await told(tally, node, used("a", 1))).nodes == nodes
    assert (await told(tally, "three", used("b", 1))).nodes == 1


# Redis


def stored(admin: redis.Redis) -> list[bytes]:
    return cast("list[bytes]", admin.keys(f"chat4all:{CLUSTER}:limit:*"))


def earlier(admin: redis.Redis, key: bytes, seconds: float) -> None:
    """Let a key that one node used be as it will be after so many seconds."""
    held = admin.get(key)
    assert isinstance(held, bytes)
    due, seen = struct.unpack_from("<dd", held)
    admin.set(key, struct.pack("<dd", due - seconds * 1e6, seen - seconds * 1e6) + held[16:])


async def test_a_node_that_has_not_asked_for_a_while_is_not_counted(
    redis_tally: RedisTally, admin: redis.Redis
) -> None:
    await told(redis_tally, "one", used("a", 1000))
    (key,) = stored(admin)
    earlier(admin, key, INTEREST + 1)
    assert (await told(redis_tally, "two", used("a", 0))).nodes == 1
    held = admin.get(key)
    assert isinstance(held, bytes)
    assert b"two" in held
    assert b"one" not in held


async def test_every_key_expires_when_it_tells_nothing_any_more(
    redis_tally: RedisTally, admin: redis.Redis
) -> None:
    await told(redis_tally, "one", used("a", 0))
    (key,) = stored(admin)
    assert 0 < admin.pttl(key) <= (INTEREST + 1) * 1000
    await told(redis_tally, "one", used("a", 50))
    assert (50 - LATE) * 1000 < admin.pttl(key) <= 51_001


async def test_time_pays_what_was_used(redis_tally: RedisTally, admin: redis.Redis) -> None:
    await told(redis_tally, "one", used("a", 1000))
    (key,) = stored(admin)
    earlier(admin, key, 1500)
    assert about(await told(redis_tally, "two", used("a", 3)), 3)


async def test_clusters_do_not_see_each_other(
    redis_tally: RedisTally, servers: EmbeddedServers
) -> None:
    other = RedisTally(servers.redis_url, "another")
    await told(redis_tally, "one", used("a", 100))
    assert (await told(other, "one", used("a", 0))).ahead == 0.0
    await other.close()


async def test_a_full_redis_is_out_of_reach(redis_tally: RedisTally, admin: redis.Redis) -> None:
    admin.config_set("maxmemory", "1")
    with pytest.raises(Unavailable, match="Redis"):
        await told(redis_tally, "one", used("a", 1))
    admin.config_set("maxmemory", "0")
    assert about(await told(redis_tally, "one", used("a", 1)), 1)


async def test_a_redis_that_hangs_is_out_of_reach_in_bounded_time(
    redis_tally: RedisTally, servers: EmbeddedServers
) -> None:
    await told(redis_tally, "one", used("a", 100))
    pid = servers.pids["redis"]
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable, match="no answer in time"):
            await told(redis_tally, "one", used("a", 10))
    finally:
        os.kill(pid, signal.SIGCONT)
    # The answer that comes late is not taken for that of another call.
    assert about(await told(redis_tally, "one", used("b", 3)), 3)


async def test_a_redis_that_was_killed_is_found_again(
    redis_tally: RedisTally, servers: EmbeddedServers
) -> None:
    await told(redis_tally, "one", used("a", 100))
    os.kill(servers.pids["redis"], signal.SIGKILL)
    failures = 0
    while True:
        try:
            standing = await told(redis_tally, "one", used("b", 1))
        except Unavailable:
            failures += 1
            await trio.lowlevel.checkpoint()
        else:
            break
    assert failures
    assert about(standing, 1)
