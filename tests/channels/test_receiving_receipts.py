"""Receipts are taken together, and once more if they may have come too early."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from chat4all_actors.channels.receiving import (
    EARLY_PATIENCE,
    STORE_RETRY,
)

from .inbox import Place, receipt, said

if TYPE_CHECKING:
    from trio.testing import MockClock


@pytest.fixture
def place() -> Place:
    return Place()


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
