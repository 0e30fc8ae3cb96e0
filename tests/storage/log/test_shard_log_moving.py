"""What a log gives back of a logical shard that is not to be written to its database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_protocol.ids import new_id
from chat4all_storage.log.entries import Entry, Refused
from chat4all_storage.log.shard_log import ShardLog
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.events import Mark, Outcome
from tests.storage.builders import append, conversation_of, new_conversation
from tests.storage.log.conftest import PATIENCE
from tests.storage.scripted_store import (
    COMMIT_TIME,
    IN_DOUBT,
    OUT_OF_REACH,
    POISON,
    Inbox,
    ScriptedStore,
    settle,
    submit,
)

if TYPE_CHECKING:
    from trio.testing import MockClock

    from chat4all_storage.log.entries import Returned

SHARD = 4


@pytest.fixture
def given_back() -> list[Returned]:
    return []


@pytest.fixture
async def log(store: ScriptedStore, given_back: list[Returned], nursery: trio.Nursery) -> ShardLog:
    def take(log: ShardLog, returned: Returned) -> None:
        assert log.store is store
        given_back.append(returned)

    log = ShardLog(store, patience=PATIENCE, max_pending=3, on_returned=take)
    await nursery.start(log.run)
    return log


@pytest.fixture
async def moving(store: ScriptedStore) -> str:
    return await new_conversation(store, "ann", "bob", id=conversation_of(SHARD))


@pytest.fixture
async def conversation(store: ScriptedStore) -> str:
    """One that stays."""
    return await new_conversation(store, "ann", "bob", id=conversation_of(SHARD + 1))


async def test_what_has_moved_comes_back_in_order_with_what_waits_of_its_shard(
    autojump_clock: MockClock,
    log: ShardLog,
    store: ScriptedStore,
    inbox: Inbox,
    given_back: list[Returned],
    moving: str,
    conversation: str,
) -> None:
    store.frozen_shards.add(SHARD)
    sent = [append(moving, "ann", b"%d" % number) for number in range(3)]
    staying = [append(conversation, "ann"), append(conversation, "bob")]
    submit(log, inbox, sent[0], staying[0], sent[1])
    log.mark_nowait(Mark(moving, "bob", 1, 0), lambda _: None)
    await trio.sleep(COMMIT_TIME / 2)
    submit(log, inbox, sent[2], staying[1])
    log.mark_nowait(Mark(moving, "bob", 1, 1), lambda _: None)
    await settle()
    (returned,) = given_back
    assert returned.shards == {SHARD}
    assert [entry.append for entry in returned.entries] == sent
    assert [each.mark.read for each in returned.marks] == [0, 1]
    assert inbox.appends == staying
    assert log.statistics().stored == 2
    assert log.statistics().pending_bytes == 0


async def test_a_shard_leaves_an_idle_log_at_once(
    autojump_clock: MockClock, log: ShardLog, given_back: list[Returned], store: ScriptedStore
) -> None:
    log.recall(SHARD)
    await settle()
    assert [(each.shards, each.entries, each.marks) for each in given_back] == [({SHARD}, [], [])]
    assert store.batches == []


async def test_a_shard_leaves_when_the_commit_under_way_is_over(
    autojump_clock: MockClock,
    log: ShardLog,
    store: ScriptedStore,
    inbox: Inbox,
    given_back: list[Returned],
    moving: str,
) -> None:
    sent = [append(moving, "ann"), append(moving, "ann")]
    submit(log, inbox, sent[0])
    await trio.sleep(COMMIT_TIME / 2)
    log.recall(SHARD)
    submit(log, inbox, sent[1])
    assert given_back == []
    await settle()
    assert inbox.appends == sent[:1]
    assert [entry.append for entry in given_back[0].entries] == sent[1:]
    assert store.batches == [sent[:1]]
    submit(log, inbox, append(moving, "ann"))  # it may come back
    await settle()
    assert len(inbox.answers) == 2


async def test_what_is_recalled_is_not_tried_again_but_the_rest_is(
    autojump_clock: MockClock,
    log: ShardLog,
    store: ScriptedStore,
    inbox: Inbox,
    given_back: list[Returned],
    moving: str,
    conversation: str,
) -> None:
    store.script.append(IN_DOUBT)
    sent, staying = append(moving, "ann"), append(conversation, "ann")
    submit(log, inbox, sent, staying)
    await trio.sleep(COMMIT_TIME / 2)
    log.recall(SHARD)
    await settle()
    assert store.batches == [[sent, staying], [staying]]
    assert inbox.appends == [staying]
    (entry,) = given_back[0].entries
    assert entry.append == sent
    assert entry.doubtful


async def test_a_log_whose_flush_is_recalled_finds_out_whether_its_database_is_back(
    autojump_clock: MockClock,
    log: ShardLog,
    store: ScriptedStore,
    inbox: Inbox,
    given_back: list[Returned],
    moving: str,
) -> None:
    store.script.append(OUT_OF_REACH)
    sent = append(moving, "ann")
    submit(log, inbox, sent)
    await trio.sleep(COMMIT_TIME / 2)
    log.recall(SHARD)
    await trio.sleep(COMMIT_TIME)
    assert len(given_back[0].entries) == 1
    assert not log.statistics().available
    await settle()
    assert store.batches == [[sent], []]
    assert log.statistics().available
    assert inbox.answers == []


async def test_without_anybody_to_take_it_back_it_is_refused(
    autojump_clock: MockClock,
    idle_log: ShardLog,
    store: ScriptedStore,
    inbox: Inbox,
    moving: str,
    nursery: trio.Nursery,
) -> None:
    await nursery.start(idle_log.run)
    store.moved_shards.add(SHARD)
    submit(idle_log, inbox, append(moving, "ann"))
    await settle()
    (answer,) = inbox.answers
    assert isinstance(answer, Refused)
    assert isinstance(answer.error, Unavailable)
    assert str(answer.error) == "the shard has moved"


async def test_what_comes_from_another_log_is_taken_beyond_the_bounds(
    autojump_clock: MockClock, log: ShardLog, inbox: Inbox, conversation: str
) -> None:
    for _ in range(5):
        log.resubmit_nowait(Entry(append(conversation, "ann"), inbox.receive, None))
    await settle()
    assert [type(answer) for answer in inbox.answers] == [Outcome] * 5


async def test_a_log_that_is_down_takes_from_another_only_what_is_in_doubt(
    autojump_clock: MockClock,
    log: ShardLog,
    store: ScriptedStore,
    inbox: Inbox,
    conversation: str,
) -> None:
    store.failure = OUT_OF_REACH
    submit(log, inbox, append(conversation, "ann"))
    await trio.sleep(2 * PATIENCE)
    assert log.down
    certain = Entry(append(conversation, "ann"), inbox.receive, None)
    with pytest.raises(Unavailable):
        log.resubmit_nowait(certain)
    doubtful = Entry(append(conversation, "ann"), inbox.receive, None, doubtful=True)
    log.resubmit_nowait(doubtful)
    await trio.sleep(2 * PATIENCE)
    assert len(inbox.answers) == 1
    store.failure = None
    await settle()
    assert inbox.appends[1:] == [doubtful.append]


async def test_what_has_moved_comes_back_from_every_part_of_a_flush_that_was_taken_apart(
    autojump_clock: MockClock,
    log: ShardLog,
    store: ScriptedStore,
    inbox: Inbox,
    given_back: list[Returned],
    moving: str,
) -> None:
    other = await new_conversation(store, "ann", id=conversation_of(SHARD + 1))
    store.frozen_shards.update({SHARD, SHARD + 1})
    sent = [append(moving, "ann"), append(other, "ann")]
    poison = append(new_id(), "ann", POISON)
    submit(log, inbox, sent[0], poison, sent[1])
    await settle()
    (returned,) = given_back
    assert returned.shards == {SHARD, SHARD + 1}
    assert [entry.append for entry in returned.entries] == sent
    assert inbox.appends == [poison]
