from __future__ import annotations

from contextvars import ContextVar

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.kernel import (
    Actor,
    ActorState,
    MailboxFull,
    Pool,
)
from tests.kernel.actors import Recorder

# Messages and batches


async def test_an_idle_actor_wakes_for_the_first_message_and_sleeps_when_done(pool: Pool) -> None:
    actor = Recorder(pool)
    assert actor.state is ActorState.IDLE
    actor.tell_nowait(1)
    actor.tell_nowait(2)
    assert actor.statistics().state is ActorState.RUNNING
    await wait_all_tasks_blocked()
    assert actor.state is ActorState.IDLE
    assert actor.batches == [[1, 2]]
    actor.tell_nowait(3)
    await wait_all_tasks_blocked()
    assert actor.batches == [[1, 2], [3]]
    assert actor.statistics().batches == 2


async def test_a_burst_does_not_belong_to_whoever_woke_the_actor(pool: Pool) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="nobody's")
    found: list[str] = []

    class Looker(Actor[int]):
        async def receive(self, batch: list[int]) -> None:
            found.append(variable.get())

    looker = Looker("looker", pool)
    token = variable.set("a request's")
    await looker.tell(1)
    await wait_all_tasks_blocked()
    variable.reset(token)
    assert found == ["nobody's"]


async def test_a_batch_is_limited_and_keeps_the_order(pool: Pool) -> None:
    class Small(Recorder):
        batch_limit = 2

    actor = Small(pool)
    for message in range(5):
        actor.tell_nowait(message)
    await wait_all_tasks_blocked()
    assert actor.batches == [[0, 1], [2, 3], [4]]


async def test_an_actor_that_always_has_work_lets_others_run(pool: Pool) -> None:
    class Busy(Actor[int]):
        async def receive(self, batch: list[int]) -> None:
            self.tell_nowait(1)

    actor = Busy("busy", pool)
    actor.tell_nowait(1)
    for _ in range(3):
        await trio.lowlevel.checkpoint()
    assert actor.statistics().batches >= 1
    assert actor.state is ActorState.RUNNING
    actor.stop()
    await wait_all_tasks_blocked()


async def test_tell_waits_for_room_and_tell_nowait_refuses(pool: Pool) -> None:
    gate = trio.Event()
    actor = Recorder(pool, capacity=1, gate=gate)
    actor.tell_nowait(1)
    await wait_all_tasks_blocked()  # 1 is in hand
    await actor.tell(2)
    with pytest.raises(MailboxFull, match="recorder"):
        actor.tell_nowait(99)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.tell, 3)
        await wait_all_tasks_blocked()
        assert actor.statistics().mailbox.waiting_senders == 1
        gate.set()
    await wait_all_tasks_blocked()
    assert actor.batches == [[1], [2], [3]]
    assert actor.state is ActorState.IDLE


async def test_a_cancelled_tell_has_not_sent(pool: Pool) -> None:
    actor = Recorder(pool)
    with trio.CancelScope() as scope:
        scope.cancel()
        await actor.tell(1)
    await wait_all_tasks_blocked()
    assert scope.cancelled_caught
    assert actor.batches == []


async def test_a_reply_finds_room_in_a_full_mailbox_and_wakes_an_idle_actor(pool: Pool) -> None:
    actor = Recorder(pool, capacity=1)
    actor.tell_nowait(1)
    actor.reply_nowait(2)
    await wait_all_tasks_blocked()
    actor.reply_nowait(3)
    await wait_all_tasks_blocked()
    assert actor.batches == [[1, 2], [3]]


@settings(deadline=None)
@given(
    script=st.lists(
        st.tuples(st.sampled_from(["nowait", "wait", "reply", "yield"]), st.integers(0, 3)),
        max_size=30,
    ),
    capacity=st.integers(1, 4),
)
def test_an_actor_never_runs_twice_at_once_and_handles_everything_in_order(
    script: list[tuple[str, int]], capacity: int
) -> None:
    class Careful(Actor[tuple[int, int]]):
        batch_limit = 3
        inside = False

        async def receive(self, batch: list[tuple[int, int]]) -> None:
            assert not self.inside
            assert batch
            self.inside = True
            for message, pauses in batch:
                for _ in range(pauses):
                    await trio.lowlevel.checkpoint()
                handled.append(message)
            self.inside = False

    handled: list[int] = []

    async def play() -> None:
        pool = Pool("pool")
        sent: list[int] = []
        async with trio.open_nursery() as nursery:
            await nursery.start(pool.run)
            actor = Careful("careful", pool, capacity)
            for number, (operation, pauses) in enumerate(script):
                try:
                    if operation == "nowait":
                        actor.tell_nowait((number, pauses))
                    elif operation == "wait":
                        await actor.tell((number, pauses))
                    elif operation == "reply":
                        actor.reply_nowait((number, pauses))
                    else:
                        await trio.lowlevel.checkpoint()
                        continue
                except MailboxFull:
                    continue
                sent.append(number)
            await wait_all_tasks_blocked()
            assert handled == sent
            assert actor.state is ActorState.IDLE
            assert pool.statistics().faults == 0
            nursery.cancel_scope.cancel()

    trio.run(play)


async def test_an_actor_describes_itself(pool: Pool) -> None:
    actor = Recorder(pool)
    actor.tell_nowait(1)
    node = actor.tree()
    assert (node.name, node.kind, node.state) == ("recorder", "actor", "running")
    assert node.detail == {"mailbox": 1, "batches": 0}
    await wait_all_tasks_blocked()


async def test_an_idle_actor_owns_no_task(pool: Pool) -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    actors = [Recorder(pool) for _ in range(100)]
    for actor in actors:
        actor.tell_nowait(1)
    await wait_all_tasks_blocked()
    assert trio.lowlevel.current_statistics().tasks_living == before
