from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.kernel import (
    Actor,
    ActorState,
    ActorStopped,
    Pool,
    PoolClosed,
    Reply,
)

Faults = list[tuple[str, BaseException]]


class Logger(Actor[str]):
    def __init__(self, name: str, pool: Pool, log: list[str]) -> None:
        super().__init__(name, pool)
        self.log = log

    async def receive(self, batch: list[str]) -> None:
        for message in batch:
            if message == "wait":
                await trio.sleep_forever()
            self.log.append(f"{self.name} got {message}")

    def on_stop(self, unhandled: list[str]) -> None:
        self.log.append(f"{self.name} stopped with {unhandled}")


async def crash(error: BaseException) -> None:
    await trio.lowlevel.checkpoint()
    raise error


async def test_members_run_finish_and_are_counted(pool: Pool) -> None:
    gate = trio.Event()
    done: list[str] = []

    async def work(name: str) -> None:
        await gate.wait()
        done.append(name)

    ann, bob = pool.start_soon("ann", work, "ann"), pool.start_soon("bob", work, "bob")
    assert (ann.name, ann.running, bob.running) == ("ann", True, True)
    assert pool.statistics().members == 2
    gate.set()
    await ann.wait()
    await bob.wait()
    await bob.wait()
    assert not ann.running
    assert sorted(done) == ["ann", "bob"]
    await wait_all_tasks_blocked()
    figures = pool.statistics()
    assert (figures.members, figures.started, figures.finished, figures.faults) == (0, 2, 2, 0)


async def test_a_crash_is_reported_and_disturbs_nobody(pool: Pool, faults: Faults) -> None:
    sibling = pool.start_soon("sibling", trio.sleep_forever)
    error = ValueError("broken")
    await pool.start_soon("ann", crash, error).wait()
    await wait_all_tasks_blocked()
    assert faults == [("ann", error)]
    assert pool.statistics().faults == 1
    assert sibling.running


async def test_a_fault_beside_a_cancellation_is_reported_too(pool: Pool, faults: Faults) -> None:
    async def cleanup_fails() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("cleanup")

    member = pool.start_soon("ann", cleanup_fails)
    await wait_all_tasks_blocked()
    member.cancel()
    await member.wait()
    await wait_all_tasks_blocked()
    ((name, error),) = faults
    assert name == "ann"
    assert isinstance(error, ExceptionGroup)


async def test_a_cancelled_member_ends_alone_even_before_it_began(pool: Pool) -> None:
    sibling = pool.start_soon("sibling", trio.sleep_forever)
    running, unborn = (pool.start_soon(name, trio.sleep_forever) for name in ("a", "b"))
    unborn.cancel()
    await unborn.wait()
    running.cancel()
    await running.wait()
    running.cancel()
    assert sibling.running
    assert pool.statistics().faults == 0


async def test_a_pool_that_does_not_run_takes_nobody() -> None:
    pool = Pool("pool")

    def refuses() -> None:
        with pytest.raises(PoolClosed):
            pool.start_soon("ann", trio.sleep_forever)
        with pytest.raises(PoolClosed):
            Logger("actor", pool, [])

    refuses()
    async with trio.open_nursery() as nursery:
        await nursery.start(pool.run)
        nursery.cancel_scope.cancel()
    refuses()


async def test_a_stop_ends_the_members_then_the_actors() -> None:
    log: list[str] = []
    pool = Pool("pool")
    async with trio.open_nursery() as nursery:
        await nursery.start(pool.run)
        idle, busy = Logger("idle", pool, log), Logger("busy", pool, log)

        async def member(name: str, cleanup: int) -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    for _ in range(cleanup):
                        await trio.lowlevel.checkpoint()
                    log.append(f"{name} gone")
                    with pytest.raises(PoolClosed):
                        pool.start_soon("new", trio.sleep_forever)
                    idle.tell_nowait(f"goodbye of {name}")

        pool.start_soon("ann", member, "ann", 2)
        pool.start_soon("bob", member, "bob", 20)
        busy.tell_nowait("wait")
        await wait_all_tasks_blocked()
        busy.tell_nowait("more")
        nursery.cancel_scope.cancel()
    assert log[:3] == ["ann gone", "idle got goodbye of ann", "bob gone"]
    assert sorted(log[3:]) in (
        ["busy stopped with ['wait', 'more']", "idle stopped with ['goodbye of bob']"],
        ["busy stopped with ['wait', 'more']", "idle got goodbye of bob", "idle stopped with []"],
    )
    assert idle.state is busy.state is ActorState.STOPPED
    assert pool.statistics().actors == pool.statistics().members == 0


async def test_a_stop_fails_the_asks_that_are_open() -> None:
    class Mute(Actor[Reply[int]]):
        async def receive(self, batch: list[Reply[int]]) -> None:
            await trio.sleep_forever()

    pool = Pool("pool")
    stopped: list[str] = []

    async def ask(actor: Mute) -> None:
        with pytest.raises(ActorStopped):
            await actor.ask(lambda reply: reply, timeout=9)
        stopped.append("asker")

    async with trio.open_nursery() as askers, trio.open_nursery() as nursery:
        await nursery.start(pool.run)
        mute = Mute("mute", pool)
        askers.start_soon(ask, mute)
        askers.start_soon(ask, mute)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert stopped == ["asker", "asker"]


async def test_a_hook_may_still_tell_an_actor_that_is_not_stopped_yet() -> None:
    log: list[str] = []

    class First(Logger):
        def on_stop(self, unhandled: list[str]) -> None:
            second.tell_nowait("last words")

    pool = Pool("pool")
    async with trio.open_nursery() as nursery:
        await nursery.start(pool.run)
        First("first", pool, log)
        second = Logger("second", pool, log)
        nursery.cancel_scope.cancel()
    assert log == ["second stopped with ['last words']"]


async def test_a_pool_cancelled_before_it_ran_stops_all_the_same() -> None:
    pool = Pool("pool")
    with trio.CancelScope() as scope:
        scope.cancel()
        await pool.run()
    assert scope.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.cancel_scope.cancel()
        nursery.start_soon(pool.run)
    assert pool.tree().state == "stopped"


async def test_an_interrupt_passes_after_the_members_had_their_cleanup() -> None:
    log: list[str] = []
    pool = Pool("pool")

    async def member() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.lowlevel.checkpoint()
                log.append("member gone")

    async def scene() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(pool.run)
            Logger("actor", pool, log)
            pool.start_soon("ann", member)
            pool.start_soon("bob", crash, KeyboardInterrupt())

    with pytest.raises(BaseExceptionGroup) as caught:
        await scene()
    assert caught.value.subgroup(KeyboardInterrupt) is not None
    assert log == ["member gone", "actor stopped with []"]
    assert pool.statistics().faults == 0


async def test_an_interrupt_out_of_an_actor_passes_too() -> None:
    class Interrupted(Logger):
        async def receive(self, batch: list[str]) -> None:
            raise KeyboardInterrupt

    log: list[str] = []
    pool = Pool("pool")

    async def scene() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(pool.run)
            pool.start_soon("ann", trio.sleep_forever)
            Interrupted("actor", pool, log).tell_nowait("go")

    with pytest.raises(BaseExceptionGroup) as caught:
        await scene()
    assert caught.value.subgroup(KeyboardInterrupt) is not None
    assert log == ["actor stopped with ['go']"]


async def test_a_pool_may_run_again_but_not_twice_at_once() -> None:
    pool = Pool("pool")
    for _ in range(2):
        async with trio.open_nursery() as nursery:
            await nursery.start(pool.run)
            with pytest.raises(RuntimeError, match="running already"):
                await pool.run()
            await pool.start_soon("ann", trio.lowlevel.checkpoint).wait()
            nursery.cancel_scope.cancel()
    assert pool.statistics().started == 2


async def test_a_pool_describes_some_of_what_lives_in_it(pool: Pool) -> None:
    pool.start_soon("ann", trio.sleep_forever)
    for number in range(3):
        Logger(f"actor {number}", pool, [])
    node = pool.tree(max_children=2)
    assert (node.name, node.kind, node.state) == ("pool", "pool", "running")
    assert [(child.name, child.kind) for child in node.children] == [
        ("ann", "member"),
        ("actor 0", "actor"),
    ]
    assert node.omitted == 2
    assert node.detail == {"members": 1, "actors": 3, "started": 1, "faults": 0}


async def test_who_waits_for_a_member_waits_until_it_has_finished(pool: Pool) -> None:
    gate = trio.Event()
    member = pool.start_soon("ann", gate.wait)
    waited: list[str] = []

    async def wait() -> None:
        await member.wait()
        waited.append("ann")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        assert waited == []
        gate.set()
    await member.wait()


async def test_every_crash_counts(pool: Pool, faults: Faults) -> None:
    for number in (1, 2):
        await pool.start_soon(f"member {number}", crash, ValueError()).wait()
    await wait_all_tasks_blocked()
    assert pool.statistics().faults == len(faults) == 2


async def test_tasks_are_called_like_the_members_and_actors_they_work_for(pool: Pool) -> None:
    names: list[str] = []

    class Named(Actor[int]):
        async def receive(self, batch: list[int]) -> None:
            names.append(trio.lowlevel.current_task().name)

    async def member() -> None:
        names.append(trio.lowlevel.current_task().name)

    await pool.start_soon("ann", member).wait()
    await Named("actor", pool).tell(1)
    await wait_all_tasks_blocked()
    assert names == ["ann", "actor"]


async def test_when_something_passes_no_member_starts_another_in_its_cleanup() -> None:
    pool = Pool("pool")
    states: list[str] = []

    async def member() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with pytest.raises(PoolClosed, match="pool pool"):
                pool.start_soon("late", trio.sleep_forever)
            states.append(pool.tree().state)

    async def scene() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(pool.run)
            for number in range(20):
                pool.start_soon(f"member {number}", member)
            pool.start_soon("bob", crash, KeyboardInterrupt())

    with pytest.raises(BaseExceptionGroup):
        await scene()
    assert states == ["stopping"] * 20
