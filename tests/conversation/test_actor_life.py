"""How a conversation comes to its end, and whom it leaves waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.conversation.composing import MAX_MEMBERS
from chat4all_actors.kernel import ActorState, ActorStopped
from chat4all_actors.messages import (
    Compose,
    ComposingElsewhere,
    MarkRead,
    MembersRead,
    Post,
    Risen,
    RisenElsewhere,
)
from chat4all_protocol.frames import Receipt
from chat4all_storage.ports.events import Append

from .scene import Scene, Session, scene_of, stored

if TYPE_CHECKING:
    from trio.testing import MockClock

    from chat4all_protocol.frames import Composing


def fail(scene: Scene) -> None:
    """Let the conversation fail with what is in its mailbox."""
    scene.expected = ["'str' object has no attribute 'risen'"]
    scene.actor.tell_nowait("no message")  # type: ignore[arg-type]


# --- whether it is needed -------------------------------------------------------------------------


async def test_it_is_needed_while_somebody_reads_or_lingers() -> None:
    async with scene_of("ana") as (scene, (ana,)):
        assert scene.actor.needed
        del scene.actor.readers[ana]
        assert not scene.actor.needed
        scene.actor.lingering = True
        assert scene.actor.needed


async def test_it_is_needed_until_all_posts_are_answered(autojump_clock: MockClock) -> None:
    async with scene_of("ana") as (scene, (ana,)):
        scene.post(ana)
        del scene.actor.readers[ana]
        assert scene.actor.needed
        await scene.answered(stored(2))
        assert scene.actor.needed  # it waits for an event before it
        await scene.relayed(1, 1)
        assert ana.lately() == [("sent", 2)]
        assert scene.actor.state is ActorState.STOPPED


async def test_it_is_needed_while_marks_are_on_their_way() -> None:
    async with scene_of("ana", head=3) as (scene, (ana,)):
        scene.actor.tell_nowait(MarkRead(ana, 1, 1))
        assert [(mark.user, mark.recv) for mark in scene.log.marks] == [("ana", 1)]  # at once
        del scene.actor.readers[ana]
        assert scene.actor.needed


async def test_it_is_needed_while_something_waits_in_the_mailbox() -> None:
    async with scene_of("ana") as (scene, (ana,)):
        scene.store(1)
        scene.shards.held = trio.Event()
        await scene.stands(1)
        scene.post(ana, "next")
        del scene.actor.readers[ana]
        scene.shards.held.set()
        await wait_all_tasks_blocked()
        assert [entry.append.id for entry in scene.log.taken] == ["next"]


async def test_what_only_waits_for_others_needs_nobody() -> None:
    async with scene_of("ana") as (scene, (ana,)):
        await scene.relayed(2, 2)
        del scene.actor.readers[ana]
        assert not scene.actor.needed


async def test_it_is_known_by_its_id_and_holds_as_much_as_it_may() -> None:
    async with scene_of("ana") as (scene, _):
        assert scene.actor.name == f"conversation {scene.id}"
        assert scene.actor.statistics().mailbox.capacity == scene.settings.mailbox


# --- what cannot be taken -------------------------------------------------------------------------


async def test_a_log_that_takes_nothing_refuses_for_now() -> None:
    async with scene_of("ana") as (scene, (ana,)):
        scene.log.full = True
        scene.post(ana)
        scene.log.full, scene.log.gone = False, True
        scene.post(ana)
        assert ana.lately() == [("refused", "UNAVAILABLE")] * 2
        del scene.actor.readers[ana]
        assert not scene.actor.needed


async def test_the_patient_do_not_wait_while_there_is_room() -> None:
    async with scene_of("ana") as (scene, (ana,)):
        post = Post(Append(scene.id, "ana", "first", "message", b"", 0), 1, ana)
        await scene.actor.tell_patiently(post)
        assert [entry.append.id for entry in scene.log.taken] == ["first"]


async def test_a_full_mailbox_makes_the_patient_wait() -> None:
    async with scene_of("ana") as (scene, (ana,)):
        scene.store(1)
        scene.shards.held = trio.Event()
        await scene.stands(1)
        for _ in range(scene.settings.mailbox):
            scene.post(ana)
        post = Post(Append(scene.id, "ana", "last", "message", b"", 0), 1, ana)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.actor.tell_patiently, post)
            await wait_all_tasks_blocked()
            assert scene.log.taken == []
            scene.shards.held.set()
        await wait_all_tasks_blocked()
        assert scene.log.taken[-1].append.id == "last"
        assert len(scene.log.taken) == scene.settings.mailbox + 1


# --- the end --------------------------------------------------------------------------------------


async def test_a_fault_closes_the_readers_and_tells_all_who_wait(
    autojump_clock: MockClock,
) -> None:
    async with scene_of("ana", "bob") as (scene, (ana, bob)):
        stranger = Session("carla")
        scene.post(ana, "early")
        await scene.answered(stored(3))
        fail(scene)
        scene.post(stranger, "unhandled")
        await wait_all_tasks_blocked()
        assert ana.lately() == [("lost", "early"), "closed"]
        assert bob.lately() == ["closed"]
        assert stranger.lately() == [("lost", "unhandled")]
        assert scene.ended == [3]


async def test_whom_a_stored_event_is_about_that_a_fault_swallows_connects_again(
    autojump_clock: MockClock,
) -> None:
    async with scene_of("ana") as (scene, (ana,)):
        carla = scene.here("carla")
        scene.post(ana, "early", "join")
        await scene.answered(stored(2))
        fail(scene)
        await wait_all_tasks_blocked()
        assert carla.lately() == ["closed"]


async def test_a_stop_leaves_the_last_event_that_is_known_to_be_stored() -> None:
    async with scene_of("ana", head=2) as (scene, (ana,)):
        await scene.relayed(7, 7)
        scene.actor.stop()
        assert scene.ended == [7]
        assert ana.lately() == []
        with pytest.raises(ActorStopped):
            scene.actor.tell_nowait(MembersRead(0, []))
    async with scene_of("ana", head=2) as (scene, _):
        scene.actor.stop()
        assert scene.ended == [2]


async def test_an_answer_that_comes_too_late_is_left_to_the_next(
    autojump_clock: MockClock,
) -> None:
    async with scene_of("ana") as (scene, (ana,)):
        scene.post(ana, "late")
        scene.actor.stop()
        await scene.answered(stored(1))
        assert scene.late == [1]
        assert ana.lately() == [("lost", "late")]


async def test_whom_an_answer_that_comes_too_late_is_about_connects_again() -> None:
    async with scene_of("ana") as (scene, (ana,)):
        carla = scene.here("carla")
        scene.post(ana, "late", "join")
        scene.actor.stop()
        await scene.answered(stored(1))
        assert carla.lately() == ["closed"]


async def test_the_time_of_a_hole_may_be_over_when_it_has_ended(
    autojump_clock: MockClock,
) -> None:
    async with scene_of("ana") as (scene, (ana,)):
        await scene.relayed(2, 2)
        scene.actor.stop()
        await trio.sleep(1)
        assert ana.lately() == []


# --- who the members are --------------------------------------------------------------------------


async def test_members_are_asked_for_when_other_nodes_are_told_something() -> None:
    async with scene_of("ana") as (scene, (ana,)):
        scene.relay.alone = True
        scene.post(ana)
        await scene.answered(stored(1))
        assert (scene.wanted_members, scene.relay.told) == (0, [])
        scene.relay.alone = False
        scene.post(ana)
        await scene.answered(stored(2))
        assert (scene.wanted_members, scene.relay.told) == (1, [[2]])
        scene.actor.reply_nowait(MembersRead(1, ["ana"]))
        await wait_all_tasks_blocked()
        assert scene.actor.members == ["ana"]
        scene.post(ana)
        await scene.answered(stored(3))
        assert scene.wanted_members == 1


async def test_members_that_were_read_before_they_changed_are_read_again() -> None:
    async with scene_of("ana", head=5) as (scene, _):
        scene.actor.take_members(MembersRead(4, ["eve"]))
        assert (scene.actor.members, scene.wanted_members) == (None, 1)
        scene.actor.take_members(MembersRead(5, ["ana"]))
        assert (scene.actor.members, scene.wanted_members) == (["ana"], 1)


# --- who is looking -------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["sends", "composes"])
async def test_who_does_something_in_a_group_is_looking_at_it(
    how: str, autojump_clock: MockClock
) -> None:
    async with scene_of("ana", "bob", head=1) as (scene, (ana, bob)):
        scene.actor.take_members(MembersRead(1, ["ana", "bob"]))
        scene.actor.tell_nowait(MarkRead(bob, 1, 0))
        if how == "sends":
            scene.post(ana)
            scene.post(Session("eve"))  # over HTTP: nobody is looking
        else:
            scene.actor.tell_nowait(Compose(ana, "text"))
        await wait_all_tasks_blocked()
        bob.lately()
        scene.actor.tell_nowait(RisenElsewhere([Risen("carla", 1, 0, 0, 0)]))
        await wait_all_tasks_blocked()
        (receipt,) = ana.lately()
        assert isinstance(receipt, Receipt)
        assert bob.lately() == []


# --- who is composing -----------------------------------------------------------------------------


def shown(session: Session) -> list[tuple[str, str]]:
    return [(one.user, one.kind) for one in cast("list[Composing]", session.lately())]


async def test_composing_is_shown_here_and_told_other_nodes() -> None:
    async with scene_of("ana", "bob") as (scene, (ana, bob)):
        scene.actor.take_members(MembersRead(0, ["ana", "bob"]))
        for _ in range(2):
            scene.actor.tell_nowait(Compose(ana, "text"))
            await wait_all_tasks_blocked()
        assert shown(bob) == [("ana", "text")]
        assert ana.lately() == []
        assert scene.relay.told == [("ana", "text")]
        scene.actor.tell_nowait(ComposingElsewhere("ana", "voice"))
        await wait_all_tasks_blocked()
        assert shown(bob) == [("ana", "voice")]


async def test_composing_in_a_group_waits_until_its_members_are_known() -> None:
    for type_, told in (("group", []), ("private", [("ana", "text")])):
        async with scene_of("ana", "bob", type_=type_) as (scene, (ana, bob)):  # type: ignore[arg-type]
            scene.actor.tell_nowait(Compose(ana, "text"))
            await wait_all_tasks_blocked()
            assert shown(bob) == told
            assert scene.wanted_members == (not told)


async def test_nobody_is_shown_composing_in_a_large_group_or_from_outside() -> None:
    async with scene_of("ana", "bob") as (scene, (ana, bob)):
        for members, told in ((MAX_MEMBERS + 1, []), (MAX_MEMBERS, [("ana", "text")])):
            scene.actor.take_members(MembersRead(0, [f"user {n}" for n in range(members)]))
            for composer in (scene.here("eve"), ana):
                scene.actor.tell_nowait(Compose(composer, "text"))
                await wait_all_tasks_blocked()
            assert shown(bob) == told
