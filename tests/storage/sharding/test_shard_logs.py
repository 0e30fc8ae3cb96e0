"""Writes follow a logical shard that moves: in order, each answered once, the others untouched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_storage.log.entries import LogFull, Refused
from chat4all_storage.ports.errors import Rejected, Unavailable
from chat4all_storage.ports.events import Mark, Status
from chat4all_storage.sharding import shard_logs
from tests.storage.builders import append, conversation_of, events, join, new_conversation
from tests.storage.scripted_store import (
    COMMIT_TIME,
    IN_DOUBT,
    IN_DOUBT_BUT_STORED,
    OUT_OF_REACH,
    POISON,
    settle,
)

from .world import PATIENCE, SHARD, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock


@pytest.fixture
async def world(nursery: trio.Nursery) -> World:
    world = World()
    for log in world.logs.all:
        await nursery.start(log.run)
    await nursery.start(world.logs.run)
    return world


@pytest.fixture
async def moving(world: World) -> str:
    """A conversation of the shard that moves."""
    return await new_conversation(world.a, "ann", "bob", id=conversation_of(SHARD))


@pytest.fixture
async def staying(world: World) -> str:
    """A conversation of the same database, in another shard."""
    return await new_conversation(world.a, "ann", "bob", id=conversation_of(SHARD + 2))


async def test_entries_go_to_the_database_of_their_conversation(
    autojump_clock: MockClock, world: World, moving: str
) -> None:
    other = await new_conversation(world.b, "ann", id=conversation_of(SHARD + 1))
    world.submit(append(moving, "ann"), append(other, "ann"))
    await settle()
    assert world.outcomes == [(Status.STORED, 1)] * 2
    assert (world.a.sizes, world.b.sizes) == ([1], [1])


async def test_a_frozen_shard_holds_its_entries_until_it_thaws(
    autojump_clock: MockClock, world: World, moving: str, staying: str
) -> None:
    world.freeze()
    world.submit(append(moving, "ann", b"1"), append(staying, "ann", b"1"))
    await trio.sleep(COMMIT_TIME * 1.5)
    assert world.outcomes == [(Status.STORED, 1)]  # of the other shard
    world.submit(append(moving, "ann", b"2"), append(staying, "ann", b"2"))
    await trio.sleep(COMMIT_TIME)
    world.a.frozen_shards.clear()
    await settle()
    assert [event.body for event in await events(world.a, moving)] == [b"1", b"2"]
    assert world.inbox.appends[-1].body == b"2"
    assert len(world.inbox.answers) == 4
    assert world.logs.held == 0


async def test_what_waits_follows_its_shard_in_order(
    autojump_clock: MockClock, world: World, moving: str
) -> None:
    sent = [append(moving, "ann", b"%d" % number) for number in range(12)]
    world.submit(*sent[:3])
    await trio.sleep(COMMIT_TIME / 2)
    world.submit(*sent[3:6])  # these wait behind the commit under way
    await trio.sleep(COMMIT_TIME)
    world.move()
    world.submit(*sent[6:9])  # and these behind one that will be answered with MOVED
    await trio.sleep(COMMIT_TIME)
    world.submit(*sent[9:10])
    world.tell()
    await trio.sleep(COMMIT_TIME / 3)
    world.submit(*sent[10:])
    await settle()
    assert world.inbox.appends == sent
    assert world.outcomes == [(Status.STORED, seq) for seq in range(1, 13)]
    assert [event.id for event in await events(world.b, moving)] == [each.id for each in sent]


async def test_nothing_goes_to_the_new_place_before_the_former_has_answered(
    autojump_clock: MockClock, world: World, moving: str
) -> None:
    sent = [append(moving, "ann", b"%d" % number) for number in range(3)]
    world.submit(sent[0])
    await trio.sleep(COMMIT_TIME / 2)
    world.submit(sent[1])
    # The commit of the first was decided before the move; its answer is still on its way.
    world.move()
    world.tell()
    await world.shards.refresh()
    world.submit(sent[2])
    await trio.sleep(COMMIT_TIME / 4)
    assert world.b.sizes == []
    await settle()
    assert world.inbox.appends == sent
    assert world.outcomes == [(Status.STORED, seq) for seq in (1, 2, 3)]


async def test_a_change_of_members_keeps_its_place_in_the_order(
    autojump_clock: MockClock, world: World, moving: str
) -> None:
    world.freeze()
    sent = [append(moving, "ann"), join(moving, "ann", "carl"), append(moving, "carl")]
    world.submit(*sent)
    await trio.sleep(COMMIT_TIME * 3)
    world.move()
    world.tell()
    await settle()
    assert world.inbox.appends == sent
    assert world.outcomes == [(Status.STORED, seq) for seq in (1, 2, 3)]


async def test_a_rejected_entry_does_not_change_the_order(
    autojump_clock: MockClock, world: World, moving: str, staying: str
) -> None:
    """The flush is taken apart, and the shard thaws between its parts."""
    world.freeze()
    sent = [append(moving, "ann", b"1"), append(moving, "ann", b"2"), append(moving, "ann", b"3")]
    world.submit(sent[0], append(staying, "ann"), sent[1], append(staying, "ann", POISON), sent[2])
    await trio.sleep(COMMIT_TIME * 2.5)  # the whole was rejected, its first half was answered
    world.a.frozen_shards.clear()
    await settle()
    assert [event.body for event in await events(world.a, moving)] == [b"1", b"2", b"3"]
    (refused,) = [each for each in world.inbox.answers if isinstance(each, Refused)]
    assert isinstance(refused.error, Rejected)


async def test_a_shard_that_is_not_served_is_refused_after_the_patience(
    autojump_clock: MockClock,
    world: World,
    moving: str,
    staying: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    world.freeze()
    start = trio.current_time()
    world.submit(append(moving, "ann"))
    while not world.inbox.answers:
        world.submit(append(staying, "ann"))
        await trio.sleep(0.25)
        world.inbox.calls = [c for c in world.inbox.calls if c[0][0].append.conversation == moving]
    (answer,) = world.inbox.answers
    assert isinstance(answer, Refused)
    assert isinstance(answer.error, Unavailable)
    assert str(answer.error) == "the shard is on the move"
    assert "1 messages have waited in vain for their shard" in caplog.messages
    assert PATIENCE < trio.current_time() - start < PATIENCE + 3 * COMMIT_TIME
    assert await events(world.a, moving) == []
    assert not any(log.down for log in world.logs.all)


@pytest.mark.parametrize("fate", [IN_DOUBT, IN_DOUBT_BUT_STORED], ids=["lost", "stored"])
async def test_what_may_have_been_stored_is_never_refused(
    autojump_clock: MockClock, world: World, moving: str, fate: Exception
) -> None:
    """It was in doubt in the former database: only the new one can tell, however late."""
    world.a.script.append(fate)
    world.submit(append(moving, "ann"))
    await trio.sleep(COMMIT_TIME / 2)
    world.move()
    await trio.sleep(PATIENCE * 3)
    assert world.inbox.answers == []
    world.b.failure = OUT_OF_REACH
    world.tell()
    await trio.sleep(PATIENCE * 5)
    assert world.logs.all[1].down
    assert world.inbox.answers == []
    world.b.failure = None
    await settle()
    assert world.outcomes == [(Status.STORED if fate is IN_DOUBT else Status.DUPLICATE, 1)]


async def test_marks_follow_their_shard(
    autojump_clock: MockClock, world: World, moving: str
) -> None:
    world.submit(*(append(moving, "ann") for _ in range(3)))
    await settle()
    marked: list[Mark] = []
    world.freeze()
    world.logs.mark_nowait(Mark(moving, "bob", 1, 1), marked.append)
    await trio.sleep(COMMIT_TIME * 1.5)
    world.logs.mark_nowait(Mark(moving, "bob", 3, 2), marked.append)
    world.move()
    await trio.sleep(COMMIT_TIME)
    assert marked == []
    world.tell()
    await settle()
    assert marked[-1] == Mark(moving, "bob", 3, 2)


async def test_a_shard_may_move_on_and_back(
    autojump_clock: MockClock, world: World, moving: str
) -> None:
    world.submit(append(moving, "ann"))
    await settle()
    world.move()
    world.tell()
    world.submit(append(moving, "ann"))
    await settle()
    world.b.moved_shards.add(SHARD)
    world.a.moved_shards.clear()
    world.a.frozen_shards.clear()
    world.a._logs[moving] = world.b._logs.pop(moving)
    world.submit(append(moving, "ann"))
    await trio.sleep(COMMIT_TIME * 2)
    world.directory.placed[SHARD] = "a"
    await settle()
    assert world.outcomes == [(Status.STORED, seq) for seq in (1, 2, 3)]


@pytest.mark.parametrize(("bound", "three"), [("MAX_HELD", 3), ("MAX_HELD_BYTES", 3 * 300)])
async def test_what_is_held_is_bounded(
    autojump_clock: MockClock,
    world: World,
    moving: str,
    monkeypatch: pytest.MonkeyPatch,
    bound: str,
    three: int,
) -> None:
    monkeypatch.setattr(shard_logs, bound, three)
    body = bytes(100)
    world.freeze()
    world.directory.placed[SHARD] = "a database that this node does not know"
    world.submit(append(moving, "ann", body))
    await trio.sleep(COMMIT_TIME * 1.1)
    assert world.logs.held == 1
    world.submit(append(moving, "ann", body), append(moving, "ann", body))
    with pytest.raises(LogFull):
        world.submit(append(moving, "ann", body))
    assert world.logs.held == 3


async def test_marks_wait_with_their_shard_and_become_one(
    autojump_clock: MockClock, world: World, moving: str
) -> None:
    world.submit(*(append(moving, "ann") for _ in range(3)))
    await settle()
    world.directory.placed[SHARD] = "a database that this node does not know"
    await world.shards.refresh()
    world.submit(append(moving, "ann"))  # so it is held
    told: list[tuple[str, Mark]] = []

    def tell(owner: str) -> Callable[[Mark], None]:
        return lambda mark: told.append((owner, mark))

    world.logs.mark_nowait(Mark(moving, "bob", 1, 1), tell("first"))
    world.logs.mark_nowait(Mark(moving, "bob", 3, 0), tell("second"))
    assert told == []
    world.directory.placed[SHARD] = "a"
    await settle()
    assert told == [("second", Mark(moving, "bob", 3, 1))]
    assert len(world.outcomes) == 4


async def test_marks_for_an_unknown_database_are_dropped(
    autojump_clock: MockClock, world: World, moving: str
) -> None:
    world.directory.placed[SHARD] = "a database that this node does not know"
    await world.shards.refresh()
    await settle()
    world.logs.mark_nowait(Mark(moving, "bob", 1, 1), lambda _: pytest.fail("it was written"))
    await settle()
    world.directory.placed[SHARD] = "a"  # from nowhere: there is no log to be waited for
    await world.shards.refresh()
    await settle()
    world.submit(append(moving, "ann"))
    await settle()
    assert world.outcomes == [(Status.STORED, 1)]


async def test_what_comes_to_a_database_that_is_down_is_refused(
    autojump_clock: MockClock, world: World, moving: str
) -> None:
    world.b.failure = OUT_OF_REACH
    other = await new_conversation(world.b, "ann", id=conversation_of(SHARD + 1))
    world.submit(append(other, "ann"))
    await trio.sleep(2 * PATIENCE)
    assert world.logs.all[1].down
    world.move()
    world.submit(append(moving, "ann"))
    await trio.sleep(COMMIT_TIME * 1.5)
    world.tell()
    await trio.sleep(COMMIT_TIME)
    assert [entry.append.conversation for call in world.inbox.calls for entry, _ in call] == [
        other,
        moving,
    ]
    assert all(isinstance(answer, Refused) for answer in world.inbox.answers)


async def test_an_unknown_database_is_refused_at_once(
    autojump_clock: MockClock, world: World, moving: str
) -> None:
    world.directory.placed[SHARD] = "c"
    await world.shards.refresh()
    await settle()
    world.logs._holds.clear()
    with pytest.raises(Unavailable):
        world.submit(append(moving, "ann"))
