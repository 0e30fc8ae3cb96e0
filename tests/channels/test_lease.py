"""Holding an account on one node at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
import trio.testing

from chat4all_actors.channels.lease import Lease
from chat4all_storage.memory.audit import MemoryAudit
from chat4all_storage.memory.channel_accounts import MemoryChannelAccounts
from chat4all_storage.ports.errors import Unavailable
from tests.channels.scene import ACCOUNT, wall_clock_ms

if TYPE_CHECKING:
    from trio.testing import MockClock

LEASE = 30.0


class Accounts(MemoryChannelAccounts):
    """Which can be out of reach."""

    def __init__(self) -> None:
        super().__init__(MemoryAudit(wall_clock_ms), wall_clock_ms)
        self.away = False

    async def hold(self, account: str, holder: str, seconds: float) -> bool:
        if self.away:
            raise Unavailable("away")
        return await super().hold(account, holder, seconds)

    async def let_go(self, account: str, holder: str) -> None:
        if self.away:
            raise Unavailable("away")
        await super().let_go(account, holder)


class Work:
    """Notes when it is done, and under which names."""

    def __init__(self) -> None:
        self.holders: list[str] = []
        self.ended: list[float] = []

    async def __call__(self, holder: str) -> None:
        self.holders.append(holder)
        try:
            await trio.sleep_forever()
        finally:
            self.ended.append(trio.current_time())


def lease(accounts: Accounts, node: str) -> Lease:
    return Lease(accounts, ACCOUNT, node, seconds=LEASE)


async def test_one_node_works_for_as_long_as_it_can_renew(autojump_clock: MockClock) -> None:
    accounts, first, second = Accounts(), Work(), Work()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lease(accounts, "a").run, first)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(lease(accounts, "b").run, second)
        await trio.sleep(100 * LEASE)
        assert (len(first.holders), len(second.holders)) == (1, 0)
        nursery.cancel_scope.cancel()


async def test_who_stops_lets_go_so_that_another_node_takes_it_soon(
    autojump_clock: MockClock,
) -> None:
    accounts, first, second = Accounts(), Work(), Work()
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(5):
            await lease(accounts, "a").run(first)
        nursery.start_soon(lease(accounts, "b").run, second)
        await trio.testing.wait_all_tasks_blocked()
        assert second.holders
        nursery.cancel_scope.cancel()


async def test_who_cannot_renew_stops_before_another_node_can_take_it(
    autojump_clock: MockClock,
) -> None:
    accounts, first = Accounts(), Work()
    held = lease(accounts, "a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(held.run, first)
        await trio.sleep(1)
        assert held.holder == first.holders[0]
        accounts.away = True
        await trio.sleep(LEASE)
        assert first.ended
        assert first.ended[0] < LEASE
        assert held.holder is None
        nursery.cancel_scope.cancel()


async def test_each_holding_has_its_own_name_as_the_former_one_may_have_been_sending(
    autojump_clock: MockClock,
) -> None:
    accounts, first = Accounts(), Work()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lease(accounts, "a").run, first)
        await trio.sleep(1)
        accounts.away = True
        await trio.sleep(2 * LEASE)
        accounts.away = False
        await trio.sleep(2 * LEASE)
        nursery.cancel_scope.cancel()
    one, other = first.holders
    assert one != other


async def test_a_node_that_lost_the_account_stops_at_its_next_renewal(
    autojump_clock: MockClock,
) -> None:
    accounts, first = Accounts(), Work()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lease(accounts, "a").run, first)
        await trio.sleep(1)
        await accounts.let_go(ACCOUNT, first.holders[0])
        await accounts.hold(ACCOUNT, "thief", 1000)
        await trio.sleep(LEASE / 3)
        assert first.ended
        nursery.cancel_scope.cancel()
