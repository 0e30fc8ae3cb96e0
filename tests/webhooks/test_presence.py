"""Who comes and goes is told to endpoints that ask for it: what lasts, of those they know."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_actors.webhooks.events import PRESENCES, Presence, wanted
from chat4all_actors.webhooks.presence import Coming, Onlooker
from chat4all_storage.ports.audit import SHELL
from tests.webhooks.world import BUSY, World

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from trio.testing import MockClock

LASTING = 5.0


class There:
    """Says who is there, as it is told."""

    def __init__(self, **friends: Sequence[str]) -> None:
        self._friends = friends
        self._presences: dict[str, Presence] = {}
        self._heard: Callable[[Iterable[str]], None] = lambda users: None

    def listen(self, heard: Callable[[Iterable[str]], None]) -> None:
        self._heard = heard

    def shown(self, user: str) -> Presence:
        return self._presences.get(user, Presence("offline", None))

    async def acquaintances(self, user: str, others: Collection[str]) -> set[str]:
        await trio.lowlevel.checkpoint()
        return set(others) & set(self._friends.get(user, ()))

    def become(self, user: str, presence: Presence) -> None:
        self._presences[user] = presence
        self._heard([user])


ONLINE, AWAY = Presence("online", None), Presence("away", None)


def told(world: World) -> list[tuple[str, str]]:
    """Types and users, as the endpoint took them."""
    found = [json.loads(each.body) for each in world.receiver.taken]
    return [(each["type"], each["data"]["username"]) for each in found]


def test_all_is_all_but_presences() -> None:
    assert not wanted(["*"]) & set(PRESENCES)
    assert wanted(["presence.*"]) == set(PRESENCES)
    assert wanted(["*", "presence.online"]) & set(PRESENCES) == {"presence.online"}


async def test_what_lasts_is_told_to_acquaintances(autojump_clock: MockClock) -> None:
    there = There(ann=["bob"])
    world = World(there=there, presence_damping=LASTING)
    async with world.node() as service:
        await world.add(service, "ann", "presence.*")
        await trio.sleep(1)
        there.become("bob", ONLINE)
        there.become("stranger", ONLINE)
        await trio.sleep(LASTING - 1)
        assert told(world) == []
        await trio.sleep(2)
        assert told(world) == [("presence.online", "bob")]
        there.become("bob", Presence("offline", 1_700_000_000_000))
        await trio.sleep(LASTING + 1)
        assert told(world)[1:] == [("presence.offline", "bob")]
        (_, last) = (json.loads(each.body)["data"] for each in world.receiver.taken)
        assert last == {
            "username": "bob",
            "status": "offline",
            "last_seen": "2023-11-14T22:13:20Z",
        }


async def test_what_does_not_last_is_not_told(autojump_clock: MockClock) -> None:
    there = There(ann=["bob"])
    world = World(there=there, presence_damping=LASTING)
    async with world.node() as service:
        await world.add(service, "ann", "presence.*")
        await trio.sleep(1)
        there.become("bob", ONLINE)
        await trio.sleep(LASTING + 1)
        for presence in (AWAY, ONLINE):
            there.become("bob", presence)
            await trio.sleep(1)
        await trio.sleep(LASTING)
        assert told(world) == [("presence.online", "bob")]


async def test_a_program_that_may_know_everything_is_told_of_everybody(
    autojump_clock: MockClock,
) -> None:
    there = There()
    world = World(there=there, presence_damping=LASTING)
    async with world.node() as service:
        await world.add(service, None, "presence.away")
        await trio.sleep(1)
        there.become("bob", AWAY)
        there.become("carl", ONLINE)
        await trio.sleep(LASTING + 1)
        assert told(world) == [("presence.away", "bob")]


@pytest.mark.parametrize("events", [("*",), ("message.*", "file.ready")])
async def test_who_did_not_ask_is_told_nothing(
    autojump_clock: MockClock, events: tuple[str, ...]
) -> None:
    there = There(ann=["bob"])
    world = World(there=there, presence_damping=LASTING)
    async with world.node() as service:
        await world.add(service, "ann", *events)
        await trio.sleep(1)
        there.become("bob", ONLINE)
        await trio.sleep(LASTING + 1)
        assert told(world) == []


async def test_what_an_endpoint_does_not_take_is_not_told_again(autojump_clock: MockClock) -> None:
    there = There(ann=["bob"])
    world = World(there=there, presence_damping=LASTING)
    async with world.node() as service:
        await world.add(service, "ann", "presence.*")
        await trio.sleep(1)
        world.receiver.answer = lambda request: BUSY
        there.become("bob", ONLINE)
        await trio.sleep(3600)
        assert len(world.receiver.requests) == 1


async def test_what_came_to_pass_while_nobody_asked_does_not_hide_what_follows(
    autojump_clock: MockClock,
) -> None:
    there = There(ann=["bob"])
    world = World(there=there, presence_damping=LASTING)
    async with world.node() as service:
        first = await world.add(service, "ann", "presence.*")
        await trio.sleep(1)
        there.become("bob", ONLINE)
        await trio.sleep(LASTING + 1)
        assert await world.storage.webhooks.remove(first.id, first.owner, SHELL)
        await trio.sleep(60)
        there.become("bob", Presence("offline", None))
        await trio.sleep(60)
        await world.add(service, "ann", "presence.*")
        await trio.sleep(1)
        there.become("bob", ONLINE)
        await trio.sleep(LASTING + 1)
        assert told(world) == [("presence.online", "bob"), ("presence.online", "bob")]


async def test_the_last_onlooker_may_leave_as_somebody_comes(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    there = There(ann=["bob"])
    world = World(there=there)
    async with world.node() as service:
        webhook = await world.add(service, "ann", "presence.*")
    coming, onlooker = (
        Coming(there, lasting=LASTING, clock=trio.current_time),
        Onlooker(webhook, there),
    )
    await nursery.start(coming.run)
    coming.enter(onlooker)
    there.become("bob", ONLINE)
    coming.leave(onlooker)
    await trio.sleep(LASTING + 1)
    coming.enter(onlooker)
    there.become("bob", ONLINE)
    (event,) = await onlooker.next()
    assert (event.type, event.key) == ("presence.online", "bob")
    nursery.cancel_scope.cancel()
