"""What watching costs at most, and what it survives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from chat4all_protocol.codes import CloseCode
from chat4all_protocol.frames import (
    Error,
    Mode,
    Watch,
)
from chat4all_storage.memory.bus import MemoryBus
from chat4all_storage.ports.errors import Unavailable

from ..actors.harness import memory_with_users, person, running_node

if TYPE_CHECKING:
    from collections.abc import Collection

    from trio.testing import MockClock


from .watchers import DAMPING, group, hang_up, now_ms, private, shown


async def test_a_watch_takes_the_place_of_the_last(autojump_clock: MockClock) -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        await group(ana, "bob", "carla")
        await ana.say(Watch(users=["bob", "bob"]))
        assert [name for name, *_ in shown(ana)] == ["bob"]
        await ana.say(Watch(users=["carla"]))
        shown(ana)
        await person(node, "bob")
        assert shown(ana) == []
        await ana.say(Watch(users=[]))
        await person(node, "carla")
        assert shown(ana) == []
        assert node.presence.statistics().watched == 0


async def test_beyond_the_limit_of_a_node_the_last_watch_goes_on() -> None:
    async with running_node(max_watched=2) as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        await group(ana, "bob", "carla")
        await ana.say(Watch(users=["carla"]))
        shown(ana)
        await ana.say(Watch(users=["ana", "bob", "carla"]))
        await bob.say(Watch(users=["ana", "carla"]))
        for one in (ana, bob):
            (error,) = one.outlet.of(Error)
            assert (error.code, error.temporary) == ("UNAVAILABLE", True)
            assert error.retry_after_ms
        await person(node, "carla")
        assert shown(ana) == [("carla", "online", None)]
        await hang_up(ana)
        await bob.say(Watch(users=["ana", "carla"]))
        assert len(shown(bob)) == 2


async def test_a_session_that_is_behind_is_shown_the_newest_when_it_has_caught_up(
    autojump_clock: MockClock,
) -> None:
    async with running_node(max_outbound=4096) as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        await private(ana, "bob")
        await ana.say(Watch(users=["bob"]))
        shown(ana)
        ana.outlet.stuck = True
        ana.outlet.held = [b"x" * 4000]
        await bob.say(Mode(rid=1, background=True))
        await trio.sleep(DAMPING + 1)
        await bob.say(Mode(rid=2, background=False))
        await hang_up(bob)
        left = now_ms()
        await trio.sleep(DAMPING + 1)
        ana.outlet.held = []
        ana.outlet.release(ana.session)
        await trio.sleep(1)
        assert shown(ana) == [("bob", "offline", left)]


async def test_a_database_that_does_not_answer_is_asked_again(autojump_clock: MockClock) -> None:
    async with running_node() as node:
        ana, _ = await person(node, "ana"), await person(node, "bob")
        await group(ana, "bob")
        await hang_up(ana)
        ana = await person(node, "ana")
        store = node._storage.shards.all[0]
        ask = store.acquainted
        asked = 0

        async def fail_once(user: str, others: Collection[str]) -> set[str]:
            nonlocal asked
            asked += 1
            if asked == 1:
                raise Unavailable("no connection")
            return await ask(user, others)

        store.acquainted = fail_once  # type: ignore[method-assign]
        await ana.say(Watch(users=["bob", "nobody"]))
        assert shown(ana) == [("bob", "offline", None), ("nobody", "offline", None)]
        await trio.sleep(6)
        assert ("bob", "online", None) in shown(ana)
        assert asked == 2


async def test_stores_are_asked_at_a_bounded_rate(autojump_clock: MockClock) -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        store = node._storage.shards.all[0]
        ask = store.acquainted
        asked = 0

        async def count(user: str, others: Collection[str]) -> set[str]:
            nonlocal asked
            asked += 1
            return await ask(user, others)

        store.acquainted = count  # type: ignore[method-assign]
        for number in range(100):
            await ana.say(Watch(users=[f"user-{number}"]))
        assert 0 < asked <= 25
        shown(ana)
        await trio.sleep(10)
        assert shown(ana) == [("user-99", "offline", None)]


async def test_when_somebody_was_last_there_survives_a_restart_and_little_memory(
    autojump_clock: MockClock,
) -> None:
    storage = await memory_with_users()
    async with running_node(storage) as node:
        ana = await person(node, "ana")
        await group(ana, "bob", "carla")
        left: dict[str, Any] = {}
        for name in ("bob", "carla"):
            await hang_up(await person(node, name))
            left[name] = now_ms()
            await trio.sleep(3)
    async with running_node(storage, last_seen_kept=1) as node:
        ana = await person(node, "ana")
        for name in ("bob", "carla", "bob"):
            await ana.say(Watch(users=[name]))
            assert shown(ana) == [(name, "offline", left[name])]


async def test_it_is_the_same_over_two_nodes(autojump_clock: MockClock) -> None:
    storage, bus = await memory_with_users(), MemoryBus()
    async with running_node(storage, bus=bus) as one, running_node(storage, bus=bus) as two:
        await trio.sleep(5)
        ana, elsewhere = await person(one, "ana"), await person(two, "bob")
        await private(ana, "bob")
        await ana.say(Watch(users=["bob"]))
        assert shown(ana) == [("bob", "online", None)]
        here = await person(one, "bob")
        await trio.sleep(1)
        assert elsewhere.outlet.closed is not None
        assert elsewhere.outlet.closed[0] == CloseCode.REPLACED
        assert here.outlet.closed is None
        await hang_up(elsewhere)
        await trio.sleep(2 * DAMPING)
        assert shown(ana) == []
        await here.say(Mode(rid=1, background=True))
        tablet = await person(two, "bob", "tablet", background=True)
        await trio.sleep(2 * DAMPING)
        assert shown(ana) == [("bob", "away", None)]
        await tablet.say(Mode(rid=1, invisible=True))
        await trio.sleep(1)
        assert shown(ana) == [("bob", "offline", None)]


async def test_it_is_asked_for_without_a_session_too(autojump_clock: MockClock) -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        await private(ana, "bob")
        for device in ("phone", "laptop"):
            await person(node, "bob", device)
        await person(node, "carla")
        found = await node.presence.of("ana", ["bob", "carla", "nobody", "ana"])
        assert [(it.user, it.status, it.last_seen, it.devices) for it in found] == [
            ("bob", "online", None, 2),
            ("carla", "offline", None, 0),
            ("nobody", "offline", None, 0),
            ("ana", "online", None, 1),
        ]
