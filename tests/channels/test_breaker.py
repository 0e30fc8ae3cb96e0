"""A provider that fails is left alone, and asked by one call after a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_actors.channels.breaker import Breaker, BreakerSettings
from chat4all_connectors.errors import (
    Misconfigured,
    Refused,
    Throttled,
    Transient,
    UnknownOutcome,
    Unreachable,
)

if TYPE_CHECKING:
    from chat4all_connectors.errors import SendError

SETTINGS = BreakerSettings(failures=3, pause=10.0, longest_pause=30.0)
DOWN = Transient("down")


def call(breaker: Breaker, now: float, error: SendError | None = None) -> None:
    breaker.ended(breaker.begin(), now, error)


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker(SETTINGS)
    for _ in range(SETTINGS.failures):
        call(breaker, now, DOWN)
    return breaker


def test_it_is_closed_at_first_and_calls_may_be_made_at_once() -> None:
    breaker = Breaker(SETTINGS)
    assert (breaker.state(5.0), breaker.ready_at(5.0)) == ("closed", 5.0)


def test_some_failures_in_a_row_open_it_for_a_while() -> None:
    breaker = Breaker(SETTINGS)
    for number in range(3):
        assert breaker.state(1.0) == "closed", number
        call(breaker, 1.0, DOWN)
    assert (breaker.state(1.0), breaker.ready_at(1.0)) == ("open", 11.0)
    assert (breaker.state(11.0), breaker.ready_at(11.0)) == ("half_open", 11.0)


def test_a_provider_that_hangs_is_left_alone_too() -> None:
    breaker = Breaker(SETTINGS)
    for _ in range(3):
        call(breaker, 0.0, UnknownOutcome("no answer"))
    assert breaker.state(0.0) == "open"


@pytest.mark.parametrize(
    "error",
    [None, Refused("x"), Unreachable("x"), Throttled("x"), Misconfigured("x")],
    ids=lambda error: type(error).__name__,
)
def test_any_answer_between_failures_keeps_it_closed(error: SendError | None) -> None:
    breaker = Breaker(SETTINGS)
    for _ in range(5):
        call(breaker, 0.0, DOWN)
        call(breaker, 0.0, DOWN)
        call(breaker, 0.0, error)
    assert breaker.state(0.0) == "closed"


def test_half_open_one_call_is_made_and_no_other_until_it_has_ended() -> None:
    breaker = opened()
    trial = breaker.begin()
    assert breaker.ready_at(10.0) is None
    breaker.ended(trial, 12.0, None)
    assert (breaker.state(12.0), breaker.ready_at(12.0)) == ("closed", 12.0)


def test_one_that_fails_opens_it_for_twice_as_long_up_to_a_bound() -> None:
    breaker, now, pauses = opened(), 0.0, []
    for _ in range(4):
        ready = breaker.ready_at(now)
        assert ready is not None
        pauses.append(ready - now)
        now = ready
        call(breaker, now, DOWN)
    assert pauses == [10, 20, 30, 30]


def test_once_closed_its_next_pause_is_the_first_again_and_so_are_its_failures() -> None:
    breaker = opened()
    call(breaker, 10.0, DOWN)
    call(breaker, 30.0)
    for _ in range(2):
        call(breaker, 31.0, DOWN)
    assert breaker.state(31.0) == "closed"
    call(breaker, 31.0, DOWN)
    assert breaker.ready_at(31.0) == 41.0


def test_calls_from_before_it_opened_neither_close_it_nor_prolong_its_pause() -> None:
    breaker = Breaker(SETTINGS)
    answered, failed = breaker.begin(), breaker.begin()
    for _ in range(3):
        call(breaker, 0.0, DOWN)
    breaker.ended(answered, 1.0, None)
    breaker.ended(failed, 2.0, DOWN)
    assert (breaker.state(2.0), breaker.ready_at(2.0)) == ("open", 10.0)


def test_calls_from_before_it_closed_do_not_end_the_one_that_is_tried_now() -> None:
    breaker = Breaker(SETTINGS)
    older = breaker.begin()
    for _ in range(3):
        call(breaker, 0.0, DOWN)
    trial = breaker.begin()
    breaker.ended(older, 11.0, DOWN)
    breaker.given_up(older)
    assert breaker.ready_at(11.0) is None
    breaker.ended(trial, 12.0, None)
    assert breaker.state(12.0) == "closed"


def test_a_call_that_was_given_up_half_open_makes_way_for_another() -> None:
    breaker = opened()
    breaker.given_up(breaker.begin())
    assert breaker.ready_at(10.0) == 10.0
    assert breaker.state(10.0) == "half_open"


def test_a_call_that_was_given_up_is_no_failure_and_no_answer() -> None:
    breaker = Breaker(SETTINGS)
    call(breaker, 0.0, DOWN)
    call(breaker, 0.0, DOWN)
    breaker.given_up(breaker.begin())
    assert breaker.state(0.0) == "closed"
    call(breaker, 0.0, DOWN)
    assert breaker.state(0.0) == "open"


@given(st.lists(st.tuples(st.floats(0, 20), st.booleans()), max_size=60))
def test_a_provider_that_is_well_again_is_always_asked_in_the_end(
    calls: list[tuple[float, bool]],
) -> None:
    breaker, now = Breaker(SETTINGS), 0.0
    for pause, fails in calls:
        ready = breaker.ready_at(now + pause)
        assert ready is not None
        assert ready <= now + pause + SETTINGS.longest_pause
        now = ready
        call(breaker, now, DOWN if fails else None)
    ready = breaker.ready_at(now)
    assert ready is not None
    call(breaker, ready)
    assert breaker.state(ready) == "closed"
