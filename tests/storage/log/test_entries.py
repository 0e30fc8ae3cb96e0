"""Answers find their owners; what is in doubt is never refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat4all_protocol.ids import new_id
from chat4all_storage.log.entries import Entry, MarkEntry, Refused, Returned, by_owner, refuse
from chat4all_storage.ports.errors import InDoubt, Rejected, Unavailable
from chat4all_storage.ports.events import Mark, Outcome, Status
from tests.storage.builders import append, conversation_of
from tests.storage.scripted_store import Inbox

if TYPE_CHECKING:
    from chat4all_storage.log.entries import Answer


def entry(inbox: Inbox, *, doubtful: bool = False) -> Entry[None]:
    return Entry(append(new_id(), "ann"), inbox.receive, None, doubtful=doubtful)


def test_an_entry_is_as_large_as_what_its_sender_wrote() -> None:
    inbox = Inbox()
    sizes = [
        Entry(append(new_id(), "ann", body, meta=meta), inbox.receive, None).size
        for body, meta in ((None, None), (b"12345", None), (b"12345", b"123"))
    ]
    assert sizes == [200, 205, 208]


def test_an_owner_has_its_answers_in_order() -> None:
    ann, bob = Inbox(), Inbox()
    answers: list[tuple[Entry[None], Answer]] = [
        (entry(inbox), Outcome(Status.STORED, seq)) for seq, inbox in enumerate((ann, bob, ann))
    ]
    found = by_owner(answers)
    assert found == {ann.receive: [answers[0], answers[2]], bob.receive: [answers[1]]}


def test_owners_are_refused_in_one_call_but_for_what_is_in_doubt() -> None:
    ann, bob = Inbox(), Inbox()
    error = Rejected("a defect")
    entries = [entry(ann), entry(bob, doubtful=True), entry(ann)]
    refuse(entries, error)
    assert ann.calls == [[(entries[0], Refused(error)), (entries[2], Refused(error))]]
    assert bob.calls == []


def test_a_refusal_is_for_now_unless_the_store_said_otherwise() -> None:
    inbox = Inbox()
    away = Unavailable("away")
    refuse([entry(inbox)], away)
    refuse([entry(inbox)], InDoubt("of another flush"))
    first, second = inbox.answers
    assert first == Refused(away)
    assert isinstance(second, Refused)
    assert type(second.error) is Unavailable


def test_what_is_of_a_shard_is_sorted_out() -> None:
    inbox = Inbox()
    entries = [
        Entry(append(conversation_of(shard), "ann"), inbox.receive, None) for shard in (1, 2, 3, 1)
    ]
    marks = [
        MarkEntry(Mark(conversation_of(shard), "ann", 1, 1), lambda _: None) for shard in (3, 2)
    ]
    returned = Returned({1, 3}, [], [])
    assert returned.sort_out(entries, marks) == ([entries[1]], [marks[1]])
    assert returned.entries == [entries[0], entries[2], entries[3]]
    assert returned.marks == [marks[0]]
