from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.messages import Post
from chat4all_protocol.codec import encode_body
from chat4all_protocol.codes import CloseCode
from chat4all_protocol.frames import (
    Conv,
    Create,
    Error,
    MemberBody,
    Mode,
    Ok,
    Ping,
    Presence,
    Read,
    Typing,
    Watch,
)
from chat4all_protocol.ids import new_id
from chat4all_storage.memory.bus import MemoryBus
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.events import Append

from ..actors.harness import EPOCH, Person, memory_with_users, person, running_node

if TYPE_CHECKING:
    from collections.abc import Collection

    from trio.testing import MockClock

    from chat4all_actors.node import Node
    from chat4all_protocol.frames import Kind

DAMPING = 5.0


def shown(someone: Person) -> list[tuple[str, str, int | None]]:
    """The presences that were shown since the last call."""
    presences: list[tuple[str, str, int | None]] = [
        (it.user, it.status, it.last_seen) for it in someone.outlet.of(Presence)
    ]
    someone.outlet.taken = [it for it in someone.outlet.taken if not isinstance(it, Presence)]
    return presences


def now_ms() -> int:
    return int((EPOCH + trio.current_time()) * 1000)


async def private(one: Person, other: str) -> str:
    await one.say(Create(rid=1, type="private", members=[other]))
    return one.outlet.of(Conv)[-1].conv


async def group(one: Person, *others: str) -> str:
    await one.say(Create(rid=1, type="group", members=list(others)))
    return one.outlet.of(Conv)[-1].conv


async def hang_up(someone: Person) -> None:
    someone.session.ended()
    await wait_all_tasks_blocked()


class Content:
    """An origin that expects no refusal."""

    def stored(self, post: Post, seq: int, ts: int, *, dup: bool) -> None:
        pass

    def refused(self, post: Post, error: Error) -> None:
        raise AssertionError(error)

    def lost(self, post: Post) -> None:
        raise AssertionError(post)


async def change(node: Node, conv: str, by: str, kind: Kind, user: str) -> None:
    """Let a member come or go."""
    role = "member" if kind == "join" else None
    append = Append(
        conversation=conv,
        sender=by,
        id=new_id(),
        kind=kind,
        body=encode_body(MemberBody(user, role)),
        digest=0,
        subject=user,
        role=role,
    )
    conversation = node.conversations.get(conv)
    assert conversation is not None
    conversation.tell_nowait(Post(append, 1, Content()))
    await wait_all_tasks_blocked()


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
