"""Presence over several nodes that tell each other by function calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.presence import roster as roster_module
from chat4all_actors.presence.arrivals import AGAIN, PATIENCE
from chat4all_actors.presence.carrier import RosterChanges, RosterSnapshot, RosterWanted
from chat4all_protocol.frames import Presence
from chat4all_storage.ports.errors import Unavailable

from ..actors.harness import EPOCH
from .net import DAMPING, EXPIRY, FakeSession, Node, net

if TYPE_CHECKING:
    from trio.testing import MockClock


def now_ms() -> int:
    return int((EPOCH + trio.current_time()) * 1000)


async def test_a_user_of_another_node_is_shown_and_routed_to_at_once(
    autojump_clock: MockClock,
) -> None:
    async with net("n1", "n2") as it:
        one, two = it.nodes["n1"], it.nodes["n2"]
        zoe = await one.watcher("bob")
        bob = await two.session("bob")
        assert zoe.shown() == [("bob", "online")]
        assert one.roster.nodes_of(["bob"]) == {"n2"}
        await two.end(bob)
        await trio.sleep(1)
        assert one.roster.nodes_of(["bob"]) == frozenset()
        assert zoe.shown() == []
        await trio.sleep(DAMPING)
        assert zoe.shown() == [("bob", "offline")]


async def test_who_moves_to_another_node_was_never_gone(autojump_clock: MockClock) -> None:
    async with net("n1", "n2", "n3") as it:
        zoe = await it.nodes["n1"].watcher("bob")
        old = await it.nodes["n2"].session("bob")
        zoe.shown()
        await it.nodes["n3"].session("bob")
        assert old.told == [("replaced",)]
        await it.nodes["n2"].end(old)
        await trio.sleep(3 * DAMPING)
        assert zoe.shown() == []
        (bob,) = await it.nodes["n1"].presences.of("bob", ["bob"])
        assert (bob.status, bob.devices) == ("online", 1)


async def test_only_the_session_that_was_overtaken_is_closed(autojump_clock: MockClock) -> None:
    async with net("n1", "n2") as it:
        one, two = it.nodes["n1"], it.nodes["n2"]
        old = await one.session("bob")
        two.wire.cut = True
        await two.session("bob")
        # Before n1 hears of that, the device comes back to it, and its connect takes a while.
        new = FakeSession("bob", "phone", [])
        one.local.add(new)
        assert old.told == [("replaced",)]
        two.wire.cut = False
        one.presences.shaken()
        await trio.sleep(1)
        assert not one.roster.is_here("bob")
        await one.presences.arrive(new, away=False)
        await trio.sleep(1)
        assert new.told == []
        assert one.roster.is_here("bob")
        assert not two.roster.is_here("bob")


async def test_a_session_that_is_over_before_it_arrives_is_nowhere(
    autojump_clock: MockClock,
) -> None:
    async with net("n1") as it:
        one = it.nodes["n1"]
        session = FakeSession("bob", "phone", [])
        session.over = True
        await one.presences.arrive(session, away=False)
        assert session.birth == 0
        assert not one.roster.is_here("bob")
        await one.end(session)
        assert len(one.presences._last_seen) == 0


async def test_changes_are_told_in_batches(autojump_clock: MockClock) -> None:
    async with net("n1", "n2", presence_interval=0.2) as it:
        one = it.nodes["n1"]
        sessions = [await one.session(f"user-{n}") for n in range(10)]
        await trio.sleep(1)
        one.wire.of(RosterChanges)
        for _ in range(5):
            for session in sessions:
                one.presences.turn(session, away=True)
                one.presences.turn(session, away=False)
                one.presences.turn(session, away=True)
            await trio.sleep(0.1)
        # Who comes to the front is told at once, in one item with all that is untold then.
        assert 0 < len(one.wire.of(RosterChanges)) <= 15
        for session in sessions:
            await one.end(session)
            await trio.sleep(0.01)
        assert len(one.wire.of(RosterChanges)) <= 2
        await trio.sleep(1)
        assert it.nodes["n2"].roster.statistics().elsewhere == 0


async def test_a_node_that_joins_learns_who_is_there(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster_module, "CHUNK", 2)
    async with net("n1") as it:
        users = [f"user-{n}" for n in range(5)]
        for user in users:
            await it.nodes["n1"].session(user)
        two = await it.start("n2")
        await trio.sleep(1)
        assert [user for user in users if two.roster.nodes_of([user])] == users
        assert two.presences.statistics().incomplete == 0


async def test_a_snapshot_that_did_not_come_whole_is_asked_for_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster_module, "CHUNK", 2)
    async with net("n1") as it:
        one = it.nodes["n1"]
        users = [f"user-{n}" for n in range(5)]
        for user in users:
            await one.session(user)
        one.wire.cut = True
        two = await it.start("n2")
        await trio.sleep(1)
        assert two.presences.statistics().incomplete == 1
        one.wire.cut = False
        await trio.sleep(6)
        assert [user for user in users if two.roster.nodes_of([user])] == users
        assert two.presences.statistics().incomplete == 0


async def test_only_a_snapshot_of_which_nothing_was_missed_is_all_there_is(
    autojump_clock: MockClock,
) -> None:
    async with net("n1", "n2") as nodes:
        two = nodes.nodes["n2"].presences
        first, last = RosterSnapshot([], True, False), RosterSnapshot([], False, True)
        assert [two.snapshot_from("n1", part) for part in (first, last)] == [False, True]
        assert not two.snapshot_from("n1", first)
        two.missed("n1")
        assert not two.snapshot_from("n1", last)
        two.node_left("n1")
        assert not two.snapshot_from("n1", RosterSnapshot([], True, True))


async def test_who_missed_something_asks_once_for_all_of_it(autojump_clock: MockClock) -> None:
    async with net("n1", "n2") as it:
        one, two = it.nodes["n1"], it.nodes["n2"]
        zoe = await two.watcher("bob")
        bob = await one.session("bob")
        zoe.shown()
        one.wire.cut = True
        await one.end(bob)
        await one.session("carla")
        one.wire.cut = False
        two.wire.of(RosterWanted)
        for _ in range(10):
            two.presences.missed("n1")
        await trio.sleep(1)
        assert two.wire.of(RosterWanted) == ["n1"]
        assert two.roster.nodes_of(["bob"]) == frozenset()
        assert two.roster.nodes_of(["carla"]) == {"n1"}
        await trio.sleep(DAMPING)
        assert zoe.shown() == [("bob", "offline")]


async def test_after_a_shake_everybody_is_asked(autojump_clock: MockClock) -> None:
    async with net("n1", "n2", "n3") as it:
        one = it.nodes["n1"]
        one.wire.of(RosterWanted)
        one.presences.shaken()
        await trio.sleep(1)
        assert one.wire.of(RosterWanted) == ["n2", "n3"]
        assert one.presences.statistics().incomplete == 0


async def test_the_users_of_a_node_that_died_are_expected_back(autojump_clock: MockClock) -> None:
    async with net("n1", "n2", "n3") as it:
        one = it.nodes["n1"]
        zoe = await one.watcher("bob", "carla")
        await it.nodes["n3"].session("bob")
        await it.nodes["n3"].session("carla")
        zoe.shown()
        await it.stop("n3", orderly=False)
        lost = now_ms()
        await trio.sleep(EXPIRY - 10)
        assert zoe.shown() == []
        assert one.roster.nodes_of(["bob"]) == frozenset()
        bob = await it.nodes["n2"].session("bob")
        await it.nodes["n2"].end(bob)
        await trio.sleep(2 * DAMPING)
        assert zoe.shown() == [("bob", "offline")]
        await trio.sleep(20)
        assert zoe.shown() == [("carla", "offline")]
        await trio.sleep(5)
        assert (await it.storage.directory.last_seen(["carla"])) == {"carla": lost}


async def test_the_users_of_a_node_that_left_are_gone(autojump_clock: MockClock) -> None:
    async with net("n1", "n2") as it:
        one, two = it.nodes["n1"], it.nodes["n2"]
        zoe = await one.watcher("bob")
        await two.session("bob")
        zoe.shown()
        wire = two.wire
        await it.stop("n2", orderly=True)
        wire.cut = False
        for part in two.roster.snapshot():
            wire.carry(one, part)  # it comes late
        wire.carry(one, RosterChanges([next(iter(two.roster.snapshot())).users[0]]))
        assert one.roster.nodes == frozenset()
        left = now_ms()
        await trio.sleep(DAMPING + 1)
        (frame,) = zoe.outlet.of(Presence)
        assert (frame.user, frame.status, frame.last_seen) == ("bob", "offline", left)


async def test_a_node_that_was_taken_for_dead_is_believed_again(
    autojump_clock: MockClock,
) -> None:
    async with net("n1", "n2") as it:
        one, two = it.nodes["n1"], it.nodes["n2"]
        zoe = await one.watcher("bob", "carla")
        bob = await two.session("bob")
        await two.session("carla")
        zoe.shown()
        one.presences.node_lost("n2")
        two.wire.cut = True
        await two.end(bob)
        two.wire.cut = False
        two.presences.node_joined("n1")
        one.presences.node_joined("n2")
        await trio.sleep(1)
        assert one.roster.nodes_of(["carla"]) == {"n2"}
        await trio.sleep(2 * EXPIRY)
        assert zoe.shown() == [("bob", "offline")]


async def test_the_setting_of_a_user_holds_at_all_nodes(autojump_clock: MockClock) -> None:
    async with net("n1", "n2", "n3") as it:
        zoe = await it.nodes["n1"].watcher("bob")
        laptop = await it.nodes["n2"].session("bob", "laptop")
        phone = await it.nodes["n3"].session("bob", "phone")
        zoe.shown()
        await it.nodes["n2"].presences.set_invisible(laptop, True)
        await wait_all_tasks_blocked()
        assert zoe.shown() == [("bob", "offline")]
        await trio.sleep(1)
        await it.nodes["n2"].end(laptop)
        await trio.sleep(2 * DAMPING)
        await it.nodes["n3"].end(phone)
        await trio.sleep(2 * DAMPING)
        assert zoe.shown() == []
        it.nodes["n1"].presences.watch(zoe, ["bob"])
        (frame,) = zoe.outlet.of(Presence)
        assert (frame.status, frame.last_seen) == ("offline", None)


async def test_a_part_that_was_restarted_says_what_it_has(autojump_clock: MockClock) -> None:
    async with net("n1", "n2") as it:
        one = it.nodes["n1"]
        await one.session("bob")
        it.nodes.pop("n1")
        again = Node("n1", it)
        it.nodes["n1"] = again
        async with trio.open_nursery() as nursery:
            await nursery.start(again.presences.run)
            assert it.nodes["n2"].roster.nodes_of(["bob"]) == frozenset()
            assert again.wire.of(RosterWanted) == [None]
            nursery.cancel_scope.cancel()


async def test_when_users_were_last_there_is_written_in_batches_and_at_the_end(
    autojump_clock: MockClock,
) -> None:
    async with net("n1") as it:
        one, directory = it.nodes["n1"], it.storage.directory
        write = directory.note_seen
        written: list[int] = []

        async def note(seen: Any) -> None:
            written.append(len(seen))
            if len(written) == 1:
                raise Unavailable("no connection")
            await write(seen)

        directory.note_seen = note  # type: ignore[method-assign]
        for user in ("ana", "bob"):
            await one.end(await one.session(user))
        await trio.sleep(3)
        await one.end(await one.session("carla"))
        await trio.sleep(3)
        assert written == [2, 3]
        await one.end(await one.session("bob"))
        left = now_ms()
        await it.stop("n1", orderly=True)
        assert (await directory.last_seen(["bob"])) == {"bob": left}


async def test_who_connects_while_the_directory_is_away_is_hidden_until_it_has_told(
    autojump_clock: MockClock,
) -> None:
    async with net("n1") as it:
        one, directory = it.nodes["n1"], it.storage.directory
        zoe = await one.watcher("ana")
        ask = directory.arrivals

        async def fail(usernames: Any) -> Any:
            raise Unavailable("no connection")

        directory.arrivals = fail  # type: ignore[method-assign]
        ana = await one.session("ana", friends=("zoe",))
        assert ana.birth > 0
        await trio.sleep(2 * AGAIN)
        assert zoe.shown() == []
        directory.arrivals = ask  # type: ignore[method-assign]
        await trio.sleep(AGAIN + 1)
        assert zoe.shown() == [("ana", "online")]


async def test_a_directory_that_hangs_does_not_hold_up_who_connects(
    autojump_clock: MockClock,
) -> None:
    async with net("n1") as it:
        one = it.nodes["n1"]

        async def hang(usernames: Any) -> Any:
            await trio.sleep_forever()

        it.storage.directory.arrivals = hang  # type: ignore[method-assign]
        with trio.fail_after(2 * PATIENCE):
            ana = await one.session("ana")
        assert ana.birth > 0
        # Whoever comes behind a question that hangs waits no longer than that one.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.session, "bob")
            await trio.sleep(PATIENCE / 2)
            began = trio.current_time()
            await one.session("carla")
            assert trio.current_time() - began == pytest.approx(PATIENCE)
