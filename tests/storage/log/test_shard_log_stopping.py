"""What becomes of what a log has taken when it stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_storage.log.entries import Answer, Entry, Refused
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.events import Append, Mark, Status
from tests.storage.builders import (
    append,
    events,
    new_conversation,
)
from tests.storage.log.conftest import DRAIN_TIMEOUT, bodies, statuses
from tests.storage.scripted_store import (
    COMMIT_TIME,
    IN_DOUBT_BUT_STORED,
    OUT_OF_REACH,
    Inbox,
    ScriptedStore,
    submit,
)

if TYPE_CHECKING:
    from trio.testing import MockClock

    from chat4all_storage.log.shard_log import ShardLog


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
    with pytest.raises(Unavailable, match="stops"):
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
    (answer,) = inbox.answers
    assert isinstance(answer, Refused)
    assert isinstance(answer.error, Unavailable)
    assert str(answer.error) == "the log was stopped"


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
