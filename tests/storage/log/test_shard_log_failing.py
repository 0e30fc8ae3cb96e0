"""What a log answers, and when, while its database is out of reach or leaves it in doubt."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_storage.log.entries import Refused
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.events import Append, CommitResult, Mark, Outcome, Status
from tests.storage.builders import (
    append,
    events,
)
from tests.storage.log.conftest import PATIENCE, bodies, statuses
from tests.storage.scripted_store import (
    COMMIT_TIME,
    IN_DOUBT,
    IN_DOUBT_BUT_STORED,
    OUT_OF_REACH,
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


async def test_a_commit_that_stored_nothing_is_tried_again(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, conversation: str
) -> None:
    store.script.extend([OUT_OF_REACH] * 3)
    entry = append(conversation, "ann")
    outcome = await answer_to(log, entry)
    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.seq) == (Status.STORED, 1)
    assert store.batches == [[entry]] * 4
    assert log.statistics().retries == 3


async def test_retries_come_ever_more_slowly(
    autojump_clock: MockClock,
    log: ShardLog,
    store: ScriptedStore,
    inbox: Inbox,
    conversation: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[float] = []
    commit = store.commit

    async def noted(appends: Sequence[Append], marks: Sequence[Mark]) -> CommitResult:
        begun.append(trio.current_time())
        return await commit(appends, marks)

    monkeypatch.setattr(store, "commit", noted)
    store.failure = OUT_OF_REACH
    submit(log, inbox, append(conversation, "ann"))
    await trio.sleep(12)
    pauses = [later - earlier - COMMIT_TIME for earlier, later in pairwise(begun)]
    assert pauses == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0])


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
    assert inbox.answers == [Refused(OUT_OF_REACH)] * 2
    assert log.down
    assert await events(store, conversation) == []


async def test_a_log_that_is_down_refuses_at_once(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, inbox: Inbox, conversation: str
) -> None:
    store.failure = OUT_OF_REACH
    submit(log, inbox, append(conversation, "ann"))
    await trio.sleep(2 * PATIENCE)
    with pytest.raises(Unavailable, match="out of reach"):
        submit(log, inbox, append(conversation, "ann"))
    with pytest.raises(Unavailable):
        await answer_to(log, append(conversation, "ann"))
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
    assert isinstance(await answer_to(log, append(conversation, "ann", b"stored")), Outcome)
    assert await bodies(store, conversation) == [b"stored"]
    assert statuses(inbox) == [Unavailable]


async def test_an_outage_and_its_end_are_in_the_log(
    autojump_clock: MockClock,
    log: ShardLog,
    store: ScriptedStore,
    conversation: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await trio.sleep(60)
    store.script.extend([OUT_OF_REACH] * 2)
    await answer_to(log, append(conversation, "ann"))
    assert [record.getMessage() for record in caplog.records] == [
        f"database scripted does not commit: {OUT_OF_REACH}",
        "database scripted answers again after 3.1 s",
    ]


async def test_marks_outlive_an_outage(
    autojump_clock: MockClock, log: ShardLog, store: ScriptedStore, inbox: Inbox, conversation: str
) -> None:
    told: list[Mark] = []
    await answer_to(log, append(conversation, "ann"))
    store.failure = OUT_OF_REACH
    log.mark_nowait(Mark(conversation, "bob", 1, 0), told.append)
    submit(log, inbox, append(conversation, "ann"))
    await trio.sleep(2 * PATIENCE)
    log.mark_nowait(Mark(conversation, "bob", 1, 1), told.append)
    store.failure = None
    await settle()
    assert told == [Mark(conversation, "bob", 1, 0), Mark(conversation, "bob", 1, 1)]


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
