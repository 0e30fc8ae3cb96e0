from __future__ import annotations

import math
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeAlias

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from chat4all_actors.kernel import (
    Actor,
    ActorFailed,
    ActorState,
    ActorStopped,
    AskTimeout,
    MailboxFull,
    Pool,
    Reply,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Message: TypeAlias = "tuple[str, Reply[str]]"


class Recorder(Actor[int]):
    """Records its batches; waits at the gate, if there is one, with a batch in hand."""

    def __init__(self, pool: Pool, capacity: int = 1024, gate: trio.Event | None = None) -> None:
        super().__init__("recorder", pool, capacity)
        self.gate = gate
        self.batches: list[list[int]] = []
        self.ends: list[tuple[object, list[int]]] = []
        self.crash_on: int | None = None

    async def receive(self, batch: list[int]) -> None:
        self.batches.append(list(batch))
        if self.gate is not None:
            await self.gate.wait()
        if self.crash_on in batch:
            raise ValueError("bad message")

    def on_fault(self, error: BaseException, unhandled: list[int]) -> None:
        self.ends.append((error, unhandled))

    def on_stop(self, unhandled: list[int]) -> None:
        self.ends.append(("stop", unhandled))


class Clerk(Actor[Message]):
    """Answers by the text of the question."""

    def __init__(self, pool: Pool, capacity: int = 1024) -> None:
        super().__init__("clerk", pool, capacity)
        self.gate = trio.Event()
        self.seen: list[Reply[str]] = []

    async def receive(self, batch: list[Message]) -> None:
        for question, reply in batch:
            self.seen.append(reply)
            if question == "echo":
                reply.resolve("echo")
            elif question == "bad input":
                reply.fail(LookupError("bad input"))
            elif question == "crash":
                raise ValueError("a fault")
            elif question == "wait":
                await self.gate.wait()


def question(text: str) -> Callable[[Reply[str]], Message]:
    return lambda reply: (text, reply)


async def expect(error: type[BaseException], ask: Awaitable[object]) -> None:
    with pytest.raises(error):
        await ask


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


# Steps: messages that need no burst


class Stepper(Recorder):
    """Handles small numbers at once, and all others in bursts."""

    def __init__(self, pool: Pool, capacity: int = 1024, gate: trio.Event | None = None) -> None:
        super().__init__(pool, capacity, gate)
        self.stepped: list[int] = []
        self.during: Callable[[], None] | None = None

    def receive_nowait(self, message: int) -> bool:
        if message >= 10:
            return False
        if self.during is not None:
            self.during()
        if message == self.crash_on:
            raise ValueError("bad message")
        self.stepped.append(message)
        return True


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


# Asking


async def test_ask_returns_the_answer_or_raises_it(pool: Pool) -> None:
    clerk = Clerk(pool)
    assert await clerk.ask(question("echo"), timeout=1) == "echo"
    with pytest.raises(LookupError, match="bad input"):
        await clerk.ask(question("bad input"), timeout=1)
    assert clerk.state is ActorState.IDLE
    assert clerk.statistics().pending_asks == 0


async def test_ask_times_out_and_a_late_answer_is_no_fault(
    pool: Pool, autojump_clock: MockClock
) -> None:
    clerk = Clerk(pool)
    begin = trio.current_time()
    with pytest.raises(AskTimeout, match=r"clerk: no answer within 2 s"):
        await clerk.ask(question("wait"), timeout=2)
    assert trio.current_time() - begin == 2
    assert clerk.statistics().pending_asks == 0
    assert not clerk.seen[0].open
    clerk.seen[0].resolve("late")


async def test_the_time_out_covers_the_wait_for_room(pool: Pool, autojump_clock: MockClock) -> None:
    clerk = Clerk(pool, capacity=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect, AskTimeout, clerk.ask(question("wait"), timeout=9))
        await wait_all_tasks_blocked()
        clerk.tell_nowait(("echo", Reply()))
        begin = trio.current_time()
        with pytest.raises(AskTimeout):
            await clerk.ask(question("echo"), timeout=2)
        assert trio.current_time() - begin == 2
        assert clerk.statistics().mailbox.waiting_senders == 0


@pytest.mark.parametrize("timeout", [0, -1, math.inf, math.nan])
async def test_an_ask_always_has_a_time_out(pool: Pool, timeout: float) -> None:
    with pytest.raises(ValueError, match="time-out"):
        await Clerk(pool).ask(question("echo"), timeout=timeout)


async def test_an_actor_without_anybody_waiting_may_find_the_reply_closed(pool: Pool) -> None:
    clerk = Clerk(pool)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clerk.ask, question("wait"), 9)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert not clerk.seen[0].open
    assert clerk.statistics().pending_asks == 0


async def test_a_crash_fails_the_asks_in_hand_and_in_the_mailbox(pool: Pool) -> None:
    clerk = Clerk(pool)
    failures: list[ActorFailed] = []

    async def ask(text: str) -> None:
        with pytest.raises(ActorFailed, match="clerk") as caught:
            await clerk.ask(question(text), timeout=9)
        failures.append(caught.value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, "wait")
        await wait_all_tasks_blocked()
        nursery.start_soon(ask, "crash")
        await wait_all_tasks_blocked()
        nursery.start_soon(ask, "ignored")
        await wait_all_tasks_blocked()
        clerk.gate.set()
    assert clerk.state is ActorState.FAILED
    assert {repr(error.__cause__) for error in failures} == {"ValueError('a fault')"}
    assert len({id(error) for error in failures}) == 3


async def test_stopping_fails_the_asks_that_are_open(pool: Pool) -> None:
    clerk = Clerk(pool)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect, ActorStopped, clerk.ask(question("wait"), timeout=9))
        await wait_all_tasks_blocked()
        nursery.start_soon(expect, ActorStopped, clerk.ask(question("echo"), timeout=9))
        await wait_all_tasks_blocked()
        clerk.stop()
        clerk.gate.set()
    assert clerk.state is ActorState.STOPPED


async def test_an_answer_given_before_the_crash_stands(pool: Pool) -> None:
    clerk = Clerk(pool)
    answers: list[str] = []

    async def ask() -> None:
        answers.append(await clerk.ask(question("echo"), timeout=9))

    async with trio.open_nursery() as nursery:
        clerk.tell_nowait(("wait", Reply()))
        await wait_all_tasks_blocked()
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        clerk.tell_nowait(("crash", Reply()))
        clerk.gate.set()
    assert answers == ["echo"]
    assert clerk.state is ActorState.FAILED


# The end


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
        def on_fault(self, error: BaseException, unhandled: list[Message]) -> None:
            unhandled[0][1].fail(InterruptedError("try again"))
            raise RuntimeError("bad hook")

    clerk = Polite(pool)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect, ActorFailed, clerk.ask(question("wait"), timeout=9))
        await wait_all_tasks_blocked()
        nursery.start_soon(expect, InterruptedError, clerk.ask(question("crash"), timeout=9))
        await wait_all_tasks_blocked()
        clerk.gate.set()
    assert [str(error) for _, error in faults] == ["a fault", "bad hook"]


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
