"""In which order a conversation passes what comes, whichever way it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.conversation.actor import EARLY_WAIT, MAX_RELAYED
from chat4all_actors.conversation.order import MOST
from chat4all_actors.fanout import CHECKPOINT_EVERY
from chat4all_storage.ports.events import Outcome, Status

from .scene import again, scene_of, stored

if TYPE_CHECKING:
    from trio.testing import MockClock


# --- answers of the log ---------------------------------------------------------------------------


async def test_what_follows_the_head_is_passed_without_a_task() -> None:
    async with scene_of("ana", "bob") as (scene, (ana, bob)):
        for _ in range(2):
            scene.post(ana)
        scene.log.answer(stored(1), again(2))
        assert ana.lately() == [("sent", 1), ("repeated", 2)]
        assert bob.lately() == [1, 2]
        assert scene.relay.told == [[1, 2]]
        assert (scene.actor.head, scene.actor.senders) == (2, ["ana", "ana"])


async def test_many_readers_let_others_have_their_turn() -> None:
    async with scene_of("ana", "bob") as (scene, (ana, bob)):
        crowd = [scene.enter(f"user {number}") for number in range(CHECKPOINT_EVERY - 2)]
        scene.post(ana)
        scene.log.answer(stored(1))
        assert ana.lately() == []
        await wait_all_tasks_blocked()
        assert ana.lately() == [("sent", 1)]
        assert all(session.lately() == [1] for session in [bob, *crowd])
        assert scene.relay.told == [[1]]


async def test_one_reader_less_needs_no_turn() -> None:
    async with scene_of("ana") as (scene, (ana,)):
        for number in range(CHECKPOINT_EVERY - 2):
            scene.enter(f"user {number}")
        scene.post(ana)
        scene.log.answer(stored(1))
        assert ana.lately() == [("sent", 1)]


async def test_a_retry_is_answered_and_not_passed_again() -> None:
    async with scene_of("ana", "bob", head=4) as (scene, (ana, bob)):
        scene.post(ana)
        await scene.answered(again(3))
        assert ana.lately() == [("repeated", 3)]
        assert bob.lately() == []
        assert scene.relay.told == []


async def test_a_refusal_keeps_nobody_from_what_comes_with_it() -> None:
    async with scene_of("ana", "bob") as (scene, (ana, bob)):
        for _ in range(2):
            scene.post(ana)
        await scene.answered(Outcome(Status.NOT_MEMBER), stored(1))
        assert ana.lately() == [("refused", "NOT_FOUND"), ("sent", 1)]
        assert bob.lately() == [1]


async def test_a_hole_before_an_own_event_is_read_at_once_when_nobody_can_tell() -> None:
    async with scene_of("ana", "bob") as (scene, (ana, bob)):
        scene.relay.hears = False
        scene.store(1, 2)
        scene.post(ana)
        await scene.answered(stored(3))
        assert ana.lately() == [1, 2, ("sent", 3)]
        assert bob.lately() == [1, 2, 3]
        assert scene.shards.reads == [(0, 2)]
        assert scene.relay.told == [[3]]  # the others were told by who stored them


async def test_a_hole_before_an_own_event_waits_for_the_other_node(
    autojump_clock: MockClock,
) -> None:
    async with scene_of("ana", "bob") as (scene, (ana, bob)):
        scene.post(ana)
        await scene.answered(stored(2))
        assert ana.lately() == bob.lately() == []
        assert scene.relay.told == [[2]]  # no node waits for one that waits
        await scene.relayed(1, 1)
        assert ana.lately() == [1, ("sent", 2)]
        assert bob.lately() == [1, 2]
        await trio.sleep(2 * EARLY_WAIT)
        assert scene.relay.told == [[2]]
        assert scene.shards.reads == []


async def test_what_does_not_come_in_time_is_read(autojump_clock: MockClock) -> None:
    async with scene_of("ana", "bob") as (scene, (ana, bob)):
        scene.store(1, 3)
        scene.post(ana)
        await scene.answered(stored(2))
        await scene.relayed(4, 4)
        await trio.sleep(EARLY_WAIT / 2)
        assert ana.lately() == []
        assert (scene.id, ":hole") in scene.timers
        await trio.sleep(EARLY_WAIT)
        assert ana.lately() == [1, ("sent", 2), 3, 4]
        assert bob.lately() == [1, 2, 3, 4]
        assert scene.shards.reads == [(0, 1), (2, 3)]


async def test_each_hole_has_its_own_time(autojump_clock: MockClock) -> None:
    async with scene_of("ana", "bob") as (scene, (_, bob)):
        scene.store(4)
        await scene.relayed(2, 3)
        await scene.relayed(5, 5)
        await trio.sleep(0.8 * EARLY_WAIT)
        await scene.relayed(1, 1)
        assert bob.lately() == [1, 2, 3]
        await trio.sleep(0.8 * EARLY_WAIT)
        assert bob.lately() == []
        await trio.sleep(0.4 * EARLY_WAIT)
        assert bob.lately() == [4, 5]


async def test_the_time_of_a_hole_is_not_put_off(autojump_clock: MockClock) -> None:
    async with scene_of("ana", "bob") as (scene, (_, bob)):
        scene.store(1, 2)
        await scene.relayed(3, 3)
        await trio.sleep(0.8 * EARLY_WAIT)
        await scene.relayed(4, 4)
        await trio.sleep(0.4 * EARLY_WAIT)
        assert bob.lately() == [1, 2, 3, 4]


async def test_a_retry_of_what_waits_is_answered_when_that_was_passed(
    autojump_clock: MockClock,
) -> None:
    async with scene_of("ana", "bob") as (scene, (ana, bob)):
        scene.post(ana)
        await scene.answered(stored(2))
        scene.post(bob)
        await scene.answered(again(2))
        assert bob.lately() == []
        await scene.relayed(1, 1)
        assert ana.lately() == [1, ("sent", 2)]
        assert bob.lately() == [1, 2, ("repeated", 2)]


async def test_too_many_wait_no_longer() -> None:
    async with scene_of("ana", "bob") as (scene, (_, bob)):
        scene.store(1)
        await scene.relayed(2, MOST + 1)
        assert bob.lately() == []
        await scene.relayed(MOST + 2, MOST + 2)
        assert bob.lately() == list(range(1, MOST + 3))


# --- what other nodes tell ------------------------------------------------------------------------


async def test_what_another_node_tells_is_passed_once_and_told_nobody() -> None:
    async with scene_of("ana", "bob") as (scene, (ana, bob)):
        for first, last in ((1, 2), (1, 2), (2, 3)):
            await scene.relayed(first, last)
        assert ana.lately() == bob.lately() == [1, 2, 3]
        assert scene.relay.told == []
        assert scene.actor.relayed_bytes == 0
        assert scene.actor.senders == ["bob"] * 3


async def test_what_is_known_to_be_stored_is_read_at_once_up_to_what_is_at_hand() -> None:
    async with scene_of("ana", "bob") as (scene, (_, bob)):
        scene.store(1, 2, 5, 6)
        await scene.relayed(3, 4)
        await scene.stands(6)
        assert bob.lately() == [1, 2, 3, 4, 5, 6]
        assert scene.shards.reads == [(0, 2), (4, 6)]


async def test_what_was_passed_needs_no_look() -> None:
    async with scene_of("ana", head=5) as (scene, _):
        for seq in (4, 5):
            await scene.stands(seq)
        await scene.relayed(4, 5)
        assert scene.actor.statistics().batches == 0


async def test_it_is_told_once_how_far_the_store_is() -> None:
    async with scene_of("ana") as (scene, (ana,)):
        scene.store(1, 2)
        scene.shards.held = trio.Event()
        for _ in range(2):
            await scene.stands(2)
        assert scene.actor.statistics().mailbox.size == 0
        scene.shards.held.set()
        await wait_all_tasks_blocked()
        assert ana.lately() == [1, 2]
        assert scene.actor.statistics().batches == 1


async def test_what_is_in_the_mailbox_counts_until_it_is_taken() -> None:
    async with scene_of("ana") as (scene, (ana,)):
        scene.store(1)
        scene.shards.held = trio.Event()
        await scene.stands(1)
        for seq in (2, 3):
            await scene.relayed(seq, seq)
        assert scene.actor.relayed_bytes == 2
        scene.shards.held.set()
        await wait_all_tasks_blocked()
        assert scene.actor.relayed_bytes == 0
        assert ana.lately() == [1, 2, 3]


async def test_a_mailbox_with_too_much_in_it_leaves_the_rest_to_the_store() -> None:
    async with scene_of("ana") as (scene, (ana,)):
        scene.store(1, 2)
        scene.actor.relayed_bytes = MAX_RELAYED
        await scene.relayed(1, 1)
        assert scene.shards.reads == []
        scene.actor.relayed_bytes = MAX_RELAYED + 1
        await scene.relayed(2, 2)
        assert scene.shards.reads == [(1, 2)]
        assert ana.lately() == [1, 2]


async def test_what_lies_before_the_events_that_wait_is_read_in_portions() -> None:
    async with scene_of("ana") as (scene, (ana,)):
        scene.store(*range(1, 1201))
        await scene.stands(1200)
        assert ana.lately() == list(range(1, 1201))
        assert scene.shards.reads == [(0, 1200), (500, 1200), (1000, 1200)]


# --- own events that others know first ------------------------------------------------------------


async def test_an_own_event_that_is_read_waits_for_its_answer() -> None:
    async with scene_of("ana", "bob") as (scene, (ana, bob)):
        scene.store(1, 3)
        scene.store(2, by="ana", id_="mine")
        scene.post(ana, "mine")
        await scene.stands(3)
        assert ana.lately() == bob.lately() == [1]
        await scene.stands(4)  # of no use yet
        assert scene.shards.reads == [(0, 3)]
        scene.store(4)
        await scene.answered(stored(2))
        assert ana.lately() == [("sent", 2), 3, 4]
        assert bob.lately() == [2, 3, 4]
        assert scene.shards.reads == [(0, 3), (2, 4)]


async def test_the_same_id_of_somebody_else_waits_for_nothing() -> None:
    async with scene_of("ana", "bob") as (scene, (ana, _)):
        scene.store(1, by="bob", id_="mine")
        scene.post(ana, "mine")
        await scene.stands(1)
        assert ana.lately() == [1]


async def test_an_own_event_that_another_node_tells_of_meanwhile_is_passed(
    autojump_clock: MockClock,
) -> None:
    async with scene_of("ana", "bob") as (scene, (ana, bob)):
        scene.store(1, by="ana", id_="mine")
        scene.store(2)
        scene.post(ana, "mine")
        await scene.stands(2)
        assert bob.lately() == []
        await scene.relayed(1, 1)
        assert ana.lately() == bob.lately() == [1, 2]
        await scene.answered(again(1))
        assert ana.lately() == [("repeated", 1)]


async def test_what_stands_before_an_answer_is_passed_though_its_sender_tries_again() -> None:
    async with scene_of("ana", "bob") as (scene, (ana, bob)):
        scene.relay.hears = False
        scene.store(1, by="ana", id_="tried before")
        scene.post(bob)
        scene.post(ana, "tried before")
        await scene.answered(stored(2))
        assert ana.lately() == [1, 2]
        assert bob.lately() == [1, ("sent", 2)]
        await scene.answered(again(1))
        assert ana.lately() == [("repeated", 1)]


async def test_posts_of_one_id_are_open_until_all_are_answered() -> None:
    async with scene_of("ana", "bob") as (scene, (ana, bob)):
        laptop = scene.enter("ana", "laptop")
        scene.store(1, by="ana", id_="mine")
        scene.post(ana, "mine")
        scene.post(laptop, "mine")
        await scene.answered(Outcome(Status.CONFLICT))
        await scene.stands(1)
        assert bob.lately() == []
        await scene.answered(stored(1))
        assert bob.lately() == [1]
        assert laptop.lately() == [("sent", 1)]


# --- what is kept ---------------------------------------------------------------------------------


async def test_nothing_is_kept_when_all_was_passed(autojump_clock: MockClock) -> None:
    async with scene_of("ana", "bob") as (scene, (ana, _)):
        await scene.relayed(2, 2)
        assert scene.actor._early is not None
        await scene.relayed(1, 1)
        assert scene.actor._early is None
        scene.post(ana)
        await scene.answered(again(1))
        assert scene.actor._early is None
        assert scene.actor._open is None
        await trio.sleep(2 * EARLY_WAIT)  # the hole's time
        assert scene.actor._early is None
