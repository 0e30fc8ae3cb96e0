"""How a log collects, orders and answers while its database is well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_storage.log import telling
from chat4all_storage.log.entries import Answer, Entry, LogFull
from chat4all_storage.log.shard_log import LogStatistics, ShardLog
from chat4all_storage.ports.events import Outcome, Status
from tests.storage.builders import (
    append,
    events,
)
from tests.storage.scripted_store import (
    COMMIT_TIME,
    Inbox,
    ScriptedStore,
    answer_to,
    settle,
    submit,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock


async def test_an_entry_is_committed_at_once(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, conversation: str
) -> None:
    start = trio.current_time()
    outcome = await answer_to(log, append(conversation, "ann"))
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
    monkeypatch.setattr(telling, "TOLD_AT_ONCE", 2)
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
    assert await answer_to(log, append(conversation, "carl")) == Outcome(Status.NOT_MEMBER)


async def test_whoever_gives_up_waiting_leaves_the_entry_in_the_log(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, conversation: str
) -> None:
    with trio.move_on_after(COMMIT_TIME / 2):
        await answer_to(log, append(conversation, "ann"))
    await settle()
    assert len(await events(store, conversation)) == 1
    assert await answer_to(log, append(conversation, "ann")) != Outcome(Status.NOT_MEMBER)


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
        await answer_to(log, refused)
    await settle()
    assert len(inbox.answers) == 3
    assert isinstance(await answer_to(log, refused), Outcome)


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
