"""What waits for a log: its order, its bounds, and what of it makes the next flush."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chat4all_protocol.ids import new_id
from chat4all_storage.log import queue as module
from chat4all_storage.log.entries import Entry, LogFull, MarkEntry, Returned
from chat4all_storage.log.queue import Queue
from chat4all_storage.ports.events import Mark
from tests.storage.builders import (
    append,
    change_role,
    conversation_of,
    delete,
    edit,
    join,
    leave,
    react,
)

if TYPE_CHECKING:
    from chat4all_storage.ports.events import Append


def nobody(_: Any) -> None:
    """Owns entries and marks, and is told nothing here."""


def entry(append: Append, *, doubtful: bool = False) -> Entry[None]:
    return Entry(append, nobody, None, doubtful=doubtful)


def filled(*appends: Append) -> Queue:
    queue = Queue(100, 1_000_000)
    for each in appends:
        queue.put(entry(each))
    return queue


def taken(queue: Queue) -> list[Append]:
    return [each.append for each in queue.take_entries()]


def flushes(queue: Queue) -> list[list[Append]]:
    """All that waits, a flush after the other."""
    found = []
    while queue.entries:
        found.append(taken(queue))
    assert queue.size == 0
    return found


@pytest.fixture
def conversation() -> str:
    return new_id()


# --- bounds ---------------------------------------------------------------------------------------


def test_as_many_entries_wait_as_may(conversation: str) -> None:
    queue = Queue(2, 1_000_000)
    for _ in range(2):
        queue.put(entry(append(conversation, "ann")))
    with pytest.raises(LogFull, match="2 entries"):
        queue.put(entry(append(conversation, "ann")))
    assert len(queue.entries) == 2


def test_as_many_bytes_wait_as_may(conversation: str) -> None:
    one = entry(append(conversation, "ann", bytes(100), meta=bytes(20)))
    assert one.size == 320
    queue = Queue(100, 640)
    queue.put(one)
    queue.put(entry(append(conversation, "ann", bytes(120))))
    assert queue.size == 640
    with pytest.raises(LogFull):
        queue.put(entry(append(conversation, "ann", None)))


def test_what_was_within_bounds_elsewhere_is_taken_beyond_them(conversation: str) -> None:
    queue = Queue(1, 1)
    queue.put_again(entry(append(conversation, "ann", bytes(10))))
    queue.put_again(entry(append(conversation, "ann", bytes(30))))
    assert len(queue.entries) == 2
    assert queue.size == 440


def test_what_came_before_is_put_in_front_beyond_the_bounds(conversation: str) -> None:
    queue = Queue(1, 300)
    sent = [entry(append(conversation, "ann", b"x")) for _ in range(3)]
    queue.put(sent[2])
    queue.put_in_front(sent[:2], [])
    assert list(queue.entries) == sent
    assert queue.size == 603


# --- flushes --------------------------------------------------------------------------------------


def test_a_flush_is_what_waits_in_order(conversation: str) -> None:
    sent = [append(conversation, "ann") for _ in range(5)]
    assert flushes(filled(*sent)) == [sent]


def test_an_id_is_in_a_flush_once_and_holds_up_its_conversation_alone(conversation: str) -> None:
    first, after, other = append(conversation, "ann"), append(conversation, "bob"), new_id()
    elsewhere = append(other, "ann", id=first.id)
    queue = filled(first, first, after, elsewhere)
    assert flushes(queue) == [[first, elsewhere], [first, after]]


@pytest.mark.parametrize("change", [edit, delete])
def test_a_message_is_changed_once_in_a_flush(conversation: str, change: Any) -> None:
    one, other, again = (change(conversation, "ann", target) for target in (1, 2, 1))
    later, elsewhere = append(conversation, "ann"), append(new_id(), "ann")
    queue = filled(one, other, again, later, elsewhere)
    assert flushes(queue) == [[one, other, elsewhere], [again, later]]


@pytest.mark.parametrize("change", [edit, delete])
def test_a_message_is_not_reacted_to_after_its_change_in_a_flush(
    conversation: str, change: Any
) -> None:
    before, changed = react(conversation, "bob", 1), change(conversation, "ann", 1)
    other, after = react(conversation, "bob", 2), react(conversation, "bob", 1)
    assert flushes(filled(before, changed, other, after)) == [[before, changed, other], [after]]


def test_any_number_of_reactions_to_a_message_are_in_a_flush(conversation: str) -> None:
    sent = [react(conversation, name, 1) for name in ("ann", "bob", "ann")]
    assert flushes(filled(*sent)) == [sent]


def test_a_message_of_another_conversation_has_other_changes(conversation: str) -> None:
    sent = [edit(conversation, "ann", 1), edit(new_id(), "ann", 1)]
    assert flushes(filled(*sent)) == [sent]


def test_nothing_follows_a_change_of_members_in_its_flush(conversation: str) -> None:
    for change in (
        join(conversation, "ann", "carl"),
        leave(conversation, "ann", "bob"),
        change_role(conversation, "ann", "bob", "admin"),
    ):
        before, after = append(conversation, "ann"), append(conversation, "bob")
        elsewhere = append(new_id(), "ann")
        queue = filled(before, change, after, elsewhere)
        assert flushes(queue) == [[before, change, elsewhere], [after]]


def test_a_flush_ends_at_its_greatest_number(
    conversation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_FLUSH_ENTRIES", 2)
    sent = [append(conversation, "ann") for _ in range(5)]
    assert flushes(filled(*sent)) == [sent[:2], sent[2:4], sent[4:]]


def test_a_flush_ends_with_what_makes_it_too_large(
    conversation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_FLUSH_BYTES", 600)
    sent = [append(conversation, "ann", bytes(100)) for _ in range(3)]
    assert flushes(filled(*sent)) == [sent[:2], sent[2:]]


def test_no_more_is_passed_over_than_a_flush_holds(
    conversation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_FLUSH_ENTRIES", 2)
    again, elsewhere = append(conversation, "ann"), append(new_id(), "ann")
    queue = filled(again, again, again, elsewhere)
    assert taken(queue) == [again]
    assert [each.append for each in queue.entries] == [again, again, elsewhere]


# --- marks ----------------------------------------------------------------------------------------


def test_marks_of_a_member_are_one_that_is_as_high_as_any(conversation: str) -> None:
    queue = Queue(10, 1000)
    told: list[Mark] = []
    queue.put_mark(Mark(conversation, "ann", 5, 1), nobody)
    queue.put_mark(Mark(conversation, "bob", 1, 1), nobody)
    queue.put_mark(Mark(conversation, "ann", 4, 3), told.append)
    ann, bob = queue.take_marks()
    assert ann.mark == Mark(conversation, "ann", 5, 3)
    ann.owner(ann.mark)
    assert told == [ann.mark]
    assert bob.mark == Mark(conversation, "bob", 1, 1)
    assert queue.take_marks() == []


def test_too_many_marks_are_dropped_but_not_what_raises_one_that_waits(conversation: str) -> None:
    queue = Queue(1, 1000)
    queue.put_mark(Mark(conversation, "ann", 1, 0), nobody)
    queue.put_mark(Mark(conversation, "bob", 1, 0), nobody)
    queue.put_mark(Mark(conversation, "ann", 2, 0), nobody)
    assert [each.mark for each in queue.take_marks()] == [Mark(conversation, "ann", 2, 0)]


def test_marks_of_a_flush_have_a_greatest_number(
    conversation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_FLUSH_MARKS", 2)
    queue = Queue(10, 1000)
    for user in ("ann", "bob", "carl", "dora", "ed"):
        queue.put_mark(Mark(conversation, user, 1, 1), nobody)
    found = [[each.mark.user for each in queue.take_marks()] for _ in range(4)]
    assert found == [["ann", "bob"], ["carl", "dora"], ["ed"], []]


def test_marks_that_came_before_raise_those_that_wait(conversation: str) -> None:
    queue, told = Queue(10, 1000), list[Mark]()
    queue.put_mark(Mark(conversation, "ann", 1, 1), told.append)
    earlier = [
        MarkEntry(Mark(conversation, "ann", 3, 0), nobody),
        MarkEntry(Mark(conversation, "bob", 2, 2), nobody),
    ]
    queue.put_in_front([], earlier)
    ann, bob = queue.take_marks()
    ann.owner(ann.mark)
    assert told == [Mark(conversation, "ann", 3, 1)]
    assert bob is earlier[1]


# --- when it can't be written ---------------------------------------------------------------------


def test_what_is_in_doubt_stays_when_all_else_is_taken_out(conversation: str) -> None:
    queue = Queue(10, 10_000)
    sent = [entry(append(conversation, "ann", b"x"), doubtful=n % 2 == 0) for n in range(4)]
    for each in sent:
        queue.put(each)
    assert queue.take_certain() == [sent[1], sent[3]]
    assert list(queue.entries) == [sent[0], sent[2]]
    assert queue.size == 402


def test_what_was_held_for_long_is_taken_out_alone(conversation: str) -> None:
    queue = Queue(10, 10_000)
    sent = [entry(append(conversation, "ann", b"x"), doubtful=n == 1) for n in range(4)]
    for each, since in zip(sent, (1.0, 1.0, 2.0, 3.0), strict=True):
        each.held_since = since
        queue.put(each)
    assert queue.take_certain(held_before=2.0) == [sent[0]]
    assert queue.take_certain(held_before=2.5) == [sent[2]]
    assert list(queue.entries) == [sent[1], sent[3]]
    assert queue.size == 402


def test_what_is_of_a_shard_is_given_back_and_the_rest_stays_in_order() -> None:
    queue = Queue(10, 10_000)
    moved, staying = conversation_of(4), conversation_of(5)
    sent = [entry(append(id_, "ann", b"x")) for id_ in (moved, staying, moved, staying)]
    for each in sent:
        queue.put(each)
    for id_ in (moved, staying):
        queue.put_mark(Mark(id_, "ann", 1, 1), nobody)
    returned = Returned({4}, [], [])
    queue.give_back(returned)
    assert returned.entries == [sent[0], sent[2]]
    assert [each.mark.conversation for each in returned.marks] == [moved]
    assert list(queue.entries) == [sent[1], sent[3]]
    assert queue.size == 402
    assert list(queue.marks) == [(staying, "ann")]
