"""What every store of channel accounts does: one node holds an account, and nothing comes twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_storage.ports.audit import SHELL
from chat4all_storage.ports.channel_accounts import Backlog

from .builders import ACCOUNT, LEASE, NODE, delivery, incoming

if TYPE_CHECKING:
    from .builders import ChannelPlace


async def test_an_account_is_held_by_one_node_until_its_lease_has_run_out(
    place: ChannelPlace,
) -> None:
    assert await place.hold("one")
    assert not await place.other.accounts.hold(ACCOUNT, "other", LEASE)
    assert await place.hold("one")
    await place.later(LEASE / 2)
    assert not await place.hold("other")
    await place.later(LEASE)
    assert await place.hold("other")
    assert not await place.hold("one")


async def test_of_many_nodes_at_once_one_holds_an_account(place: ChannelPlace) -> None:
    held = []

    async def take(holder: str) -> None:
        stores = place.stores if len(holder) % 2 else place.other
        if await stores.accounts.hold(ACCOUNT, holder, LEASE):
            held.append(holder)

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(take, "node" * number)
    (state,) = await place.stores.accounts.states()
    assert held == [state.holder]


async def test_what_was_let_go_is_taken_at_once_and_only_its_holder_lets_go(
    place: ChannelPlace,
) -> None:
    await place.hold("one")
    await place.stores.accounts.let_go(ACCOUNT, "other")
    assert not await place.hold("other")
    await place.stores.accounts.let_go(ACCOUNT, "one")
    assert await place.hold("other")


async def test_what_a_node_that_is_gone_was_sending_is_unknown(place: ChannelPlace) -> None:
    new, waiting = delivery("7"), delivery("8")
    await place.begun(new)
    await place.stores.deliveries.add([waiting])
    await place.later(2 * LEASE)
    assert await place.hold("other")
    assert await place.state(new) == "unknown"
    assert await place.state(waiting) == "queued"


async def test_a_lease_that_is_renewed_late_takes_nothing_from_its_holder(
    place: ChannelPlace,
) -> None:
    new = delivery()
    await place.begun(new)
    await place.later(2 * LEASE)
    assert await place.hold()
    assert await place.state(new) == "sending"


async def test_its_state_is_told_by_its_holder(place: ChannelPlace) -> None:
    await place.stores.accounts.hold(ACCOUNT, NODE, LEASE)
    await place.stores.accounts.hold("instagram", NODE, LEASE)
    await place.stores.accounts.tell_state(ACCOUNT, NODE, "degraded", "answers are late")
    await place.stores.accounts.tell_state(ACCOUNT, "other", "dead", "says who?")
    other, told = await place.stores.accounts.states()
    assert (other.account, other.state, other.detail) == ("instagram", "unknown", "")
    assert (told.account, told.holder) == (ACCOUNT, NODE)
    assert (told.state, told.detail) == ("degraded", "answers are late")
    assert abs(told.at - place.now_ms()) < 60_000
    await place.later(2 * LEASE)
    assert [each.holder for each in await place.stores.accounts.states()] == [None, None]


async def test_what_came_in_is_kept_once_and_in_its_order(place: ChannelPlace) -> None:
    accounts = place.stores.accounts
    assert await accounts.receive(ACCOUNT, incoming("b", "a")) == 2
    assert await place.other.accounts.receive(ACCOUNT, incoming("a", "c", "c")) == 1
    assert await accounts.receive("instagram", incoming("a")) == 1
    pending = await accounts.pending(ACCOUNT, 10)
    assert [each.key for each in pending] == ["b", "a", "c"]
    assert [each.body for each in pending] == [each.body for each in incoming("b", "a", "c")]
    assert [each.attempts for each in pending] == [0, 0, 0]
    assert [each.key for each in await accounts.pending(ACCOUNT, 2)] == ["b", "a"]
    assert await accounts.pending(ACCOUNT, 2, pending[0].id) == pending[1:]


async def test_what_is_done_does_not_come_again(place: ChannelPlace) -> None:
    accounts = place.stores.accounts
    await place.hold()
    await accounts.receive(ACCOUNT, incoming("a", "b"))
    first, second = await accounts.pending(ACCOUNT, 10)
    await accounts.worked(ACCOUNT, "other", [second.id])
    await accounts.worked(ACCOUNT, NODE, [first.id])
    assert [each.key for each in await accounts.pending(ACCOUNT, 10)] == ["b"]
    assert await accounts.receive(ACCOUNT, incoming("a", "b")) == 0
    assert [each.key for each in await accounts.pending(ACCOUNT, 10)] == ["b"]


async def test_what_fails_is_counted_and_can_be_put_aside_and_back(place: ChannelPlace) -> None:
    accounts = place.stores.accounts
    await place.hold()
    await accounts.receive(ACCOUNT, incoming("a", "b"))
    bad = (await accounts.pending(ACCOUNT, 1))[0]
    await accounts.failed(ACCOUNT, NODE, bad.id)
    await accounts.failed(ACCOUNT, "other", bad.id)
    assert [each.attempts for each in await accounts.pending(ACCOUNT, 10)] == [1, 0]
    await accounts.put_aside(ACCOUNT, "other", bad.id, "nobody is to have it")
    assert len(await accounts.pending(ACCOUNT, 10)) == 2
    await accounts.put_aside(ACCOUNT, NODE, bad.id, "nobody is to have it")
    assert [each.key for each in await accounts.pending(ACCOUNT, 10)] == ["b"]
    assert await accounts.put_back(ACCOUNT, SHELL) == 1
    back, _ = await accounts.pending(ACCOUNT, 10)
    assert (back.key, back.attempts) == ("a", 0)
    assert await accounts.put_back(ACCOUNT, SHELL) == 0
    assert await accounts.put_back("instagram", SHELL) == 0
    (entry,) = await place.audit.entries("channel:telegram")
    assert (entry.act, entry.actor, entry.details) == ("incoming.put_back", "shell", {"events": 1})


async def test_what_was_not_worked_on_is_counted_by_account(place: ChannelPlace) -> None:
    accounts = place.stores.accounts
    await place.hold()
    assert await accounts.backlogs() == []
    await accounts.receive("instagram", incoming("a"))
    await accounts.receive(ACCOUNT, incoming("a", "b", "c", "d"))
    done, first, second, _ = await accounts.pending(ACCOUNT, 10)
    await accounts.worked(ACCOUNT, NODE, [done.id])
    await accounts.put_aside(ACCOUNT, NODE, second.id, "the second")
    await accounts.put_aside(ACCOUNT, NODE, first.id, "the first")
    assert await accounts.backlogs() == [
        Backlog("instagram", 1, 0, None),
        Backlog(ACCOUNT, 1, 2, "the second"),
    ]
    await accounts.put_back(ACCOUNT, SHELL)
    assert (await accounts.backlogs())[1] == Backlog(ACCOUNT, 3, 0, None)


async def test_polling_goes_on_where_what_came_is_kept(place: ChannelPlace) -> None:
    accounts = place.stores.accounts
    assert await accounts.cursor(ACCOUNT) is None
    await accounts.receive(ACCOUNT, incoming("a"), "41")
    await place.hold()
    assert await place.other.accounts.cursor(ACCOUNT) == "41"
    await accounts.receive(ACCOUNT, incoming("b"))
    assert await accounts.cursor(ACCOUNT) == "41"
    await accounts.receive(ACCOUNT, [], "42")
    assert await accounts.cursor(ACCOUNT) == "42"


async def test_keys_are_forgotten_after_their_time_but_nothing_that_waits(
    place: ChannelPlace,
) -> None:
    accounts = place.stores.accounts
    await place.hold()
    await accounts.receive(ACCOUNT, incoming("done", "aside", "waits"))
    done, aside, _ = await accounts.pending(ACCOUNT, 10)
    await accounts.worked(ACCOUNT, NODE, [done.id])
    await accounts.put_aside(ACCOUNT, NODE, aside.id, "no reason")
    assert await accounts.trim(60, 10) == 0
    await place.later(120)
    assert await accounts.trim(60, 1) == 1
    assert await accounts.trim(60, 10) == 1
    assert await accounts.receive(ACCOUNT, incoming("done", "aside", "waits")) == 2
