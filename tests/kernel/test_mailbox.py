from __future__ import annotations

import gc
from collections import deque

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.kernel import ActorStopped, Mailbox, MailboxFull


def test_messages_come_out_in_order_and_in_batches() -> None:
    mailbox: Mailbox[int] = Mailbox(5)
    for message in range(5):
        mailbox.put_nowait(message)
    assert mailbox.take_nowait(2) == [0, 1]
    assert mailbox.take_nowait(10) == [2, 3, 4]
    assert mailbox.take_nowait(1) == []


def test_a_full_mailbox_refuses_and_counts() -> None:
    mailbox: Mailbox[int] = Mailbox(1, "ann")
    mailbox.put_nowait(1)
    with pytest.raises(MailboxFull, match="ann: 1 messages"):
        mailbox.put_nowait(2)
    assert len(mailbox) == 1
    assert mailbox.statistics().refused == 1


def test_a_reply_is_never_refused_for_want_of_room() -> None:
    mailbox: Mailbox[int] = Mailbox(1)
    mailbox.put_nowait(1)
    mailbox.put_reply(2)
    assert mailbox.take_nowait(9) == [1, 2]


def test_a_closed_mailbox_returns_what_was_left_once_and_takes_nothing() -> None:
    mailbox: Mailbox[int] = Mailbox(2)
    mailbox.put_nowait(1)
    assert mailbox.close() == [1]
    assert mailbox.close() == []
    assert len(mailbox) == 0
    for put in (mailbox.put_nowait, mailbox.put_reply):
        with pytest.raises(ActorStopped):
            put(2)


@pytest.mark.parametrize("capacity", [0, -1])
def test_a_mailbox_without_room_makes_no_sense(capacity: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Mailbox[int](capacity)


def test_a_batch_of_nothing_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Mailbox[int](1).take_nowait(0)


def test_an_empty_mailbox_holds_no_container() -> None:
    mailbox: Mailbox[int] = Mailbox(2)
    for limit in (1, 2):
        mailbox.put_nowait(1)
        mailbox.take_nowait(limit)
        assert not any(isinstance(held, deque) for held in gc.get_referents(mailbox))


async def test_put_waits_for_room_in_the_order_of_waiting() -> None:
    mailbox: Mailbox[int] = Mailbox(2)
    done: list[int] = []

    async def put(message: int) -> None:
        await mailbox.put(message)
        done.append(message)

    async with trio.open_nursery() as nursery:
        for message in range(5):
            nursery.start_soon(put, message)
            await wait_all_tasks_blocked()
        assert done == [0, 1]
        assert mailbox.statistics().waiting_senders == 3
        assert mailbox.take_nowait(1) == [0]
        await wait_all_tasks_blocked()
        assert done == [0, 1, 2]
        assert mailbox.take_nowait(2) == [1, 2]
        assert mailbox.take_nowait(2) == [3, 4]
        await wait_all_tasks_blocked()
        assert sorted(done) == [0, 1, 2, 3, 4]


async def test_nobody_overtakes_those_who_wait_for_room() -> None:
    mailbox: Mailbox[str] = Mailbox(1)
    mailbox.put_nowait("first")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.put, "waiting")
        await wait_all_tasks_blocked()
        assert mailbox.take_nowait(1) == ["first"]
        with pytest.raises(MailboxFull):
            mailbox.put_nowait("late")
        assert mailbox.take_nowait(1) == ["waiting"]


async def test_replies_beyond_the_capacity_leave_no_room_for_those_who_wait() -> None:
    mailbox: Mailbox[int] = Mailbox(1)
    mailbox.put_nowait(1)
    mailbox.put_reply(2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.put, 3)
        await wait_all_tasks_blocked()
        assert mailbox.take_nowait(1) == [1]
        assert mailbox.statistics().waiting_senders == 1
        assert mailbox.take_nowait(1) == [2]
        assert mailbox.take_nowait(1) == [3]


async def test_a_cancelled_put_has_not_put_and_leaves_its_place_to_the_next() -> None:
    mailbox: Mailbox[int] = Mailbox(1)
    mailbox.put_nowait(0)
    scope = trio.CancelScope()

    async def put_cancelled() -> None:
        with scope:
            await mailbox.put(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(put_cancelled)
        await wait_all_tasks_blocked()
        nursery.start_soon(mailbox.put, 2)
        await wait_all_tasks_blocked()
        scope.cancel()
        await wait_all_tasks_blocked()
        assert scope.cancelled_caught
        assert mailbox.take_nowait(9) == [0]
        assert mailbox.take_nowait(9) == [2]
    assert mailbox.statistics().accepted == 2


async def test_the_only_one_who_waited_may_give_up_and_the_next_waits_as_well() -> None:
    mailbox: Mailbox[int] = Mailbox(1)
    mailbox.put_nowait(0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.put, 1)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert mailbox.statistics().waiting_senders == 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.put, 2)
        await wait_all_tasks_blocked()
        assert mailbox.statistics().waiting_senders == 1
        assert mailbox.take_nowait(9) == [0]
    assert mailbox.take_nowait(9) == [2]


async def test_a_put_in_a_cancelled_scope_has_not_put_although_there_is_room() -> None:
    mailbox: Mailbox[int] = Mailbox(1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await mailbox.put(1)
    assert scope.cancelled_caught
    assert len(mailbox) == 0


async def test_a_put_that_was_let_in_is_done_even_when_cancelled_in_the_same_moment() -> None:
    mailbox: Mailbox[int] = Mailbox(1)
    mailbox.put_nowait(0)
    scope = trio.CancelScope()

    async def put() -> None:
        with scope:
            await mailbox.put(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(put)
        await wait_all_tasks_blocked()
        mailbox.take_nowait(1)
        scope.cancel()
    assert not scope.cancelled_caught
    assert mailbox.take_nowait(1) == [1]


async def test_close_wakes_all_who_wait_with_actor_stopped() -> None:
    mailbox: Mailbox[int] = Mailbox(1)
    mailbox.put_nowait(0)
    stopped: list[int] = []

    async def put(message: int) -> None:
        with pytest.raises(ActorStopped):
            await mailbox.put(message)
        stopped.append(message)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(put, 1)
        nursery.start_soon(put, 2)
        await wait_all_tasks_blocked()
        assert mailbox.close() == [0]
    assert sorted(stopped) == [1, 2]
    with pytest.raises(ActorStopped):
        await mailbox.put(3)


async def test_a_put_that_was_let_in_before_the_close_is_done() -> None:
    mailbox: Mailbox[int] = Mailbox(1)
    mailbox.put_nowait(0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.put, 1)
        await wait_all_tasks_blocked()
        assert mailbox.take_nowait(1) == [0]
        assert mailbox.close() == [1]


class MailboxMachine(RuleBasedStateMachine):
    """The operations that do not wait, against a deque."""

    @initialize(capacity=st.integers(1, 4))
    def begin(self, capacity: int) -> None:
        self.mailbox: Mailbox[int] = Mailbox(capacity)
        self.model: deque[int] = deque()
        self.capacity = capacity
        self.closed = False
        self.accepted = self.refused = self.high = 0

    def put_into_model(self, message: int) -> None:
        self.model.append(message)
        self.accepted += 1
        self.high = max(self.high, len(self.model))

    @rule(message=st.integers())
    def put(self, message: int) -> None:
        if self.closed:
            with pytest.raises(ActorStopped):
                self.mailbox.put_nowait(message)
        elif len(self.model) >= self.capacity:
            with pytest.raises(MailboxFull):
                self.mailbox.put_nowait(message)
            self.refused += 1
        else:
            self.mailbox.put_nowait(message)
            self.put_into_model(message)

    @rule(message=st.integers())
    def reply(self, message: int) -> None:
        if self.closed:
            with pytest.raises(ActorStopped):
                self.mailbox.put_reply(message)
        else:
            self.mailbox.put_reply(message)
            self.put_into_model(message)

    @rule(limit=st.integers(1, 5))
    def take(self, limit: int) -> None:
        expected = [self.model.popleft() for _ in range(min(limit, len(self.model)))]
        assert self.mailbox.take_nowait(limit) == expected

    @rule()
    def close(self) -> None:
        assert self.mailbox.close() == list(self.model)
        self.model.clear()
        self.closed = True

    @invariant()
    def figures_agree(self) -> None:
        figures = self.mailbox.statistics()
        assert figures.size == len(self.mailbox) == len(self.model)
        assert (figures.capacity, figures.waiting_senders) == (self.capacity, 0)
        assert (figures.accepted, figures.refused) == (self.accepted, self.refused)
        assert figures.high_watermark == self.high
        assert self.mailbox.full == (len(self.model) >= self.capacity)


TestMailboxMachine = MailboxMachine.TestCase

operations = st.lists(
    st.one_of(
        st.just(("put", 0)),
        st.just(("reply", 0)),
        st.tuples(st.just("take"), st.integers(1, 3)),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(capacity=st.integers(1, 3), script=operations)
def test_senders_that_wait_behave_like_a_queue_before_the_queue(
    capacity: int, script: list[tuple[str, int]]
) -> None:
    mailbox: Mailbox[int] = Mailbox(capacity)
    inside: deque[int] = deque()
    waiting: deque[int] = deque()
    scopes: dict[int, trio.CancelScope] = {}
    done: set[int] = set()

    async def put(message: int) -> None:
        with scopes[message]:
            await mailbox.put(message)
            done.add(message)

    async def play() -> None:
        async with trio.open_nursery() as nursery:
            expected_done: set[int] = set()
            for message, (operation, argument) in enumerate(script):
                if operation == "put":
                    scopes[message] = trio.CancelScope()
                    nursery.start_soon(put, message)
                    waiting.append(message)
                elif operation == "reply":
                    mailbox.put_reply(message)
                    inside.append(message)
                elif operation == "take":
                    expected = [inside.popleft() for _ in range(min(argument, len(inside)))]
                    assert mailbox.take_nowait(argument) == expected
                elif argument < len(waiting):
                    scopes[waiting[argument]].cancel()
                    del waiting[argument]
                while waiting and len(inside) < capacity:
                    expected_done.add(waiting[0])
                    inside.append(waiting.popleft())
                await wait_all_tasks_blocked()
                assert done == expected_done
                assert mailbox.statistics().waiting_senders == len(waiting)
                assert len(mailbox) == len(inside)
            nursery.cancel_scope.cancel()
        assert mailbox.close() == list(inside)

    trio.run(play)
