"""Rate limits of two server processes: what one user gets on both of them together."""

from __future__ import annotations

import os
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_protocol.frames import Error, Sent
from chat4all_storage.embedded.embedded import open_embedded
from tests.life.test_cluster import ANA, BOB, Pair, begun
from tests.support.server import run_command, running_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.life.devices import Device

RATE = 10.0
"""Messages a second."""
BURST = 20
SECONDS = 6.0
"""Of a flood: long enough to pay for what both nodes gave before they knew of each other."""
OVER = 1.2


@pytest.fixture
async def pair(tmp_path: Path, database: str) -> AsyncIterator[Pair]:
    env = {
        "CHAT4ALL_RATE_MESSAGES_PER_MINUTE": str(round(60 * RATE)),
        "CHAT4ALL_RATE_BURST": str(BURST),
    }
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(open_embedded(tmp_path / "redis", postgres=False))
        flags = ["--postgres", database, "--redis", redis.redis_url]
        one, other = [
            await stack.enter_async_context(running_server(tmp_path / name, *flags, env=env))
            for name in ("one", "other")
        ]
        await run_command("user", "add", ANA, BOB, "--password", "a password", *flags[:2])
        async with trio.open_nursery() as nursery:
            pair = Pair(one, other, redis, database, nursery)
            yield pair
            for client in pair.clients:
                await client.cut()
            nursery.cancel_scope.cancel()


async def taken_until_refused(client: Device, conversation: str) -> int:
    """How many messages a client gets stored before it is told to wait."""
    taken = 0
    while True:
        await client.send(client.message(conversation, "again"))
        while not isinstance(frame := await client.receive(), Sent | Error):
            pass
        if isinstance(frame, Error):
            assert (frame.code, frame.temporary) == ("RATE_LIMITED", True)
            assert frame.retry_after_ms is not None
            assert frame.retry_after_ms > 0
            return taken
        taken += 1


async def conversation_of(pair: Pair) -> str:
    ana, bob = await pair.client(0, ANA), await pair.client(1, BOB)
    conversation = await begun(ana, bob)
    await pair.until("ok")
    return conversation


async def test_a_user_who_always_goes_to_another_node_gets_no_more_than_on_one(pair: Pair) -> None:
    conversation = await conversation_of(pair)
    began = trio.current_time()
    taken, node = 0, 0
    while (elapsed := trio.current_time() - began) < SECONDS:
        client = await pair.client(node, ANA)
        taken += await taken_until_refused(client, conversation)
        await client.cut()
        node = 1 - node
    assert RATE * elapsed / OVER <= taken <= OVER * (BURST + RATE * elapsed)


async def test_a_user_of_both_nodes_at_once_gets_no_more_than_on_one(pair: Pair) -> None:
    conversation = await conversation_of(pair)
    clients = [await pair.client(0, ANA, "phone"), await pair.client(1, ANA, "tablet")]
    began = trio.current_time()
    taken = await flood(clients, conversation)
    elapsed = trio.current_time() - began
    assert RATE * SECONDS / OVER <= taken <= OVER * (BURST + RATE * elapsed)


async def test_limits_hold_while_redis_is_killed_and_comes_back(pair: Pair) -> None:
    conversation = await conversation_of(pair)
    clients = [await pair.client(0, ANA, "phone"), await pair.client(1, ANA, "tablet")]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kill_redis_under_way, pair)
        began = trio.current_time()
        taken = await flood(clients, conversation)
        elapsed = trio.current_time() - began
    assert RATE * SECONDS / 2 <= taken <= OVER * (BURST + RATE * elapsed)
    await pair.until("ok")
    began = trio.current_time()
    taken = await flood(clients, conversation)
    elapsed = trio.current_time() - began
    assert RATE * SECONDS / OVER <= taken <= OVER * (BURST + RATE * elapsed)


async def kill_redis_under_way(pair: Pair) -> None:
    await trio.sleep(SECONDS / 3)
    os.kill(pair.redis.pids["redis"], signal.SIGKILL)


async def test_without_redis_limits_are_stricter_and_not_off(pair: Pair) -> None:
    conversation = await conversation_of(pair)
    clients = [await pair.client(0, ANA, "phone"), await pair.client(1, ANA, "tablet")]
    redis = pair.redis.pids["redis"]
    os.kill(redis, signal.SIGSTOP)
    try:
        await pair.until("degraded")
        began = trio.current_time()
        taken = await flood(clients, conversation)
        # Each may have given its burst before it noticed.
        assert taken <= 2 * BURST + OVER * RATE * (trio.current_time() - began)
        began = trio.current_time()
        taken = await flood(clients[:1], conversation)
        assert taken <= BURST / 2 + OVER * RATE / 2 * (trio.current_time() - began)
    finally:
        os.kill(redis, signal.SIGCONT)
    await pair.until("ok")
    # A stall of the machine loses what a full bucket can't take, in one try but not in each.
    tries = [await flood(clients[:1], conversation) for _ in range(3)]
    assert max(tries) >= RATE * SECONDS / OVER


async def flood(clients: list[Device], conversation: str) -> int:
    """How many messages they get stored in `SECONDS`."""
    taken = 0

    async def insist(client: Device) -> None:
        nonlocal taken
        with trio.move_on_after(SECONDS):
            while True:
                more = await taken_until_refused(client, conversation)
                taken += more
        await client.seen()

    async with trio.open_nursery() as nursery:
        for client in clients:
            nursery.start_soon(insist, client)
    return taken
