from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from chat4all_bench.rest.integrity import Integrity, Stored, check

from .samples import sample

if TYPE_CHECKING:
    from chat4all_bench.rest.samples import Sample


def stored(number: int, *, seq: int | None = None, text: str | None = None) -> Stored:
    id_ = f"id-{number}"
    return Stored(id_, number if seq is None else seq, f"message {id_}" if text is None else text)


def one_after_the_other(count: int) -> list[Sample]:
    return [sample(number, due=float(number)) for number in range(1, count + 1)]


@given(st.integers(0, 20))
def test_what_is_stored_once_and_in_order_is_all_right(count: int) -> None:
    history = [stored(number) for number in range(1, count + 1)]
    assert check(one_after_the_other(count), history) == Integrity(count, count)


def test_an_acknowledged_message_that_is_not_in_the_history_is_lost() -> None:
    assert check(one_after_the_other(3), [stored(1), stored(3)]).lost == 1


def test_a_message_without_an_acknowledgement_may_be_there_or_not() -> None:
    unknown = sample(2, seq=0, status=0, fault="no answer")
    for history in ([stored(1)], [stored(1), stored(2)]):
        found = check([sample(1), unknown], history)
        assert (found.acknowledged, found.lost, found.reordered) == (1, 0, 0)


def test_a_message_that_is_there_three_times_is_doubled_twice() -> None:
    history = [stored(1), stored(1, seq=2), stored(1, seq=3)]
    assert check([sample(1)], history).doubled == 2


def test_a_message_that_stands_elsewhere_than_its_answer_said_is_reordered() -> None:
    assert check([sample(1, seq=7)], [stored(1)]).reordered == 1


def test_a_history_that_does_not_ascend_is_reordered() -> None:
    assert check([], [stored(2), stored(1)]).reordered == 1


def test_a_message_must_not_stand_before_one_that_was_acknowledged_when_it_was_sent() -> None:
    first = sample(1, due=1.0, took=0.5, seq=2)
    second = sample(2, due=2.0, took=0.5, seq=1)
    assert check([first, second], [stored(2, seq=1), stored(1, seq=2)]).reordered == 1


def test_messages_that_were_under_way_together_may_stand_in_any_order() -> None:
    first = sample(1, due=1.0, took=5.0, seq=2)
    second = sample(2, due=2.0, took=0.5, seq=1)
    assert check([first, second], [stored(2, seq=1), stored(1, seq=2)]).reordered == 0


def test_another_text_than_was_sent_is_altered() -> None:
    assert check([sample(1)], [stored(1, text="something else")]).altered == 1


def test_conversations_are_added_up() -> None:
    assert Integrity(1, 2, 3, 4, 5, 6) + Integrity(1, 1, 1, 1, 1, 1) == Integrity(2, 3, 4, 5, 6, 7)
