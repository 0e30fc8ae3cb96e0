"""What came in is worked on: chats side by side, each in order, until it is done or put aside."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
import trio
import trio.testing

from chat4all_actors.channels.arrivals import TooEarly
from chat4all_actors.channels.inbound import kept
from chat4all_actors.channels.placing import Unworkable
from chat4all_actors.channels.receiving import (
    EARLY_PATIENCE,
    FILE_PAUSE,
    LIMIT,
    STORE_RETRY,
    Receiving,
)
from chat4all_connectors.errors import Throttled, Transient
from chat4all_connectors.incoming import AccountNotice, Contact, Receipt, Received
from chat4all_storage.memory.channels import memory_channels
from chat4all_storage.ports.audit import SHELL
from chat4all_storage.ports.channel_accounts import Incoming
from chat4all_storage.ports.errors import Unavailable

from .scene import ACCOUNT, wall_clock_ms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from chat4all_actors.channels.arrivals import Arrivals
    from chat4all_actors.channels.receipts import Receipts
    from chat4all_connectors.incoming import Event
    from chat4all_storage.ports.channel_accounts import Pending

HOLDER = "one"
TRIES = 3


def said(key: str, chat: str = "ana") -> Received:
    return Received(key=key, chat=chat, sender=Contact(id=chat), message=key, at=0, text=key)


def receipt(key: str, chat: str | None = "ana", reference: str | None = None) -> Receipt:
    return Receipt(key=key, chat=chat, status="read", at=0, message=key, reference=reference)


class FakeArrivals:
    """Notes what is taken; what it is to meet stands in `errors`, by key, the first first."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.again: list[str] = []
        self.last: list[str] = []
        self.errors: dict[str, list[Exception]] = {}
        self.held_up: dict[str, trio.Event] = {}

    async def take(self, event: Any, *, again: bool, last: bool) -> None:
        await trio.lowlevel.checkpoint()
        if (held_up := self.held_up.get(event.key)) is not None:
            await held_up.wait()
        self.again += [event.key] * again
        self.last += [event.key] * last
        if self.errors.get(event.key):
            raise self.errors[event.key].pop(0)
        self.taken.append(event.key)


class FakeReceipts:
    """Notes the receipts of each call."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.poison: set[str] = set()
        self.away = 0

    async def take(self, receipts: Any) -> None:
        await trio.lowlevel.checkpoint()
        if self.away:
            self.away -= 1
            raise Unavailable("away")
        keys = [each.key for each in receipts]
        if self.poison & set(keys):
            raise RuntimeError("a defect")
        self.calls.append(keys)


class Place:
    """An account whose inbox is in memory."""

    def __init__(self) -> None:
        self.stores = memory_channels(wall_clock_ms)
        self.accounts = self.stores.accounts
        self.arrivals = FakeArrivals()
        self.receipts = FakeReceipts()
        self.under_way: set[str] = set()

    async def receive(self, *events: Event) -> None:
        await self.accounts.receive(ACCOUNT, kept(events))

    async def pending(self) -> list[str]:
        return [each.key for each in await self.accounts.pending(ACCOUNT, 10_000)]

    @asynccontextmanager
    async def working(self, holder: str = HOLDER, at_once: int = 4) -> AsyncIterator[Receiving]:
        assert await self.accounts.hold(ACCOUNT, holder, 3600)
        receiving = Receiving(
            ACCOUNT,
            holder,
            accounts=self.accounts,
            arrivals=cast("Arrivals", self.arrivals),
            receipts=cast("Receipts", self.receipts),
            under_way=lambda: self.under_way,
            tries=TRIES,
            at_once=at_once,
            interval=1.0,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receiving.run)
            yield receiving
            nursery.cancel_scope.cancel()
        await self.accounts.let_go(ACCOUNT, holder)

    async def settle(self) -> None:
        await trio.testing.wait_all_tasks_blocked()


@pytest.fixture
def place() -> Place:
    return Place()


async def test_what_came_in_is_worked_on_in_order_and_gone(
    place: Place, mock_clock: MockClock
) -> None:
    await place.receive(said("1"), said("2"), said("3"))
    async with place.working() as receiving:
        await place.settle()
        assert place.arrivals.taken == ["1", "2", "3"]
        assert await place.pending() == []
        assert receiving.statistics().worked == 3


async def test_a_nudge_lets_it_look_at_once_and_else_it_looks_each_second(
    place: Place, mock_clock: MockClock
) -> None:
    async with place.working() as receiving:
        await place.settle()
        await place.receive(said("1"))
        receiving.nudge()
        await place.settle()
        assert place.arrivals.taken == ["1"]
        await place.receive(said("2"))  # by another node
        await place.settle()
        assert place.arrivals.taken == ["1"]
        mock_clock.jump(1.0)
        await place.settle()
        assert place.arrivals.taken == ["1", "2"]


async def test_a_chat_that_takes_long_holds_up_nobody_else(
    place: Place, mock_clock: MockClock
) -> None:
    place.arrivals.held_up["1"] = trio.Event()
    await place.receive(said("1", "slow"), said("2", "ana"), said("3", "slow"), said("4", "ana"))
    async with place.working():
        await place.settle()
        assert place.arrivals.taken == ["2", "4"]
        place.arrivals.held_up["1"].set()
        await place.settle()
        assert place.arrivals.taken == ["2", "4", "1", "3"]


async def test_what_was_done_while_it_was_looked_is_not_done_again(
    place: Place, mock_clock: MockClock
) -> None:
    place.arrivals.held_up["1"] = trio.Event()
    await place.receive(said("1"))
    async with place.working() as receiving:
        await place.settle()
        pending, looked = place.accounts.pending, trio.Event()

        async def slowly(account: str, limit: int, after: int = 0) -> list[Pending]:
            rows = await pending(account, limit, after)
            await looked.wait()
            return rows

        place.accounts.pending = slowly  # type: ignore[method-assign]
        receiving.nudge()
        await place.settle()
        place.arrivals.held_up.pop("1").set()
        await place.settle()
        looked.set()
        await place.settle()
        assert place.arrivals.taken == ["1"]


async def test_a_flood_in_a_chat_that_is_held_up_hides_nobody_else(
    place: Place, mock_clock: MockClock
) -> None:
    place.arrivals.held_up["first"] = trio.Event()
    await place.receive(said("first", "slow"))
    async with place.working() as receiving:
        await place.settle()
        await place.receive(*(said(f"s{number}", "slow") for number in range(LIMIT + 1)))
        await place.receive(said("mine"))
        receiving.nudge()
        await place.settle()
        assert place.arrivals.taken == ["mine"]


async def test_so_many_chats_are_worked_on_at_once_as_is_said(
    place: Place, mock_clock: MockClock
) -> None:
    for number in range(5):
        place.arrivals.held_up[str(number)] = trio.Event()
        await place.receive(said(str(number), f"chat {number}"))
    async with place.working(at_once=2):
        await place.settle()
        for number in range(5):
            place.arrivals.held_up[str(number)].set()
            await place.settle()
        assert place.arrivals.taken == [str(number) for number in range(5)]


async def test_what_fails_is_tried_again_and_keeps_its_chat_waiting(
    place: Place, autojump_clock: MockClock
) -> None:
    place.arrivals.errors["1"] = [Transient("no")]
    await place.receive(said("1"), said("2"), said("3", "bob"))
    async with place.working() as receiving:
        await trio.sleep(0.5)
        assert place.arrivals.taken == ["3"]
        await trio.sleep(1)
        assert place.arrivals.taken == ["3", "1", "2"]
        assert receiving.statistics().failed == 1


async def test_what_fails_too_often_is_put_aside_and_the_next_follows(
    place: Place, autojump_clock: MockClock
) -> None:
    place.arrivals.errors["1"] = [RuntimeError("a defect")] * TRIES
    await place.receive(said("1"), said("2"))
    async with place.working() as receiving:
        await trio.sleep(30)
        assert place.arrivals.taken == ["2"]
        assert place.arrivals.last == ["1"]
        assert receiving.statistics().put_aside == 1
        assert await place.pending() == []
        assert await place.accounts.put_back(ACCOUNT, SHELL) == 1
        receiving.nudge()
        await trio.sleep(1)
        assert place.arrivals.taken == ["2", "1"]


async def test_what_can_not_be_worked_on_is_put_aside_at_once(
    place: Place, mock_clock: MockClock
) -> None:
    place.arrivals.errors["1"] = [Unworkable("no inbox")]
    await place.receive(said("1"), said("2"))
    async with place.working() as receiving:
        await place.settle()
        assert place.arrivals.taken == ["2"]
        assert receiving.statistics().put_aside == 1


async def test_what_another_version_wrote_is_put_aside(place: Place, mock_clock: MockClock) -> None:
    await place.accounts.receive(ACCOUNT, [Incoming("x", msgspec.json.encode({"event": "new"}))])
    await place.receive(said("1"))
    async with place.working() as receiving:
        await place.settle()
        assert place.arrivals.taken == ["1"]
        assert receiving.statistics().put_aside == 1


async def test_what_is_about_something_unknown_waits_for_it_and_others_pass(
    place: Place, autojump_clock: MockClock
) -> None:
    place.arrivals.errors["edit"] = [TooEarly("not known"), TooEarly("not known")]
    await place.receive(said("edit"), said("2"))
    async with place.working():
        await trio.sleep(0.1)
        assert place.arrivals.taken == ["2"]
        assert await place.pending() == ["edit"]
        await trio.sleep(2)
        assert place.arrivals.taken == ["2", "edit"]
        assert await place.pending() == []


async def test_what_never_becomes_known_is_left_out_in_the_end(
    place: Place, autojump_clock: MockClock
) -> None:
    place.arrivals.errors["edit"] = [TooEarly("not known")] * 1000
    await place.receive(said("edit"))
    async with place.working():
        await trio.sleep(EARLY_PATIENCE - 1)
        assert await place.pending() == ["edit"]
        await trio.sleep(2)
        assert await place.pending() == []
        assert place.arrivals.taken == []


async def test_a_store_that_is_away_makes_it_wait_and_counts_for_nothing(
    place: Place, autojump_clock: MockClock
) -> None:
    place.arrivals.errors["1"] = [Unavailable("away")] * (TRIES + 2)
    await place.receive(said("1"), said("2"))
    async with place.working() as receiving:
        await trio.sleep((TRIES + 3) * STORE_RETRY)
        assert place.arrivals.taken == ["1", "2"]
        assert receiving.statistics().failed == 0


async def test_a_provider_that_wants_to_be_left_alone_costs_no_try(
    place: Place, autojump_clock: MockClock
) -> None:
    place.arrivals.errors["1"] = [Throttled("slowly")] * (TRIES + 2)
    await place.receive(said("1"))
    async with place.working() as receiving:
        await trio.sleep((TRIES + 3) * (FILE_PAUSE + 1))
        assert place.arrivals.taken == ["1"]
        assert receiving.statistics().failed == 0


async def test_what_a_former_holder_may_have_done_is_known_to_be_so(
    place: Place, mock_clock: MockClock
) -> None:
    await place.receive(said("1"), said("2", "bob"))
    async with place.working() as receiving:
        await place.settle()
        await place.receive(said("3"))
        receiving.nudge()
        await place.settle()
        assert sorted(place.arrivals.taken) == ["1", "2", "3"]
        assert sorted(place.arrivals.again) == ["1", "2"]


async def test_what_failed_half_way_is_done_again_as_such(
    place: Place, autojump_clock: MockClock
) -> None:
    async with place.working() as receiving:
        await trio.sleep(0.1)
        place.arrivals.errors["1"] = [Unavailable("away")]
        await place.receive(said("1"))
        receiving.nudge()
        await trio.sleep(3)
        assert place.arrivals.taken == ["1"]
        assert place.arrivals.again == ["1"]


async def test_a_notice_of_the_account_has_no_chat_to_wait_for(
    place: Place, mock_clock: MockClock
) -> None:
    await place.receive(AccountNotice(key="n", at=0, severity="info", text="news"))
    async with place.working():
        await place.settle()
        assert place.arrivals.taken == ["n"]


# --- receipts


async def test_receipts_are_taken_together(place: Place, mock_clock: MockClock) -> None:
    await place.receive(receipt("r1"), said("1"), receipt("r2", "bob"))
    async with place.working():
        await place.settle()
        assert place.receipts.calls == [["r1", "r2"]]
        assert await place.pending() == []


async def test_a_receipt_that_came_before_its_call_returned_is_taken_again(
    place: Place, autojump_clock: MockClock
) -> None:
    place.under_way = {"ana"}
    await place.receive(receipt("r1"), receipt("r2", "bob"), receipt("r3", "ana", "c4a-1"))
    async with place.working():
        await trio.sleep(0.1)
        assert place.receipts.calls == [["r1", "r2", "r3"]]
        assert await place.pending() == ["r1"]
        await trio.sleep(1)
        assert await place.pending() == ["r1"]
        place.under_way = set()
        await trio.sleep(1)
        assert place.receipts.calls[-1] == ["r1"]
        assert await place.pending() == []


async def test_a_receipt_waits_no_longer_than_a_while_for_a_chat_that_is_always_sent_to(
    place: Place, autojump_clock: MockClock
) -> None:
    place.under_way = {"ana"}
    await place.receive(receipt("r1", None))
    async with place.working():
        await trio.sleep(EARLY_PATIENCE + 2)
        assert await place.pending() == []


async def test_of_receipts_that_fail_the_one_at_fault_is_put_aside(
    place: Place, mock_clock: MockClock
) -> None:
    place.receipts.poison = {"bad"}
    await place.receive(receipt("r1"), receipt("bad"), receipt("r2"))
    async with place.working() as receiving:
        await place.settle()
        assert place.receipts.calls == [["r1"], ["r2"]]
        assert receiving.statistics().put_aside == 1
        assert await place.pending() == []


async def test_receipts_wait_for_their_store(place: Place, autojump_clock: MockClock) -> None:
    place.receipts.away = 2
    await place.receive(receipt("r1"), said("1"))
    async with place.working():
        await trio.sleep(3 * STORE_RETRY)
        assert place.receipts.calls == [["r1"]]
        assert place.arrivals.taken == ["1"]
