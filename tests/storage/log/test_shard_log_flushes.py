"""What shares a commit, and what must not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat4all_storage.log import queue
from chat4all_storage.ports.events import Outcome, Status
from tests.storage.builders import (
    append,
    change_role,
    delete,
    edit,
    events,
    join,
    leave,
    new_conversation,
)
from tests.storage.scripted_store import (
    Inbox,
    ScriptedStore,
    settle,
    submit,
)

if TYPE_CHECKING:
    import pytest
    from trio.testing import MockClock

    from chat4all_storage.log.shard_log import ShardLog


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


async def test_a_flush_has_a_greatest_number_of_entries(
    autojump_clock: MockClock,
    log: ShardLog,
    store: ScriptedStore,
    inbox: Inbox,
    conversation: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queue, "MAX_FLUSH_ENTRIES", 3)
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
    monkeypatch.setattr(queue, "MAX_FLUSH_BYTES", 2500)
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
    monkeypatch.setattr(queue, "MAX_FLUSH_ENTRIES", 3)
    entry, last = append(conversation, "ann"), append(conversation, "ann")
    submit(log, inbox, *[entry] * 10, last)
    await settle()
    assert inbox.appends == [*[entry] * 10, last]
    assert [answer.seq for answer in inbox.answers if isinstance(answer, Outcome)] == [1] * 10 + [2]
