from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.config import Settings
from chat4all_actors.edge.doorkeeper import RETRY_AFTER, Doorkeeper
from chat4all_actors.edge.http.errors import Refused
from chat4all_actors.edge.patience import STOP_PATIENCE, Patience
from chat4all_actors.limits.limits import Limits

if TYPE_CHECKING:
    from trio.testing import MockClock

ADDRESS = "192.0.2.1"
OTHER = "198.51.100.1"


class Door:
    """A doorkeeper, and the places that are taken."""

    def __init__(self, **settings: Any) -> None:
        chosen = Settings(**({"handshake_rate": 0, "rate_handshakes_per_minute": 0} | settings))
        self.limits = Limits(chosen)
        self.patience = Patience()
        self.keeper = Doorkeeper(chosen, self.limits, self.patience)

    async def refused(self, address: str = ADDRESS) -> tuple[int, float | None]:
        with pytest.raises(Refused) as caught:
            await self.keeper.let_in(address)
        return caught.value.status, caught.value.retry_after

    async def places(self, address: str = ADDRESS, most: int = 2) -> int:
        """How many more this address may have; they are taken."""
        for taken in range(most):
            try:
                await self.keeper.let_in(address)
            except Refused:
                return taken
        return most


async def test_an_address_has_so_many_at_a_time_and_a_place_that_is_left_is_free() -> None:
    door = Door(max_connections_per_address=2)
    assert await door.places() == 2
    assert await door.refused() == (429, RETRY_AFTER)
    assert await door.places(OTHER) == 2
    door.keeper.leave(ADDRESS)
    assert await door.places() == 1
    assert door.keeper.refused == 2


async def test_an_address_that_begins_too_many_is_told_when_to_come_back_and_has_no_place(
    autojump_clock: MockClock,
) -> None:
    door = Door(
        max_connections_per_address=2, rate_handshakes_per_minute=60, rate_handshakes_burst=1
    )
    await door.keeper.let_in(ADDRESS)
    status, retry_after = await door.refused()
    assert status == 429
    assert retry_after is not None
    assert 0 < retry_after <= 1
    assert door.keeper.refused == 1
    await trio.sleep(retry_after)
    await door.keeper.let_in(ADDRESS)
    assert await door.refused() == (429, RETRY_AFTER)  # both places are taken


async def test_those_beyond_the_rate_wait_for_their_turn_and_others_are_told_to_come_back(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    door = Door(handshake_rate=1, handshake_burst=1, handshake_patience=1.0)
    began = trio.current_time()
    let_in: list[float] = []

    async def come() -> None:
        await door.keeper.let_in(ADDRESS)
        let_in.append(trio.current_time() - began)

    nursery.start_soon(come)
    nursery.start_soon(come)
    await wait_all_tasks_blocked()
    status, retry_after = await door.refused(OTHER)
    assert status == 503
    assert retry_after is not None
    assert 1 <= retry_after <= 2
    assert door.keeper.refused == 1
    await trio.sleep(1.5)
    assert let_in == [0, 1]


async def test_who_waits_when_the_node_stops_is_sent_away_and_has_no_place(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    door = Door(
        max_connections_per_address=1,
        handshake_rate=0.1,
        handshake_burst=1,
        handshake_patience=60.0,
    )
    await door.keeper.let_in(OTHER)
    answers: list[tuple[tuple[int, float | None], float]] = []

    async def come() -> None:
        answers.append((await door.refused(), trio.current_time()))

    nursery.start_soon(come)
    await wait_all_tasks_blocked()
    stopped = trio.current_time()
    door.patience.end()
    await trio.sleep(STOP_PATIENCE * 2)
    assert answers == [((503, RETRY_AFTER), stopped + STOP_PATIENCE)]
    assert door.keeper.refused == 0  # not for there being too many
    assert door.limits.connections.enter(ADDRESS)


async def test_nobody_has_a_place_who_has_gone_while_waiting(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    door = Door(
        max_connections_per_address=1,
        handshake_rate=0.1,
        handshake_burst=1,
        handshake_patience=60.0,
    )
    await door.keeper.let_in(OTHER)
    with trio.move_on_after(1):
        await door.keeper.let_in(ADDRESS)
    assert door.limits.connections.enter(ADDRESS)
