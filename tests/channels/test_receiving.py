"""What came in is worked on: chats side by side, each in order, until it is done or put aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
import trio
import trio.testing

from chat4all_actors.channels.arrivals import TooEarly
from chat4all_actors.channels.placing import Unworkable
from chat4all_actors.channels.receiving import (
    EARLY_PATIENCE,
    FILE_PAUSE,
    LIMIT,
    STORE_RETRY,
)
from chat4all_connectors.errors import Throttled, Transient
from chat4all_connectors.incoming import AccountNotice
from chat4all_storage.ports.audit import SHELL
from chat4all_storage.ports.channel_accounts import Incoming
from chat4all_storage.ports.errors import Unavailable

from .inbox import TRIES, Place, said
from .scene import ACCOUNT

if TYPE_CHECKING:
    from trio.testing import MockClock

    from chat4all_storage.ports.channel_accounts import Pending


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
