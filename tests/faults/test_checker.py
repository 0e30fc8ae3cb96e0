from __future__ import annotations

import copy
import random
from typing import TypeVar

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.faults.checker import check
from tests.faults.history import (
    Acknowledged,
    Announced,
    Attempt,
    Event,
    Fetched,
    Introduced,
    Operation,
    Pushed,
    Session,
)
from tests.faults.possible import World
from tests.faults.scene import ONE, THREE, TWO, Scene, page_of

T = TypeVar("T")

ROOMS = {"room": ["ana", "bob", "cem"], "pair": ["ana", "bob"]}


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_possible_history_has_no_violations(scene: Scene) -> None:
    assert scene.violations() == []


# --- 1, 2: the log --------------------------------------------------------------------------------


def test_a_hole_in_the_numbers_is_reported(scene: Scene) -> None:
    scene.log[2] = replace(THREE, seq=4)
    assert scene.finds(1, "seq 4 stands at place 3")


def test_a_head_that_is_not_the_last_seq_is_reported(scene: Scene) -> None:
    scene.heads = {"c": 4}
    assert scene.finds(1, "the head is 4")


def test_a_difference_between_api_and_table_is_reported(scene: Scene) -> None:
    scene.read_back = {"c": [ONE, TWO]}
    assert scene.finds(1, "the API does not tell")


def test_a_message_that_was_stored_twice_is_reported(scene: Scene) -> None:
    scene.log.append(replace(ONE, seq=4))
    assert scene.finds(2, "stored again: c seq 4")


def test_the_same_id_of_another_sender_is_another_message(scene: Scene) -> None:
    log, four = scene.log, Event(4, "i1", "bob", "four", 4)
    log.append(four)
    scene.heads = {"c": 4}
    operation = Operation("c", "bob", "i1", "four", [Attempt(3, 9.0, 10.0, 4, 4)])
    scene.history.operations.append(operation)
    scene.bob_again.frames.append(Acknowledged(10.0, "c", four, False))
    scene.ana_again.frames.append(Pushed(10.1, "c", four))
    assert scene.violations() == []


# --- 3, 4, 5: answers -----------------------------------------------------------------------------


def test_an_acknowledged_message_that_is_gone_is_reported(scene: Scene) -> None:
    scene.log.pop()
    assert scene.finds(3, "acknowledged at seq 3 but not there")


def test_an_acknowledgement_of_another_seq_is_reported(scene: Scene) -> None:
    scene.three.attempts[1].seq = 2
    assert scene.finds(3, "acknowledged at seq 2")


def test_a_retry_that_is_acknowledged_as_new_again_is_reported(scene: Scene) -> None:
    scene.one.attempts.append(Attempt(2, 8.0, 9.0, 1, 1))
    assert scene.finds(3, "as new more than once")


def test_a_message_that_was_refused_and_stored_is_reported(scene: Scene) -> None:
    for attempt in scene.three.attempts:
        attempt.seq, attempt.answered, attempt.error = None, 9.0, "UNAVAILABLE"
    assert scene.finds(4, "refused but stored")


def test_a_message_that_only_a_refused_attempt_can_have_stored_is_reported(scene: Scene) -> None:
    scene.three.attempts[0].answered = 6.0
    scene.three.attempts[0].error = "UNAVAILABLE"
    assert scene.finds(4, "by an attempt that was refused")


def test_a_message_that_a_retry_stored_after_a_refusal_is_possible(scene: Scene) -> None:
    scene.two.attempts.insert(0, Attempt(1, 2.2, 2.3, error="UNAVAILABLE"))
    assert scene.violations() == []


def test_a_message_without_any_answer_may_be_there_or_not(scene: Scene) -> None:
    scene.three.attempts.pop()
    scene.ana_again.frames.pop()
    lost = Operation("c", "ana", "i9", "nine", [Attempt(2, 12.0)])
    scene.history.operations.append(lost)
    assert scene.violations() == []


def test_a_message_that_nobody_sent_is_reported(scene: Scene) -> None:
    scene.log.append(Event(4, "i5", "bob", "five", 5))
    assert scene.finds(5, "nobody sent c seq 4")


def test_a_message_with_another_body_is_reported(scene: Scene) -> None:
    scene.log[1] = replace(TWO, text="zwei")
    assert scene.finds(5, "with another body")


def test_a_message_that_was_seen_before_it_was_sent_is_reported(scene: Scene) -> None:
    scene.ana.frames[1] = Pushed(2.5, "c", TWO)
    assert scene.finds(5, "seen before it was sent")


# --- 6: order -------------------------------------------------------------------------------------


def test_a_message_before_one_that_was_acknowledged_when_it_was_sent_is_reported(
    scene: Scene,
) -> None:
    scene.one.attempts = [Attempt(0, 4.5, 4.6, 1, 1)]
    assert scene.finds(6, "a later seq was known")


def test_a_first_attempt_that_was_refused_does_not_count_as_sent(scene: Scene) -> None:
    scene.three.attempts.insert(0, Attempt(0, 0.5, 0.6, error="UNAVAILABLE"))
    assert scene.violations() == []


def test_pipelined_messages_in_another_order_are_reported(scene: Scene) -> None:
    late, early = Attempt(0, 1.1, 2.0, 1, 1), Attempt(0, 1.0)
    scene.one.attempts = [late]
    scene.three.attempts = [early]
    assert scene.finds(6, "session 0 sent it after what stands at seq 3")


def test_a_pipelined_message_that_was_passed_over_is_reported(scene: Scene) -> None:
    scene.history.operations.append(Operation("c", "bob", "i6", "six", [Attempt(1, 2.9)]))
    assert scene.finds(6, "what was sent before is not")


def test_a_pipelined_message_that_was_refused_may_come_later(scene: Scene) -> None:
    scene.three.attempts.insert(0, Attempt(0, 0.9, 2.1, error="UNAVAILABLE"))
    assert scene.violations() == []


# --- 7: sessions ----------------------------------------------------------------------------------


def test_events_out_of_order_are_reported(scene: Scene) -> None:
    scene.bob.frames = [Pushed(4.0, "c", TWO), Pushed(4.1, "c", ONE)]
    assert scene.finds(7, "seq 2 follows 0 without a gap")


def test_an_event_that_comes_twice_is_reported(scene: Scene) -> None:
    scene.bob.frames.append(Pushed(5.0, "c", TWO))
    assert scene.finds(7, "seq 2 follows 2 without a gap")


def test_a_hole_that_was_not_announced_is_reported(scene: Scene) -> None:
    scene.bob.frames.pop(0)
    assert scene.finds(7, "seq 2 follows 0 without a gap")


def test_a_hole_that_is_announced_after_it_was_passed_is_reported(scene: Scene) -> None:
    scene.bob.frames = [Pushed(4.1, "c", TWO), Announced(4.2, "c", 1, 1)]
    assert scene.finds(7, "seq 2 follows 0 without a gap")


def test_a_gap_that_leaves_something_out_is_reported(scene: Scene) -> None:
    scene.bob_again.starts["c"] = 1
    assert scene.finds(7, "seq 3 follows 1 without a gap")


def test_a_gap_beyond_the_log_is_reported(scene: Scene) -> None:
    scene.bob_again.frames = [Announced(7.0, "c", 3, 4)]
    assert scene.finds(7, "gap 3..4 names no events")


def test_a_gap_up_to_an_introduction_is_possible(scene: Scene) -> None:
    del scene.bob_again.starts["c"]
    scene.bob_again.frames = [Introduced(6.0, "c", 3), Announced(6.0, "c", 3, 3)]
    assert scene.violations() == []


def test_a_gap_that_does_not_end_at_the_introduction_is_reported(scene: Scene) -> None:
    del scene.bob_again.starts["c"]
    scene.bob_again.frames = [Introduced(6.0, "c", 3), Announced(6.0, "c", 2, 2)]
    assert scene.finds(7, "seq 2 follows 3 without a gap")


def test_what_follows_an_introduction_without_a_hole_is_possible(scene: Scene) -> None:
    del scene.ana_again.starts["c"]
    scene.ana_again.frames.insert(0, Introduced(6.0, "c", 2))
    assert scene.violations() == []


def test_an_event_that_differs_from_the_log_is_reported(scene: Scene) -> None:
    scene.bob.frames[0] = Pushed(2.1, "c", replace(ONE, text="uno"))
    assert scene.finds(7, "what the log does not hold")


def test_an_event_of_an_unknown_conversation_is_reported(scene: Scene) -> None:
    scene.bob.starts = {}
    assert scene.finds(7, "was not told of")


# --- 8: completeness ------------------------------------------------------------------------------


def test_an_event_that_a_member_never_saw_is_reported(scene: Scene) -> None:
    scene.ana_again.frames = []
    assert scene.finds(8, "ana on laptop never saw 1 events of c, the first is seq 3")


def test_a_gap_that_nobody_fetched_is_reported(scene: Scene) -> None:
    scene.history.pages = []
    assert scene.finds(8, "bob on laptop never saw 1 events")


def test_a_fetch_does_not_stand_for_events_that_no_gap_announced(scene: Scene) -> None:
    scene.bob_again.frames = []
    assert scene.finds(8, "bob on laptop never saw 1 events")


def test_what_comes_with_the_page_of_a_gap_counts_as_seen(scene: Scene) -> None:
    scene.bob_again.starts["c"] = 1
    scene.bob_again.frames = [Announced(7.0, "c", 2, 2)]
    scene.history.pages = [page_of([TWO, THREE], after=1)]
    assert scene.violations() == []


def test_a_page_of_other_events_is_reported(scene: Scene) -> None:
    scene.history.pages.append(page_of([TWO, THREE], after=0))
    assert scene.finds(8, "not the events of that range")


def test_a_page_that_ends_before_what_was_known_is_reported(scene: Scene) -> None:
    scene.history.pages.append(page_of([ONE], after=0))
    assert scene.finds(8, "ends at 1, though a later event was known")


def test_a_page_that_promises_more_than_there_is_is_reported(scene: Scene) -> None:
    scene.history.pages.append(page_of([TWO, THREE], after=1, more=True))
    assert scene.finds(8, "`more` is True")


def test_a_page_of_more_events_than_asked_for_is_reported(scene: Scene) -> None:
    scene.history.pages.append(page_of([TWO, THREE], after=1, limit=1))
    assert scene.finds(8, "not the events of that range")


def test_a_last_page_that_lacks_the_last_event_is_reported(scene: Scene) -> None:
    scene.history.pages.append(page_of([ONE, TWO]))
    assert scene.finds(8, "the last, limit 100: ends at 2")


@pytest.mark.parametrize(
    "page",
    [
        page_of([ONE, TWO], after=0, limit=2, more=True),
        page_of([], after=3),
        page_of([], after=7),
        page_of([ONE], after=0, sent=2.2),
        page_of([THREE], limit=1, more=True),
        page_of([ONE, TWO, THREE]),
        page_of([ONE, TWO], before=3),
        page_of([TWO], before=3, limit=1, more=True),
        page_of([TWO, THREE], before=9, limit=2, more=True),
        page_of([], before=1),
        page_of([ONE, TWO], before=9, sent=5.0),
    ],
)
def test_a_page_as_it_may_be_is_accepted(scene: Scene, page: Fetched) -> None:
    scene.history.pages.append(page)
    assert scene.violations() == []


# --- any history ----------------------------------------------------------------------------------


@given(st.integers(0, 2**32), st.integers(0, 150))
@settings(max_examples=150, deadline=None)
def test_every_history_of_a_correct_server_is_accepted(seed: int, steps: int) -> None:
    history, tables = World(random.Random(seed), ROOMS).history(steps)
    assert check(history, tables, tables.logs) == []


@given(
    st.integers(0, 2**32),
    st.sampled_from(["drop", "double", "swap", "alter"]),
    st.sampled_from(["log", "session"]),
)
@settings(max_examples=300, deadline=None)
def test_every_history_that_was_tampered_with_is_reported(seed: int, how: str, where: str) -> None:
    rng = random.Random(seed)
    history, tables = World(rng, ROOMS).history(250)
    if where == "log":
        log = list(tables.logs["room"])
        assume(len(log) > 1)
        here = rng.randrange(len(log) - 1)
        altered = replace(log[here], text="something else")
        _tamper(log, how, here, here + 1, altered)
        logs = {**tables.logs, "room": log}
        tables = replace(tables, logs=logs, heads={r: len(log) for r, log in logs.items()})
    else:
        session = max(history.sessions, key=lambda each: len(_pushed(each)))
        places = _pushed(session)
        assume(len(places) > 1)
        number = rng.randrange(len(places) - 1)
        frame = session.frames[places[number]]
        assert isinstance(frame, Pushed)
        altered_frame = replace(frame, event=replace(frame.event, text="something else"))
        _tamper(session.frames, how, places[number], places[number + 1], altered_frame)
    assert check(history, tables, tables.logs)


def _pushed(session: Session) -> list[int]:
    """Where messages of others in a room stand among the frames that a session received.

    Not own ones: the answer to a retry may take the place of one that was not pushed.
    """
    return [
        place
        for place, frame in enumerate(session.frames)
        if isinstance(frame, Pushed)
        and frame.conversation == "room"
        and frame.event.sender != session.user
    ]


def _tamper(items: list[T], how: str, here: int, there: int, altered: T) -> None:
    if how == "drop":
        del items[here]
    elif how == "double":
        items.insert(here, items[here])
    elif how == "swap":
        items[here], items[there] = items[there], items[here]
    else:
        items[here] = altered


@given(st.integers(0, 2**32), st.booleans())
@settings(max_examples=100, deadline=None)
def test_every_false_answer_is_reported(seed: int, refused: bool) -> None:
    rng = random.Random(seed)
    history, tables = World(rng, ROOMS).history(150)
    operation = rng.choice([each for each in history.operations if each.outcome == "ok"])
    for attempt in operation.attempts:
        if refused:
            attempt.seq, attempt.error = None, "UNAVAILABLE"
        elif attempt.seq is not None:
            attempt.seq += 1
    assert check(history, tables, tables.logs)


def test_a_large_history_is_checked_as_well() -> None:
    history, tables = World(random.Random(1), ROOMS).history(30_000)
    assert check(history, tables, tables.logs) == []
    broken = copy.deepcopy(tables)
    del broken.logs["room"][len(broken.logs["room"]) // 2]
    assert check(history, broken, broken.logs)
