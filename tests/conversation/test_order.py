"""The head rule: what is passed now, what waits, what is missing, and what was passed before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_actors.conversation.order import MOST, Early, changes, in_line, read
from chat4all_actors.messages import Post, Relayed
from chat4all_protocol.codec import decode_server, encode_body
from chat4all_protocol.frames import Msg, TextBody
from chat4all_protocol.ids import new_id
from chat4all_storage.log.entries import Entry, Refused
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.events import Append, Outcome, Status, StoredEvent

from .test_posts import Inbox

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from chat4all_actors.messages import Passing
    from chat4all_protocol.frames import Kind
    from chat4all_storage.log.entries import Answer

ROOM = new_id()
BODY = encode_body(TextBody("hi"))

Answered = tuple[Entry[Post], "Answer"]


def answered(answer: Answer, kind: Kind = "message", id_: str = "id") -> Answered:
    """An answer of the log to a post."""
    post = Post(Append(ROOM, "me", id_, kind, BODY, 0), 1, Inbox())
    return Entry(post.append, lambda _: None, post), answer


def stored(seq: int, kind: Kind = "message") -> Answered:
    return answered(Outcome(Status.STORED, seq, 1000 + seq), kind, f"id {seq}")


def again(seq: int, kind: Kind = "message") -> Answered:
    return answered(Outcome(Status.DUPLICATE, seq, 1000 + seq), kind, f"id {seq}")


def relayed(first: int, count: int = 1) -> Relayed:
    seqs = range(first, first + count)
    return Relayed(first, [f"sender {seq}" for seq in seqs], [b"%d" % seq for seq in seqs])


def seqs(run: Sequence[Passing]) -> list[int]:
    return [event.seq for event in run]


# --- in line: nearly always -----------------------------------------------------------------------


def test_answers_that_follow_the_head_are_in_line() -> None:
    answers = [stored(5), again(6)]
    run = in_line(4, answers)
    assert run is not None
    assert [(e.seq, e.ts, e.sender, e.dup) for e in run] == [
        (5, 1005, "me", False),
        (6, 1006, "me", True),
    ]
    assert [event.post for event in run] == [entry.context for entry, _ in answers]
    sent = decode_server(run[0].data[4 if run[0].data[1] == 126 else 2 :])
    assert isinstance(sent, Msg)
    assert (sent.seq, sent.ts, sent.id) == (5, 1005, "id 5")


@pytest.mark.parametrize(
    "answers",
    [
        [stored(6)],
        [stored(4)],
        [stored(5), stored(5)],
        [stored(5), stored(7)],
        [answered(Outcome(Status.CONFLICT, 5))],
        [answered(Refused(Unavailable("gone")))],
        [stored(5, "join")],
        [stored(5), stored(6, "leave")],
        [stored(5, "change")],
    ],
)
def test_a_hole_a_retry_a_refusal_and_a_change_are_not(answers: list[Answered]) -> None:
    assert in_line(4, answers) is None


def outcomes(kinds: st.SearchStrategy[Kind]) -> st.SearchStrategy[list[Answered]]:
    one = st.builds(
        lambda make, seq, kind: make(seq, kind),
        st.sampled_from([stored, again]),
        st.integers(1, 8),
        kinds,
    )
    return st.lists(one, min_size=1, max_size=4)


@given(st.integers(0, 4), outcomes(st.sampled_from(["message", "edit", "join"])))
def test_the_short_way_has_the_effect_of_the_long_one(head: int, answers: list[Answered]) -> None:
    run = in_line(head, answers)
    early = Early()
    rest = early.answered(head, answers)
    if run is not None:
        assert rest == []
        assert [e.data for e in early.following(head)] == [event.data for event in run]
        assert early.following(run[-1].seq) == []
        assert not early.busy(run[-1].seq)


# --- what comes -----------------------------------------------------------------------------------


def test_what_was_not_stored_and_what_was_passed_before_is_answered_at_once() -> None:
    early = Early()
    answers = [
        answered(Outcome(Status.NOT_MEMBER)),
        again(3),
        answered(Refused(Unavailable("gone"))),
        stored(4),  # read as part of a hole
        stored(5),
    ]
    assert early.answered(4, answers) == [(entry.context, answer) for entry, answer in answers[:-1]]
    assert seqs(early.following(4)) == [5]


def test_the_answer_counts_for_an_event_that_another_node_told_of() -> None:
    for first in (True, False):
        early = Early()
        steps: list[Callable[[], Any]] = [
            lambda early=early: early.relayed(0, relayed(1)),  # type: ignore[misc]
            lambda early=early: early.answered(0, [stored(1)]),  # type: ignore[misc]
        ]
        for step in steps if first else reversed(steps):
            step()
        (event,) = early.following(0)
        assert event.post is not None
        assert early.following(1) == []
        assert not early.busy(1)


def test_a_retry_of_what_waits_is_answered_after_it() -> None:
    early = Early()
    assert early.answered(1, [stored(3), again(3)]) == []
    assert early.repeated(2) == []
    ((post, outcome),) = early.repeated(3)
    assert (post.append.id, outcome.status) == ("id 3", Status.DUPLICATE)
    assert early.repeated(9) == []


def test_another_node_s_event_has_its_sender_and_frame() -> None:
    early = Early()
    early.relayed(0, relayed(1, 2))
    assert [(e.seq, e.ts, e.sender, e.data, e.post) for e in early.following(0)] == [
        (1, 0, "sender 1", b"1", None),
        (2, 0, "sender 2", b"2", None),
    ]


def test_events_without_senders_are_a_fault() -> None:
    with pytest.raises(ValueError, match="zip"):
        Early().relayed(0, Relayed(1, ["bob"], [b"1", b"2"]))


def test_an_event_that_was_read_is_the_message_it_was() -> None:
    event = read(StoredEvent("room", 7, "id 7", "bob", "message", 1007, b"\x80"))
    assert (event.seq, event.ts, event.sender, event.post) == (7, 1007, "bob", None)
    assert b"id 7" in event.data


# --- what goes ------------------------------------------------------------------------------------


def test_what_follows_the_head_goes_and_what_does_not_waits() -> None:
    early = Early()
    early.relayed(1, relayed(4, 2))
    assert early.following(1) == []
    early.relayed(1, relayed(2, 2))
    assert seqs(early.following(1)) == [2, 3, 4, 5]
    assert seqs(early.following(1)) == [2, 3, 4, 5]  # until the head has moved
    assert early.following(5) == []
    assert not early.busy(1)


def test_what_was_passed_before_is_not_kept() -> None:
    early = Early()
    early.relayed(2, relayed(1, 3))
    assert seqs(early.following(2)) == [3]
    early.relayed(3, relayed(2, 2))
    assert early.following(3) == []
    early = Early()
    early.relayed(3, relayed(2, 2))
    assert not early.busy(3)
    early.relayed(3, relayed(6))
    assert early.busy(3)
    assert early.following(6) == []  # it was read from the store meanwhile
    assert not early.busy(0)


def test_own_events_and_those_of_other_nodes_go_in_turn() -> None:
    early = Early()
    early.answered(0, [stored(1), stored(2), stored(4)])
    early.relayed(0, relayed(3))
    assert [seqs(early.following(head)) for head in (0, 2, 3, 4)] == [[1, 2], [3], [4], []]


def test_a_change_goes_alone() -> None:
    early = Early()
    early.answered(0, [stored(1), stored(2, "join"), stored(3, "change"), stored(4)])
    runs = [early.following(head) for head in range(4)]
    assert list(map(seqs, runs)) == [[1], [2], [3], [4]]
    assert [changes(event) for (event,) in runs] == [False, True, True, False]


@given(st.integers(1, 30), st.randoms(use_true_random=False))
def test_in_whatever_order_and_on_whatever_way_they_come_each_goes_once_and_in_order(
    count: int, rng: random.Random
) -> None:
    early, head, gone = Early(), 0, []
    arrivals = [
        (how, seq) for how in ("answer", "relayed", "relayed") for seq in range(1, count + 1)
    ]
    rng.shuffle(arrivals)
    answers = 0
    for how, seq in arrivals:
        if how == "relayed":
            early.relayed(head, relayed(seq))
        else:
            answers += len(early.answered(head, [stored(seq)]))
        while run := early.following(head):
            gone += seqs(run)
            head = run[-1].seq
            answers += sum(event.post is not None for event in run)
    assert gone == list(range(1, count + 1))
    assert answers == count
    assert not early.busy(head)


# --- what is missing ------------------------------------------------------------------------------


def test_nothing_is_missing_while_nothing_waits() -> None:
    early = Early()
    assert early.missing(7) == 7
    early.stored = 7
    assert early.missing(7) == 7
    assert not early.urgent(7)
    assert not early.busy(7)


def test_what_is_missing_ends_before_the_first_that_waits() -> None:
    early = Early()
    early.relayed(2, relayed(9))
    assert early.missing(2) == 8
    early.answered(2, [stored(6)])
    assert early.missing(2) == 5
    assert not early.urgent(2)


def test_what_is_known_to_be_stored_is_missing_now() -> None:
    early = Early()
    early.stored = 5
    assert (early.missing(2), early.urgent(2), early.busy(2)) == (5, True, True)
    early.relayed(2, relayed(4))
    assert early.missing(2) == 3
    early.relayed(5, relayed(9))
    assert early.following(5) == []
    assert (early.missing(5), early.urgent(5)) == (8, False)


def test_too_many_that_wait_wait_no_longer() -> None:
    early = Early()
    early.relayed(0, relayed(2, MOST))
    early.answered(0, [stored(1000 + seq) for seq in range(MOST)])
    assert not early.urgent(0)
    early.relayed(0, relayed(2000))
    assert early.urgent(0)
    early = Early()
    early.answered(0, [stored(2 + seq) for seq in range(MOST + 1)])
    assert early.urgent(0)


def test_nothing_is_read_while_an_answer_is_awaited() -> None:
    early = Early()
    early.relayed(2, relayed(9))
    early.stored, early.awaited = 5, 2
    assert early.missing(2) == 2
    assert early.missing(1) == early.missing(3) == 5
    early.answered(2, [answered(Outcome(Status.NOT_MEMBER))])
    assert early.missing(1) == early.missing(2) == 5


def test_what_stands_before_an_own_event_was_stored_before_it() -> None:
    early = Early()
    early.answered(0, [stored(5)])
    assert (early.before_own(4), early.before_own(5)) == (True, False)
    early.relayed(0, relayed(9))
    assert not early.before_own(5)


# --- what other nodes know ------------------------------------------------------------------------


def test_own_events_that_wait_are_told_once_in_runs() -> None:
    early = Early()
    early.answered(0, [stored(1)])
    assert list(map(seqs, early.untold())) == [[1]]
    early.following(1)
    early.answered(1, [stored(2), stored(3), stored(5)])
    assert list(map(seqs, early.untold())) == [[2, 3], [5]]
    assert early.told == 5
    early.answered(0, [stored(6)])
    assert list(map(seqs, early.untold())) == [[6]]
    assert early.untold() == []


def test_retries_are_not_told_and_nothing_after_a_change_is() -> None:
    early = Early()
    early.answered(0, [stored(5), again(2), again(6), stored(8), stored(9, "leave"), stored(10)])
    early.relayed(0, relayed(3))
    assert list(map(seqs, early.untold())) == [[5], [8]]
    assert early.told == 8


# --- what is here ---------------------------------------------------------------------------------


def test_those_who_wait_are_known_until_they_are_answered() -> None:
    early = Early()
    early.relayed(0, relayed(9))
    assert not early.owing
    answers = [stored(3), again(3), stored(5)]
    early.answered(0, answers)
    assert early.owing
    first, repeat, second = (entry.context for entry, _ in answers)
    assert early.posts() == [first, second, repeat]
    assert early.repeated(3) != []
    early.following(3)
    assert early.posts() == [second]


def test_the_last_is_known_that_was_stored() -> None:
    early = Early()
    assert early.last(4) == 4
    early.stored = 6
    assert early.last(4) == 6
    early.relayed(4, relayed(8))
    assert early.last(4) == 8
    early.answered(4, [stored(9)])
    assert early.last(4) == 9
