"""What is held of a shard on the move is refused when the logs stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from tests.storage.builders import append, conversation_of, events, new_conversation
from tests.storage.scripted_store import COMMIT_TIME, settle

from .world import SHARD, World

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_what_comes_back_after_a_stop_is_refused(autojump_clock: MockClock) -> None:
    world = World()
    moving = await new_conversation(world.a, "ann", id=conversation_of(SHARD))
    async with trio.open_nursery() as nursery:
        for log in world.logs.all:
            await nursery.start(log.run)
        world.freeze()
        async with trio.open_nursery() as inner:
            await inner.start(world.logs.run)
            world.submit(append(moving, "ann", b"held"))
            await trio.sleep(COMMIT_TIME * 0.9)
            world.submit(append(moving, "ann", b"waits"))
            await trio.sleep(COMMIT_TIME * 0.2)
            inner.cancel_scope.cancel()
        await settle()
        nursery.cancel_scope.cancel()
    assert world.reasons == ["the logs stop"] * 2
    assert await events(world.a, moving) == []


async def test_a_stop_refuses_what_is_held(autojump_clock: MockClock) -> None:
    world = World()
    moving = await new_conversation(world.a, "ann", id=conversation_of(SHARD))
    async with trio.open_nursery() as nursery:
        for log in world.logs.all:
            await nursery.start(log.run)
        async with trio.open_nursery() as inner:
            await inner.start(world.logs.run)
            world.directory.placed[SHARD] = "a database that this node does not know"
            await world.shards.refresh()
            world.submit(append(moving, "ann"), append(moving, "ann"))
            await trio.sleep(COMMIT_TIME)
            assert world.logs.held == 2
            inner.cancel_scope.cancel()
        assert world.reasons == ["the logs stop"] * 2
        assert world.logs.held == 0
        nursery.cancel_scope.cancel()
    assert world.a.batches == []


async def test_what_comes_back_to_logs_that_do_not_run_is_refused(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    world = World()
    moving = await new_conversation(world.a, "ann", id=conversation_of(SHARD))
    await nursery.start(world.logs.all[0].run)
    world.freeze()
    world.submit(append(moving, "ann"))
    await settle()
    assert world.reasons == ["the logs stop"]
