from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.kernel import (
    ActorState,
    ActorStopped,
    Pool,
)
from tests.kernel.actors import Stepper


async def test_an_idle_actor_handles_at_once_what_need_not_be_awaited(pool: Pool) -> None:
    actor = Stepper(pool)
    tasks = trio.lowlevel.current_statistics().tasks_living
    actor.tell_nowait(1)
    actor.reply_nowait(2)
    await actor.tell(3)
    assert actor.stepped == [1, 2, 3]
    assert actor.state is ActorState.IDLE
    assert actor.statistics().batches == 3
    assert trio.lowlevel.current_statistics().tasks_living == tasks


async def test_what_has_to_be_awaited_comes_in_a_burst_and_nothing_passes_it(pool: Pool) -> None:
    gate = trio.Event()
    actor = Stepper(pool, gate=gate)
    actor.tell_nowait(10)
    actor.tell_nowait(1)
    await wait_all_tasks_blocked()
    actor.tell_nowait(2)
    gate.set()
    await wait_all_tasks_blocked()
    assert actor.stepped == []
    assert actor.batches == [[10, 1], [2]]


async def test_what_is_told_in_a_step_is_handled_after_it(pool: Pool) -> None:
    actor = Stepper(pool)

    def tell_itself() -> None:
        actor.during = None
        assert actor.state is ActorState.RUNNING
        actor.tell_nowait(2)
        assert actor.stepped == []

    actor.during = tell_itself
    actor.tell_nowait(1)
    assert actor.stepped == [1]
    await wait_all_tasks_blocked()
    assert actor.batches == [[2]]
    assert actor.state is ActorState.IDLE


async def test_a_fault_in_a_step_is_the_actors_and_not_the_tellers(
    pool: Pool, faults: list[tuple[str, BaseException]]
) -> None:
    actor = Stepper(pool)
    actor.crash_on = 1
    actor.during = lambda: actor.tell_nowait(2)
    actor.tell_nowait(1)
    ((error, unhandled),) = actor.ends
    assert isinstance(error, ValueError)
    assert unhandled == [1, 2]
    assert faults == [("recorder", error)]
    assert actor.state is ActorState.FAILED
    with pytest.raises(ActorStopped):
        actor.tell_nowait(3)


async def test_an_interrupt_in_a_step_reaches_the_teller_and_ends_the_actor(pool: Pool) -> None:
    actor = Stepper(pool)

    def interrupt() -> None:
        raise KeyboardInterrupt

    actor.during = interrupt
    with pytest.raises(KeyboardInterrupt):
        actor.tell_nowait(1)
    assert actor.state is ActorState.STOPPED
    assert actor.ends == [("stop", [1])]


async def test_an_actor_that_stops_in_a_step_ends_after_it(pool: Pool) -> None:
    actor = Stepper(pool)

    def stop() -> None:
        actor.tell_nowait(2)
        actor.stop()
        assert actor.ends == []

    actor.during = stop
    actor.tell_nowait(1)
    assert actor.stepped == [1]
    assert actor.ends == [("stop", [2])]
