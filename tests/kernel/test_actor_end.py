from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.kernel import (
    ActorFailed,
    ActorState,
    ActorStopped,
    Pool,
)
from tests.kernel.actors import Clerk, Question, Recorder, expect, question


async def test_a_fault_is_isolated_and_hands_back_what_is_unhandled(
    pool: Pool, faults: list[tuple[str, BaseException]]
) -> None:
    gate = trio.Event()
    actor, other = Recorder(pool, gate=gate), Recorder(pool)
    actor.crash_on = 2
    actor.tell_nowait(1)
    actor.tell_nowait(2)
    await wait_all_tasks_blocked()
    actor.tell_nowait(3)
    gate.set()
    await wait_all_tasks_blocked()
    ((error, unhandled),) = actor.ends
    assert isinstance(error, ValueError)
    assert unhandled == [1, 2, 3]
    assert faults == [("recorder", error)]
    assert actor.state is ActorState.FAILED
    other.tell_nowait(1)
    await wait_all_tasks_blocked()
    assert other.batches == [[1]]


async def test_what_receive_removed_from_the_batch_is_not_unhandled(pool: Pool) -> None:
    class Consuming(Recorder):
        async def receive(self, batch: list[int]) -> None:
            while batch:
                if batch[0] == 2:
                    raise ValueError("bad message")
                batch.pop(0)

    actor = Consuming(pool)
    for message in (1, 2, 3):
        actor.tell_nowait(message)
    await wait_all_tasks_blocked()
    assert [unhandled for _, unhandled in actor.ends] == [[2, 3]]


async def test_a_stopped_or_failed_actor_takes_nothing(pool: Pool) -> None:
    stopped, failed = Recorder(pool), Recorder(pool)
    stopped.stop()
    failed.crash_on = 1
    failed.tell_nowait(1)
    await wait_all_tasks_blocked()
    for actor in (stopped, failed):
        with pytest.raises(ActorStopped, match="recorder"):
            actor.tell_nowait(2)
        with pytest.raises(ActorStopped):
            actor.reply_nowait(2)
        with pytest.raises(ActorStopped):
            await actor.tell(2)
    clerk = Clerk(pool)
    clerk.stop()
    with pytest.raises(ActorStopped):
        await clerk.ask(question("echo"), timeout=1)


async def test_stop_waits_for_the_batch_in_hand_and_hands_back_the_rest(pool: Pool) -> None:
    gate = trio.Event()
    actor = Recorder(pool, capacity=1, gate=gate)
    actor.tell_nowait(1)
    await wait_all_tasks_blocked()
    actor.tell_nowait(2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect, ActorStopped, actor.tell(3))
        await wait_all_tasks_blocked()
        actor.stop()
        actor.stop()
    assert actor.state is ActorState.RUNNING
    assert actor.ends == []
    with pytest.raises(ActorStopped):
        actor.tell_nowait(4)
    gate.set()
    await wait_all_tasks_blocked()
    assert actor.batches == [[1]]
    assert actor.ends == [("stop", [2])]
    assert actor.statistics().state is ActorState.STOPPED


async def test_stopping_an_idle_actor_ends_it_at_once_and_only_once(pool: Pool) -> None:
    actor = Recorder(pool)
    actor.stop()
    actor.stop()
    assert actor.state is ActorState.STOPPED
    assert actor.ends == [("stop", [])]
    assert pool.statistics().actors == 0


async def test_a_stop_before_the_first_batch_hands_back_everything(pool: Pool) -> None:
    actor = Recorder(pool)
    actor.tell_nowait(1)
    actor.stop()
    await wait_all_tasks_blocked()
    assert actor.batches == []
    assert actor.ends == [("stop", [1])]


async def test_an_actor_may_stop_itself(pool: Pool) -> None:
    class Once(Recorder):
        async def receive(self, batch: list[int]) -> None:
            self.stop()
            self.stop()

    actor = Once(pool)
    actor.tell_nowait(1)
    await wait_all_tasks_blocked()
    assert actor.ends == [("stop", [])]


async def test_a_crash_while_stopping_is_a_fault_and_hands_back_everything(pool: Pool) -> None:
    gate = trio.Event()
    actor = Recorder(pool, gate=gate)
    actor.crash_on = 1
    actor.tell_nowait(1)
    await wait_all_tasks_blocked()
    actor.tell_nowait(2)
    actor.stop()
    gate.set()
    await wait_all_tasks_blocked()
    assert actor.state is ActorState.FAILED
    assert [unhandled for _, unhandled in actor.ends] == [[1, 2]]


async def test_a_hook_may_answer_and_one_that_raises_is_a_fault_of_its_own(
    pool: Pool, faults: list[tuple[str, BaseException]]
) -> None:
    class Polite(Clerk):
        def on_fault(self, error: BaseException, unhandled: list[Question]) -> None:
            unhandled[0][1].fail(InterruptedError("try again"))
            raise RuntimeError("bad hook")

    clerk = Polite(pool)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect, ActorFailed, clerk.ask(question("wait"), timeout=9))
        await wait_all_tasks_blocked()
        nursery.start_soon(expect, InterruptedError, clerk.ask(question("crash"), timeout=9))
        await wait_all_tasks_blocked()
        clerk.gate.set()
    assert [(name, str(error)) for name, error in faults] == [
        ("clerk", "a fault"),
        ("clerk", "bad hook"),
    ]
