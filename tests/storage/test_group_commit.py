"""How a log collects, orders and answers while its database is well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from chat4all_storage import group_commit
from chat4all_storage.group_commit import Answer, Entry, LogFull, LogStatistics, ShardLog
from chat4all_storage.ports.events import Mark, Outcome, Status
from tests.storage.builders import (
    append,
    change_role,
    delete,
    edit,
    events,
    fill,
    join,
    leave,
    new_conversation,
)
from tests.storage.scripted_store import COMMIT_TIME, Inbox, ScriptedStore, settle, submit

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock


@pytest.fixture
def store() -> ScriptedStore:
    return ScriptedStore()


@pytest.fixture
async def log(store: ScriptedStore, nursery: trio.Nursery) -> ShardLog:
    log = ShardLog(store)
    await nursery.start(log.run)
    return log


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
async def conversation(store: ScriptedStore) -> str:
    return await new_conversation(store, "ann", "bob")


# --- collecting -----------------------------------------------------------------------------------


async def test_an_entry_is_committed_at_once(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, conversation: str
) -> None:
    start = trio.current_time()
    outcome = await log.append(append(conversation, "ann"))
    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.seq) == (Status.STORED, 1)
    assert trio.current_time() - start == pytest.approx(COMMIT_TIME)


async def test_what_comes_during_a_commit_shares_the_next_one(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, inbox: Inbox, conversation: str
) -> None:
    submit(log, inbox, append(conversation, "ann"))
    await trio.sleep(COMMIT_TIME / 2)
    submit(log, inbox, *(append(conversation, "ann") for _ in range(5)))
    await trio.sleep(COMMIT_TIME / 4)
    submit(log, inbox, *(append(conversation, "bob") for _ in range(2)))
    await settle()
    assert store.sizes == [1, 7]


async def test_an_idle_log_commits_nothing(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore
) -> None:
    await settle()
    assert store.batches == []


async def test_entries_keep_their_order_and_get_one_answer_each(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, inbox: Inbox, conversation: str
) -> None:
    sent = [append(conversation, "ann", b"%d" % number) for number in range(50)]
    for each in sent:
        submit(log, inbox, each)
        await trio.sleep(COMMIT_TIME / 7)
    await settle()
    assert inbox.appends == sent
    assert [answer.seq for answer in inbox.answers if isinstance(answer, Outcome)] == list(
        range(1, 51)
    )
    assert [event.id for event in await events(store, conversation)] == [each.id for each in sent]


async def test_each_owner_is_told_once_per_flush_in_order(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, conversation: str
) -> None:
    ann, bob = Inbox(), Inbox()
    for number in range(3):
        for inbox, sender in ((ann, "ann"), (bob, "bob")):
            context = f"{sender}-{number}"
            log.submit_nowait(Entry(append(conversation, sender), inbox.receive, context))
    await settle()
    assert store.sizes == [6]
    for inbox, sender, seqs in ((ann, "ann", [1, 3, 5]), (bob, "bob", [2, 4, 6])):
        (call,) = inbox.calls
        assert [entry.context for entry, _ in call] == [f"{sender}-{number}" for number in range(3)]
        assert [answer.seq for _, answer in call if isinstance(answer, Outcome)] == seqs


async def test_no_answer_comes_before_the_commit_has_returned(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, conversation: str
) -> None:
    early: list[str] = []

    def owner(answers: list[tuple[Entry[None], Answer]]) -> None:
        early.extend(e.append.id for e, _ in answers if e.append.id not in store.returned)

    for _ in range(20):
        log.submit_nowait(Entry(append(conversation, "ann"), owner, None))
        await trio.sleep(COMMIT_TIME / 3)
    await settle()
    assert len(store.returned) == 20
    assert early == []


async def test_the_next_commit_begins_before_the_answers_are_given(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, conversation: str
) -> None:
    commits_begun: list[int] = []

    def owner(answers: list[tuple[Entry[None], Answer]]) -> None:
        commits_begun.append(len(store.batches))

    log.submit_nowait(Entry(append(conversation, "ann"), owner, None))
    await trio.sleep(COMMIT_TIME / 2)
    log.submit_nowait(Entry(append(conversation, "ann"), owner, None))
    await settle()
    assert commits_begun == [2, 2]


async def test_others_get_their_turn_while_many_owners_are_told(
    autojump_clock: MockClock,
    log: ShardLog,
    store: ScriptedStore,
    nursery: trio.Nursery,
    conversation: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_commit, "TOLD_AT_ONCE", 2)
    told: list[int] = []
    seen: list[int] = []

    async def look() -> None:
        for _ in range(10):
            seen.append(len(told))
            await trio.lowlevel.checkpoint()

    def owner(number: int) -> Callable[[list[tuple[Entry[None], Answer]]], None]:
        def receive(answers: list[tuple[Entry[None], Answer]]) -> None:
            if not told:
                nursery.start_soon(look)
            told.append(number)

        return receive

    for number in range(6):
        log.submit_nowait(Entry(append(conversation, "ann"), owner(number), None))
    await settle()
    assert store.sizes == [6]
    assert told == [0, 1, 2, 3, 4, 5]
    assert {2, 4} & set(seen)


async def test_refusals_of_the_store_are_answers(
    autojump_clock: MockClock, log: ShardLog, conversation: str
) -> None:
    assert await log.append(append(conversation, "carl")) == Outcome(Status.NOT_MEMBER)


async def test_whoever_gives_up_waiting_leaves_the_entry_in_the_log(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, conversation: str
) -> None:
    with trio.move_on_after(COMMIT_TIME / 2):
        await log.append(append(conversation, "ann"))
    await settle()
    assert len(await events(store, conversation)) == 1
    assert await log.append(append(conversation, "ann")) != Outcome(Status.NOT_MEMBER)


# --- what must not share a flush ------------------------------------------------------------------


async def test_a_repeated_id_waits_for_the_answer_to_the_first(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, inbox: Inbox, conversation: str
) -> None:
    first, second = append(conversation, "ann"), append(conversation, "ann")
    submit(log, inbox, first, first, second, first)
    await settle()
    assert inbox.appends == [first, first, second, first]
    assert [(a.status, a.seq) for a in inbox.answers if isinstance(a, Outcome)] == [
        (Status.STORED, 1),
        (Status.DUPLICATE, 1),
        (Status.STORED, 2),
        (Status.DUPLICATE, 1),
    ]
    for batch in store.batches:
        assert len({each.id for each in batch}) == len(batch)


async def test_an_entry_never_passes_one_of_its_conversation_that_waits(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, inbox: Inbox, conversation: str
) -> None:
    refused = append(conversation, "ann", b"refused", reply_to=99)
    accepted = append(conversation, "ann", b"accepted", id=refused.id)
    after = append(conversation, "ann", b"after")
    submit(log, inbox, refused, accepted, after)
    await settle()
    assert [event.body for event in await events(store, conversation)] == [b"accepted", b"after"]


async def test_other_conversations_pass_one_that_waits(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, inbox: Inbox, conversation: str
) -> None:
    other = await new_conversation(store, "ann")
    entry = append(conversation, "ann")
    submit(log, inbox, entry, entry, append(other, "ann"))
    await settle()
    assert store.sizes == [2, 1]
    assert store.batches[1] == [entry]


async def test_the_same_id_of_two_senders_or_conversations_shares_a_flush(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, inbox: Inbox, conversation: str
) -> None:
    other = await new_conversation(store, "ann")
    entry = append(conversation, "ann")
    submit(log, inbox, entry, append(conversation, "bob", id=entry.id))
    submit(log, inbox, append(other, "ann", id=entry.id))
    await settle()
    assert store.sizes == [3]


async def test_what_follows_a_join_is_decided_by_the_new_members(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, inbox: Inbox, conversation: str
) -> None:
    sent = [
        append(conversation, "carl"),
        join(conversation, "ann", "carl"),
        append(conversation, "carl"),
        leave(conversation, "ann", "carl"),
        append(conversation, "carl"),
    ]
    submit(log, inbox, *sent)
    await settle()
    assert store.batches == [sent[:2], sent[2:4], sent[4:]]
    assert [answer.status for answer in inbox.answers if isinstance(answer, Outcome)] == [
        Status.NOT_MEMBER,
        Status.STORED,
        Status.STORED,
        Status.STORED,
        Status.NOT_MEMBER,
    ]


async def test_what_follows_a_change_or_an_edit_of_the_same_message_waits_for_the_next_flush(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, inbox: Inbox, conversation: str
) -> None:
    submit(log, inbox, append(conversation, "ann"), append(conversation, "bob"))
    await settle()
    sent = [
        edit(conversation, "ann", 1),
        edit(conversation, "bob", 2),
        delete(conversation, "ann", 1),
        change_role(conversation, "ann", "bob", "admin"),
        delete(conversation, "bob", 2),
    ]
    submit(log, inbox, *sent)
    await settle()
    assert store.batches[1:] == [sent[:2], sent[2:4], sent[4:]]
    statuses = [answer.status for answer in inbox.answers if isinstance(answer, Outcome)]
    assert statuses == [Status.STORED] * 7


# --- limits ---------------------------------------------------------------------------------------


async def test_a_flush_has_a_greatest_number_of_entries(
    autojump_clock: MockClock,
    log: ShardLog,
    store: ScriptedStore,
    inbox: Inbox,
    conversation: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_commit, "MAX_FLUSH_ENTRIES", 3)
    sent = [append(conversation, "ann") for _ in range(8)]
    submit(log, inbox, *sent)
    await settle()
    assert store.sizes == [3, 3, 2]
    assert inbox.appends == sent
    assert log.statistics().largest_flush == 3


async def test_a_flush_has_a_size_after_which_nothing_is_added(
    autojump_clock: MockClock,
    log: ShardLog,
    store: ScriptedStore,
    inbox: Inbox,
    conversation: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_commit, "MAX_FLUSH_BYTES", 2500)
    submit(log, inbox, *(append(conversation, "ann", bytes(800)) for _ in range(7)))
    await settle()
    assert store.sizes == [3, 3, 1]


async def test_many_repetitions_are_answered_in_many_flushes(
    autojump_clock: MockClock,
    log: ShardLog,
    store: ScriptedStore,
    inbox: Inbox,
    conversation: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_commit, "MAX_FLUSH_ENTRIES", 3)
    entry, last = append(conversation, "ann"), append(conversation, "ann")
    submit(log, inbox, *[entry] * 10, last)
    await settle()
    assert inbox.appends == [*[entry] * 10, last]
    assert [answer.seq for answer in inbox.answers if isinstance(answer, Outcome)] == [1] * 10 + [2]


async def test_a_full_log_takes_nothing_until_it_has_written(
    autojump_clock: MockClock,
    store: ScriptedStore,
    inbox: Inbox,
    conversation: str,
    nursery: trio.Nursery,
) -> None:
    log = ShardLog(store, max_pending=3)
    await nursery.start(log.run)
    submit(log, inbox, *(append(conversation, "ann") for _ in range(3)))
    refused = append(conversation, "ann")
    with pytest.raises(LogFull):
        submit(log, inbox, refused)
    with pytest.raises(LogFull):
        await log.append(refused)
    await settle()
    assert len(inbox.answers) == 3
    assert isinstance(await log.append(refused), Outcome)


async def test_a_log_is_full_by_the_bytes_that_wait(
    autojump_clock: MockClock,
    store: ScriptedStore,
    inbox: Inbox,
    conversation: str,
    nursery: trio.Nursery,
) -> None:
    log = ShardLog(store, max_pending_bytes=5000)
    await nursery.start(log.run)
    submit(log, inbox, append(conversation, "ann", bytes(2000), meta=bytes(2000)))
    with pytest.raises(LogFull):
        submit(log, inbox, append(conversation, "ann", bytes(1000)))
    submit(log, inbox, append(conversation, "ann", bytes(10)))
    await settle()
    assert len(inbox.answers) == 2
    assert log.statistics().pending_bytes == 0


async def test_statistics_say_what_was_done_and_waits(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, inbox: Inbox, conversation: str
) -> None:
    submit(log, inbox, append(conversation, "ann"), append(conversation, "carl"))
    await trio.sleep(COMMIT_TIME / 2)
    submit(log, inbox, append(conversation, "ann", bytes(100)))
    waiting = log.statistics()
    assert (waiting.pending, waiting.commits) == (1, 0)
    assert waiting.pending_bytes > 100
    await settle()
    assert log.statistics() == LogStatistics(
        pending=0,
        pending_bytes=0,
        commits=2,
        stored=2,
        retries=0,
        largest_flush=2,
        available=True,
    )


# --- marks ----------------------------------------------------------------------------------------


async def test_marks_of_a_member_that_wait_become_one(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, conversation: str
) -> None:
    told: list[tuple[str, Mark]] = []

    def tell(owner: str) -> Any:
        return lambda mark: told.append((owner, mark))

    await fill(store, conversation, "ann", 9)
    log.mark_nowait(Mark(conversation, "bob", 1, 1), tell("first"))
    await trio.sleep(COMMIT_TIME / 2)
    log.mark_nowait(Mark(conversation, "bob", 5, 2), tell("replaced"))
    log.mark_nowait(Mark(conversation, "bob", 4, 3), tell("second"))
    log.mark_nowait(Mark(conversation, "ann", 99, 0), tell("ann's"))
    await settle()
    assert [len(marks) for marks in store.mark_batches if marks] == [1, 2]
    assert told == [
        ("first", Mark(conversation, "bob", 1, 1)),
        ("second", Mark(conversation, "bob", 5, 3)),
        ("ann's", Mark(conversation, "ann", 9, 0)),
    ]


async def test_nobody_is_told_of_the_mark_of_a_stranger(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, conversation: str
) -> None:
    told: list[Mark] = []
    log.mark_nowait(Mark(conversation, "carl", 1, 1), told.append)
    await settle()
    assert store.mark_batches == [[Mark(conversation, "carl", 1, 1)]]
    assert told == []


async def test_marks_go_with_the_entries_and_in_limited_numbers(
    autojump_clock: MockClock,
    log: ShardLog,
    store: ScriptedStore,
    inbox: Inbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_commit, "MAX_FLUSH_MARKS", 2)
    conversations = [await new_conversation(store, "ann") for _ in range(5)]
    told: list[Mark] = []
    submit(log, inbox, append(conversations[0], "ann"))
    for each in conversations:
        log.mark_nowait(Mark(each, "ann", 1, 1), told.append)
    await settle()
    assert store.sizes == [1, 0, 0]
    assert [mark.conversation for mark in told] == conversations


async def test_too_many_marks_are_dropped(
    autojump_clock: MockClock, store: ScriptedStore, conversation: str, nursery: trio.Nursery
) -> None:
    log = ShardLog(store, max_pending=1)
    await nursery.start(log.run)
    told: list[Mark] = []
    log.mark_nowait(Mark(conversation, "ann", 0, 0), told.append)
    log.mark_nowait(Mark(conversation, "bob", 0, 0), told.append)
    await settle()
    assert [mark.user for mark in told] == ["ann"]
