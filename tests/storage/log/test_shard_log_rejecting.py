"""What a log does with what its database never takes, and with faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from msgspec.structs import replace

from chat4all_storage.log.entries import Answer, Entry
from chat4all_storage.ports.errors import Rejected, Unavailable
from chat4all_storage.ports.events import Append, CommitResult, Mark, Outcome, Status
from tests.storage.builders import (
    append,
    new_conversation,
)
from tests.storage.log.conftest import PATIENCE, bodies, statuses
from tests.storage.scripted_store import (
    IN_DOUBT_BUT_STORED,
    OUT_OF_REACH,
    POISON,
    POISON_USER,
    Inbox,
    ScriptedStore,
    answer_to,
    settle,
    submit,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

    from chat4all_storage.log.shard_log import ShardLog


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
    assert isinstance(await answer_to(log, append(conversation, "ann")), Outcome)


async def test_what_is_in_doubt_and_then_rejected_is_a_fault_without_an_answer(
    autojump_clock: MockClock, idle_log: ShardLog, store: ScriptedStore, inbox: Inbox
) -> None:
    conversation = await new_conversation(store, "ann")
    store.script.extend([IN_DOUBT_BUT_STORED, Rejected("broken")])
    submit(idle_log, inbox, append(conversation, "ann"))
    with pytest.RaisesGroup(pytest.RaisesExc(Rejected, match="broken")), trio.fail_after(1000):
        await idle_log.run()
    assert inbox.answers == []


async def test_what_is_rejected_is_in_the_log(
    autojump_clock: MockClock,
    log: ShardLog,
    store: ScriptedStore,
    conversation: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    log.mark_nowait(Mark(conversation, POISON_USER, 1, 1), lambda _: None)
    await answer_to(log, append(conversation, "ann", POISON))
    await settle()
    assert sorted(record.getMessage() for record in caplog.records) == [
        f"a mark in {conversation} was rejected: poison",
        f"an append to {conversation} was rejected: poison",
    ]


@pytest.mark.parametrize("what", ["outcomes", "marks"])
async def test_a_store_that_does_not_answer_for_all_is_a_fault(
    autojump_clock: MockClock,
    idle_log: ShardLog,
    store: ScriptedStore,
    inbox: Inbox,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    conversation = await new_conversation(store, "ann")
    commit = store.commit

    async def forgetful(appends: Sequence[Append], marks: Sequence[Mark]) -> CommitResult:
        return replace(await commit(appends, marks), **{what: []})

    monkeypatch.setattr(store, "commit", forgetful)
    submit(idle_log, inbox, append(conversation, "ann"))
    idle_log.mark_nowait(Mark(conversation, "ann", 1, 1), lambda _: None)
    with pytest.RaisesGroup(ValueError), trio.fail_after(1000):
        await idle_log.run()


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
    assert isinstance(await answer_to(idle_log, append(conversation, "ann", b"stored")), Outcome)
    assert inbox.answers == []
