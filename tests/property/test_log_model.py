"""Whatever a database does to a log, its answers are true, ordered and one for each entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from chat4all_protocol.ids import new_id
from chat4all_storage.log.entries import Entry, Refused
from chat4all_storage.log.shard_log import ShardLog
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.events import Append, Outcome, Status
from tests.storage.builders import append, events, join, leave, new_conversation
from tests.storage.scripted_store import (
    IN_DOUBT,
    IN_DOUBT_BUT_STORED,
    OUT_OF_REACH,
    POISON,
    Inbox,
    ScriptedStore,
    settle,
)

if TYPE_CHECKING:
    from chat4all_storage.log.entries import Answer

PATIENCE = 3.0
SENDERS = ("ann", "bob")

bodies = st.sampled_from([b"one"] * 6 + [b"other", POISON])
sends = st.tuples(st.integers(0, 1), st.sampled_from(SENDERS), st.integers(0, 9), bodies, st.none())
changes = st.tuples(
    st.integers(0, 1), st.just("ann"), st.just(0), st.none(), st.sampled_from([join, leave])
)
pauses = st.sampled_from([0.0, 0.0, 0.3, 1.5, 8.0])
scripts = st.lists(st.tuples(st.one_of(sends, sends, sends, changes), pauses), max_size=30)
# A poison that is in doubt is a fault of its own, which the log does not survive.
fates = st.lists(
    st.sampled_from([None, None, OUT_OF_REACH, IN_DOUBT, IN_DOUBT_BUT_STORED]), max_size=12
)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(script=scripts, fates=fates)
def test_every_entry_gets_one_true_answer(
    script: list[tuple[Any, float]], fates: list[Exception | None]
) -> None:
    poisoned = any(draft[3] == POISON for draft, _ in script)
    if poisoned:
        fates = [None if isinstance(fate, type(IN_DOUBT)) else fate for fate in fates]
    trio.run(play, script, fates, clock=MockClock(autojump_threshold=0))


async def play(script: list[tuple[Any, float]], fates: list[Exception | None]) -> None:
    store = ScriptedStore()
    conversations = [await new_conversation(store, *SENDERS) for _ in range(2)]
    ids = [new_id() for _ in range(10)]
    log = ShardLog(store, patience=PATIENCE)
    inbox, taken = Inbox(), list[Entry[Any]]()
    store.script.extend(fates)
    async with trio.open_nursery() as nursery:
        await nursery.start(log.run)
        for (where, sender, id_, body, change), pause in script:
            conversation = conversations[where]
            if change is not None:
                made = change(conversation, sender, "carl")
            else:
                made = append(conversation, sender, body, id=ids[id_])
            entry = Entry(made, inbox.receive, len(taken))
            try:
                log.submit_nowait(entry)
            except Unavailable:
                assert log.down
            else:
                taken.append(entry)
            await trio.sleep(pause)
        await settle()
        nursery.cancel_scope.cancel()
    answered = [(entry, answer) for call in inbox.calls for entry, answer in call]
    assert sorted(entry.context for entry, _ in answered) == list(range(len(taken)))
    for conversation in conversations:
        here = [each for each in answered if each[0].append.conversation == conversation]
        await check(store, conversation, here)


async def check(
    store: ScriptedStore, conversation: str, answered: list[tuple[Entry[Any], Answer]]
) -> None:
    log = {(event.sender, event.id): event for event in await events(store, conversation)}
    assert len(log) == len(await events(store, conversation))
    told: set[int] = set()
    new: list[int] = []
    for entry, answer in sorted(answered, key=lambda each: each[0].context):
        stored = log.get((entry.append.sender, entry.append.id))
        if isinstance(answer, Refused):
            # Surely not stored by this entry; another with the same id may have been.
            assert stored is None or told_of(answered, entry.append)
        elif answer.status in (Status.STORED, Status.DUPLICATE):
            assert stored is not None
            assert (answer.seq, answer.ts) == (stored.seq, stored.ts)
            assert entry.append.body == stored.body
            told.add(answer.seq)
            if answer.status is Status.STORED:
                new.append(answer.seq)
    assert told == set(range(1, len(log) + 1))
    assert new == sorted(set(new))


def told_of(answered: list[tuple[Entry[Any], Answer]], wanted: Append) -> bool:
    """Whether some other entry of the same sender and id was stored."""
    return any(
        isinstance(answer, Outcome)
        and answer.status in (Status.STORED, Status.DUPLICATE)
        and (entry.append.sender, entry.append.id) == (wanted.sender, wanted.id)
        for entry, answer in answered
    )
