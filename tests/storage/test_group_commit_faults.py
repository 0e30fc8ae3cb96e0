"""What a log answers, and when, while its database fails or the log stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_storage.group_commit import Answer, Entry, Refused, ShardLog
from chat4all_storage.ports.errors import Rejected, Unavailable
from chat4all_storage.ports.events import Append, Mark, Outcome, Status
from tests.storage.builders import append, events, new_conversation
from tests.storage.scripted_store import (
    COMMIT_TIME,
    IN_DOUBT,
    IN_DOUBT_BUT_STORED,
    OUT_OF_REACH,
    POISON,
    POISON_USER,
    Inbox,
    ScriptedStore,
    settle,
    submit,
)

if TYPE_CHECKING:
    from trio.testing import MockClock

PATIENCE = 10.0
DRAIN_TIMEOUT = 5.0


@pytest.fixture
def store() -> ScriptedStore:
    return ScriptedStore()


@pytest.fixture
def idle_log(store: ScriptedStore) -> ShardLog:
    return ShardLog(store, patience=PATIENCE, drain_timeout=DRAIN_TIMEOUT)


@pytest.fixture
async def log(idle_log: ShardLog, nursery: trio.Nursery) -> ShardLog:
    await nursery.start(idle_log.run)
    return idle_log


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
async def conversation(store: ScriptedStore) -> str:
    return await new_conversation(store, "ann", "bob")


def statuses(inbox: Inbox) -> list[Status | type[Exception]]:
    """What was answered, in short."""
    return [
        answer.status if isinstance(answer, Outcome) else type(answer.error)
        for answer in inbox.answers
    ]


async def bodies(store: ScriptedStore, conversation: str) -> list[bytes | None]:
    return [event.body for event in await events(store, conversation)]


# --- out of reach ---------------------------------------------------------------------------------


async def test_a_commit_that_stored_nothing_is_tried_again(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, conversation: str
) -> None:
    store.script.extend([OUT_OF_REACH] * 3)
    entry = append(conversation, "ann")
    outcome = await log.append(entry)
    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.seq) == (Status.STORED, 1)
    assert store.batches == [[entry]] * 4
    assert log.statistics().retries == 3


async def test_retries_come_ever_more_slowly(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, inbox: Inbox, conversation: str
) -> None:
    store.failure = OUT_OF_REACH
    submit(log, inbox, append(conversation, "ann"))
    await trio.sleep(100)
    assert 45 <= len(store.batches) <= 55  # once in two seconds: the commit, and the pause


async def test_nobody_is_refused_before_the_patience_is_at_its_end(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, inbox: Inbox, conversation: str
) -> None:
    store.failure = OUT_OF_REACH
    submit(log, inbox, append(conversation, "ann", b"tried"))
    await trio.sleep(PATIENCE - 0.1)
    submit(log, inbox, append(conversation, "bob", b"waiting"))
    assert inbox.answers == []
    assert not log.down
    assert not log.statistics().available
    await trio.sleep(2 * COMMIT_TIME + 0.1)
    assert sorted(each.body or b"" for each in inbox.appends) == [b"tried", b"waiting"]
    assert statuses(inbox) == [Unavailable, Unavailable]
    assert log.down
    assert await events(store, conversation) == []


async def test_a_log_that_is_down_refuses_at_once(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, inbox: Inbox, conversation: str
) -> None:
    store.failure = OUT_OF_REACH
    submit(log, inbox, append(conversation, "ann"))
    await trio.sleep(2 * PATIENCE)
    with pytest.raises(Unavailable):
        submit(log, inbox, append(conversation, "ann"))
    with pytest.raises(Unavailable):
        await log.append(append(conversation, "ann"))
    assert len(inbox.answers) == 1


async def test_a_commit_that_hangs_refuses_what_comes_after_the_patience(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, inbox: Inbox, conversation: str
) -> None:
    store.frozen = True
    submit(log, inbox, append(conversation, "ann"))
    await trio.sleep(PATIENCE - 0.1)
    submit(log, inbox, append(conversation, "ann"))
    await trio.sleep(0.2)
    with pytest.raises(Unavailable):
        submit(log, inbox, append(conversation, "ann"))
    assert inbox.answers == []  # of the others nothing is certain yet


async def test_a_log_comes_back_by_itself(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, inbox: Inbox, conversation: str
) -> None:
    store.failure = OUT_OF_REACH
    submit(log, inbox, append(conversation, "ann", b"refused"))
    await trio.sleep(10 * PATIENCE)
    assert log.down
    store.failure = None
    await trio.sleep(3 * COMMIT_TIME)
    assert not log.down
    assert log.statistics().available
    assert isinstance(await log.append(append(conversation, "ann", b"stored")), Outcome)
    assert await bodies(store, conversation) == [b"stored"]
    assert statuses(inbox) == [Unavailable]


async def test_marks_outlive_an_outage(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, inbox: Inbox, conversation: str
) -> None:
    told: list[Mark] = []
    await log.append(append(conversation, "ann"))
    store.failure = OUT_OF_REACH
    log.mark_nowait(Mark(conversation, "bob", 1, 0), told.append)
    submit(log, inbox, append(conversation, "ann"))
    await trio.sleep(2 * PATIENCE)
    log.mark_nowait(Mark(conversation, "bob", 1, 1), told.append)
    store.failure = None
    await settle()
    assert told == [Mark(conversation, "bob", 1, 0), Mark(conversation, "bob", 1, 1)]


# --- in doubt -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("doubt", "status"),
    [(IN_DOUBT, Status.STORED), (IN_DOUBT_BUT_STORED, Status.DUPLICATE)],
    ids=["not stored", "stored"],
)
async def test_a_doubtful_commit_is_repeated_as_it_was(
    autojump_clock: MockClock,
    log: ShardLog,
    store: ScriptedStore,
    inbox: Inbox,
    conversation: str,
    doubt: Exception,
    status: Status,
) -> None:
    store.script.append(doubt)
    sent = [append(conversation, "ann") for _ in range(3)]
    submit(log, inbox, *sent)
    await trio.sleep(COMMIT_TIME / 2)
    submit(log, inbox, append(conversation, "bob"))
    await settle()
    assert store.batches[:2] == [sent, sent]
    assert statuses(inbox) == [status] * 3 + [Status.STORED]
    assert [answer.seq for answer in inbox.answers if isinstance(answer, Outcome)] == [1, 2, 3, 4]
    assert len(await events(store, conversation)) == 4


@pytest.mark.parametrize("later", [IN_DOUBT, OUT_OF_REACH], ids=["doubt", "outage"])
async def test_there_is_no_answer_while_in_doubt(
    autojump_clock: MockClock,
    log: ShardLog,
    store: ScriptedStore,
    inbox: Inbox,
    conversation: str,
    later: Exception,
) -> None:
    store.script.append(IN_DOUBT_BUT_STORED)
    store.failure = later
    entry = append(conversation, "ann", b"in doubt")
    submit(log, inbox, entry)
    await trio.sleep(COMMIT_TIME / 2)
    submit(log, inbox, append(conversation, "ann", b"waiting"))
    await trio.sleep(10 * PATIENCE)
    assert [each.body for each in inbox.appends] == [b"waiting"]
    assert statuses(inbox) == [Unavailable]
    assert log.down
    store.failure = None
    await settle()
    assert inbox.appends[1] == entry
    assert statuses(inbox) == [Unavailable, Status.DUPLICATE]
    assert await bodies(store, conversation) == [b"in doubt"]


# --- rejected -------------------------------------------------------------------------------------


async def test_of_a_rejected_flush_only_the_poison_is_refused(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, inbox: Inbox, conversation: str
) -> None:
    told: list[Mark] = []
    sent = [append(conversation, "ann", b"%d" % number) for number in range(9)]
    sent[3] = append(conversation, "ann", POISON)
    sent[7] = append(conversation, "ann", POISON)
    submit(log, inbox, *sent)
    log.mark_nowait(Mark(conversation, "bob", 5, 5), told.append)
    await settle()
    assert inbox.appends == sent
    assert statuses(inbox) == [Rejected if each.body == POISON else Status.STORED for each in sent]
    assert await bodies(store, conversation) == [b"0", b"1", b"2", b"4", b"5", b"6", b"8"]
    assert told == [Mark(conversation, "bob", 5, 5)]


async def test_a_poisonous_mark_is_dropped_alone(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, inbox: Inbox, conversation: str
) -> None:
    told: list[Mark] = []
    submit(log, inbox, append(conversation, "ann"))
    for user in ("ann", POISON_USER, "bob"):
        log.mark_nowait(Mark(conversation, user, 1, 1), told.append)
    await settle()
    assert statuses(inbox) == [Status.STORED]
    assert [mark.user for mark in told] == ["ann", "bob"]


async def test_a_rejection_shows_that_the_database_is_back(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, inbox: Inbox, conversation: str
) -> None:
    store.script.append(OUT_OF_REACH)
    submit(log, inbox, append(conversation, "ann", POISON))
    await trio.sleep(2 * PATIENCE)
    assert statuses(inbox) == [Rejected]
    assert isinstance(await log.append(append(conversation, "ann")), Outcome)


async def test_what_is_in_doubt_and_then_rejected_is_a_fault_without_an_answer(
    autojump_clock: MockClock, idle_log: ShardLog, store: ScriptedStore, inbox: Inbox
) -> None:
    conversation = await new_conversation(store, "ann")
    store.script.extend([IN_DOUBT_BUT_STORED, Rejected("broken")])
    submit(idle_log, inbox, append(conversation, "ann"))
    with pytest.RaisesGroup(pytest.RaisesExc(Rejected, match="broken")), trio.fail_after(1000):
        await idle_log.run()
    assert inbox.answers == []


async def test_an_owner_that_raises_is_a_fault_of_the_log(
    autojump_clock: MockClock, idle_log: ShardLog, store: ScriptedStore
) -> None:
    conversation = await new_conversation(store, "ann")

    def owner(answers: list[tuple[Entry[None], Answer]]) -> None:
        raise ZeroDivisionError("a defect")

    idle_log.submit_nowait(Entry(append(conversation, "ann"), owner, None))
    with pytest.RaisesGroup(ZeroDivisionError), trio.fail_after(1000):
        await idle_log.run()


async def test_a_log_can_be_run_again_after_a_fault(
    autojump_clock: MockClock, idle_log: ShardLog, store: ScriptedStore, nursery: trio.Nursery
) -> None:
    conversation = await new_conversation(store, "ann")
    inbox = Inbox()
    store.script.append(ZeroDivisionError("a defect"))
    submit(idle_log, inbox, append(conversation, "ann", b"lost"))
    with pytest.RaisesGroup(ZeroDivisionError), trio.fail_after(1000):
        await idle_log.run()
    with pytest.raises(Unavailable):
        submit(idle_log, inbox, append(conversation, "ann", b"refused"))
    await nursery.start(idle_log.run)
    assert isinstance(await idle_log.append(append(conversation, "ann", b"stored")), Outcome)
    assert inbox.answers == []


# --- stopping -------------------------------------------------------------------------------------


async def test_a_stop_writes_what_was_taken_before(
    autojump_clock: MockClock, idle_log: ShardLog, store: ScriptedStore, inbox: Inbox
) -> None:
    conversation = await new_conversation(store, "ann", "bob")
    told: list[Mark] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(idle_log.run)
        submit(idle_log, inbox, append(conversation, "ann", b"in flight"))
        await trio.sleep(COMMIT_TIME / 2)
        submit(idle_log, inbox, append(conversation, "ann", b"waiting"))
        idle_log.mark_nowait(Mark(conversation, "bob", 2, 0), told.append)
        nursery.cancel_scope.cancel()
    assert statuses(inbox) == [Status.STORED, Status.STORED]
    assert told == [Mark(conversation, "bob", 2, 0)]
    assert await bodies(store, conversation) == [b"in flight", b"waiting"]


async def test_a_stopped_log_takes_nothing(
    autojump_clock: MockClock, idle_log: ShardLog, store: ScriptedStore, inbox: Inbox
) -> None:
    conversation = await new_conversation(store, "ann")
    async with trio.open_nursery() as nursery:
        await nursery.start(idle_log.run)
        nursery.cancel_scope.cancel()
    with pytest.raises(Unavailable):
        submit(idle_log, inbox, append(conversation, "ann"))
    idle_log.mark_nowait(Mark(conversation, "ann", 1, 1), lambda mark: None)
    assert idle_log.statistics().pending == 0


async def test_an_endless_stream_of_entries_does_not_keep_a_log_from_stopping(
    autojump_clock: MockClock, idle_log: ShardLog, store: ScriptedStore
) -> None:
    conversation = await new_conversation(store, "ann")
    refused: list[Unavailable] = []

    def again(answers: list[tuple[Entry[None], Answer]]) -> None:
        try:
            idle_log.submit_nowait(Entry(append(conversation, "ann"), again, None))
        except Unavailable as error:
            refused.append(error)

    again([])
    with trio.move_on_after(10 * COMMIT_TIME):
        await idle_log.run()
    assert len(refused) == 1
    assert trio.current_time() < 20 * COMMIT_TIME


async def test_a_stop_takes_no_longer_than_its_time(
    autojump_clock: MockClock, idle_log: ShardLog, store: ScriptedStore, inbox: Inbox
) -> None:
    conversation = await new_conversation(store, "ann")
    store.frozen = True
    async with trio.open_nursery() as nursery:
        await nursery.start(idle_log.run)
        submit(idle_log, inbox, append(conversation, "ann", b"in flight"))
        await trio.sleep(COMMIT_TIME)
        submit(idle_log, inbox, append(conversation, "ann", b"waiting"))
        nursery.cancel_scope.cancel()
        stopped = trio.current_time()
    assert trio.current_time() - stopped == pytest.approx(DRAIN_TIMEOUT, abs=0.1)
    # What was under way may have been stored: nothing is said of it.
    assert [each.body for each in inbox.appends] == [b"waiting"]
    assert statuses(inbox) == [Unavailable]


async def test_a_stop_during_an_outage_refuses_everything_at_once(
    autojump_clock: MockClock, idle_log: ShardLog, store: ScriptedStore, inbox: Inbox
) -> None:
    conversation = await new_conversation(store, "ann")
    store.failure = OUT_OF_REACH
    sent: list[Append] = [append(conversation, "ann") for _ in range(3)]
    async with trio.open_nursery() as nursery:
        await nursery.start(idle_log.run)
        submit(idle_log, inbox, sent[0])
        await trio.sleep(1.5 * COMMIT_TIME)
        submit(idle_log, inbox, *sent[1:])
        nursery.cancel_scope.cancel()
    assert inbox.appends == sent
    assert all(isinstance(answer, Refused) for answer in inbox.answers)
    assert await events(store, conversation) == []


async def test_a_stop_still_clears_up_a_doubt(
    autojump_clock: MockClock, idle_log: ShardLog, store: ScriptedStore, inbox: Inbox
) -> None:
    conversation = await new_conversation(store, "ann")
    store.script.append(IN_DOUBT_BUT_STORED)
    async with trio.open_nursery() as nursery:
        await nursery.start(idle_log.run)
        submit(idle_log, inbox, append(conversation, "ann"))
        await trio.sleep(COMMIT_TIME / 2)
        nursery.cancel_scope.cancel()
    assert statuses(inbox) == [Status.DUPLICATE]
