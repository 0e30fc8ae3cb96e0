"""Who is shown how, and from when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_protocol.frames import (
    Error,
    Mode,
    Ok,
    Ping,
    Read,
    Typing,
    Watch,
)
from chat4all_storage.ports.errors import Unavailable

from ..actors.harness import memory_with_users, person, running_node

if TYPE_CHECKING:
    from trio.testing import MockClock


from .watchers import DAMPING, change, group, hang_up, now_ms, private, shown


async def test_a_watch_is_answered_at_once_and_on_each_change(autojump_clock: MockClock) -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        await private(ana, "bob")
        await ana.say(Watch(users=["bob"]))
        assert shown(ana) == [("bob", "offline", None)]
        bob = await person(node, "bob")
        assert shown(ana) == [("bob", "online", None)]
        await hang_up(bob)
        left = now_ms()
        assert shown(ana) == []
        await trio.sleep(DAMPING + 1)
        assert shown(ana) == [("bob", "offline", left)]


async def test_who_is_back_soon_was_never_gone(autojump_clock: MockClock) -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        await private(ana, "bob")
        await ana.say(Watch(users=["bob"]))
        shown(ana)
        for _ in range(3):
            await hang_up(bob)
            await trio.sleep(DAMPING - 1)
            bob = await person(node, "bob")
        await trio.sleep(3 * DAMPING)
        assert shown(ana) == []


async def test_strangers_look_like_nobody(autojump_clock: MockClock) -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        await hang_up(await person(node, "carla"))
        await ana.say(Watch(users=["bob", "carla", "nobody"]))
        assert shown(ana) == [(name, "offline", None) for name in ("bob", "carla", "nobody")]
        await hang_up(bob)
        await person(node, "carla")
        await trio.sleep(3 * DAMPING)
        assert shown(ana) == []


async def test_members_of_a_group_are_acquainted(autojump_clock: MockClock) -> None:
    async with running_node() as node:
        ana, _ = await person(node, "ana"), await person(node, "bob")
        await group(ana, "bob", "carla")
        await hang_up(ana)
        ana = await person(node, "ana")
        await ana.say(Watch(users=["bob", "carla", "nobody"]))
        assert shown(ana) == [
            ("bob", "online", None),
            ("carla", "offline", None),
            ("nobody", "offline", None),
        ]


async def test_a_stranger_is_shown_from_the_moment_they_meet(autojump_clock: MockClock) -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        carla = await person(node, "carla")
        for one in (ana, bob, carla):
            await one.say(Watch(users=["ana", "bob", "carla"]))
            shown(one)
        conv = await group(ana, "bob")
        assert shown(ana) == [("bob", "online", None)]
        assert shown(bob) == [("ana", "online", None)]
        await change(node, conv, "ana", "join", "carla")
        assert shown(ana) == shown(bob) == [("carla", "online", None)]
        assert sorted(shown(carla)) == [("ana", "online", None), ("bob", "online", None)]


async def test_who_leaves_is_shown_only_if_there_is_another_conversation(
    autojump_clock: MockClock,
) -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        carla = await person(node, "carla")
        conv = await group(ana, "bob", "carla")
        await private(bob, "carla")
        for one in (ana, bob, carla):
            await one.say(Watch(users=["ana", "bob", "carla"]))
            shown(one)
        await change(node, conv, "ana", "leave", "carla")
        assert shown(ana) == [("carla", "offline", None)]
        assert shown(bob) == [("carla", "online", None)]
        assert sorted(shown(carla)) == [("ana", "offline", None), ("bob", "online", None)]
        await hang_up(ana)
        await trio.sleep(2 * DAMPING)
        assert [name for name, *_ in shown(bob)] == ["ana"]
        assert shown(carla) == []


async def test_the_background_is_away(autojump_clock: MockClock) -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob", background=True)
        await private(ana, "bob")
        await ana.say(Watch(users=["bob"]))
        assert shown(ana) == [("bob", "away", None)]
        await bob.say(Mode(rid=7, background=False))
        assert bob.outlet.of(Ok)[-1].rid == 7
        assert shown(ana) == [("bob", "online", None)]
        await bob.say(Mode(rid=8, background=True))
        assert shown(ana) == []
        await trio.sleep(DAMPING + 1)
        assert shown(ana) == [("bob", "away", None)]


async def test_the_most_present_device_counts(autojump_clock: MockClock) -> None:
    async with running_node() as node:
        ana, phone = await person(node, "ana"), await person(node, "bob", background=True)
        laptop = await person(node, "bob", "laptop")
        await private(ana, "bob")
        await ana.say(Watch(users=["bob"]))
        assert shown(ana) == [("bob", "online", None)]
        await hang_up(laptop)
        await trio.sleep(DAMPING + 1)
        assert shown(ana) == [("bob", "away", None)]
        await hang_up(phone)
        await trio.sleep(DAMPING + 1)
        assert [status for _, status, _ in shown(ana)] == ["offline"]


async def test_a_user_who_does_nothing_is_away_until_doing_something(
    autojump_clock: MockClock,
) -> None:
    async with running_node(away_after=60, heartbeat=3600) as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        conv = await private(ana, "bob")
        await ana.say(Watch(users=["bob"]))
        shown(ana)
        for _ in range(4):
            await trio.sleep(20)
            await bob.say(Ping())  # a sign of life, not of a user
        assert shown(ana) == [("bob", "away", None)]
        for frame in (Read(conv=conv, seq=0), Typing(conv=conv)):
            await bob.say(frame)
            assert shown(ana) == [("bob", "online", None)]
            await trio.sleep(75)
            assert shown(ana) == [("bob", "away", None)]


async def test_the_invisible_look_offline_at_once_on_all_devices(
    autojump_clock: MockClock,
) -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        await private(ana, "bob")
        await hang_up(await person(node, "bob", "tablet"))
        await ana.say(Watch(users=["bob"]))
        shown(ana)
        await bob.say(Mode(rid=7, invisible=True))
        assert [ok.rid for ok in bob.outlet.of(Ok)] == [7]
        assert shown(ana) == [("bob", "offline", None)]
        laptop = await person(node, "bob", "laptop")
        await hang_up(bob)
        await trio.sleep(2 * DAMPING)
        await hang_up(laptop)
        await trio.sleep(2 * DAMPING)
        bob = await person(node, "bob")
        await trio.sleep(2 * DAMPING)
        assert shown(ana) == []
        await ana.say(Watch(users=["bob"]))
        assert shown(ana) == [("bob", "offline", None)]
        await bob.say(Mode(rid=8, invisible=False))
        assert shown(ana) == [("bob", "online", None)]


async def test_a_setting_that_can_not_be_kept_is_refused() -> None:
    storage = await memory_with_users()

    async def fail(*_: object) -> None:
        raise Unavailable("no connection")

    async with running_node(storage) as node:
        ana = await person(node, "ana")
        storage.directory.set_invisible = fail  # type: ignore[method-assign,assignment]
        await ana.say(Mode(rid=7, invisible=True, background=True))
        (error,) = ana.outlet.of(Error)
        assert (error.code, error.rid, error.temporary) == ("UNAVAILABLE", 7, True)
        assert not ana.session.background
