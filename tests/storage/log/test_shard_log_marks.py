"""Watermarks on their way through a log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from chat4all_storage.log import queue
from chat4all_storage.log.shard_log import ShardLog
from chat4all_storage.ports.events import Mark
from tests.storage.builders import (
    append,
    fill,
    new_conversation,
)
from tests.storage.scripted_store import (
    COMMIT_TIME,
    Inbox,
    ScriptedStore,
    settle,
    submit,
)

if TYPE_CHECKING:
    import pytest
    from trio.testing import MockClock


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
    monkeypatch.setattr(queue, "MAX_FLUSH_MARKS", 2)
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
