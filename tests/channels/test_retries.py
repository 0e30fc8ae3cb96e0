"""What becomes of a delivery is decided by the class of the error alone."""

from __future__ import annotations

import math

import pytest

from chat4all_actors.channels.retries import (
    MAX_REASON,
    Again,
    ChatMoved,
    Failed,
    InTemplate,
    Schedule,
    Stopped,
    Unknown,
    decide,
)
from chat4all_connectors.errors import (
    Misconfigured,
    Moved,
    NotSupported,
    Refused,
    SendError,
    Throttled,
    Transient,
    UnknownOutcome,
    Unreachable,
    WindowClosed,
)


def test_what_fails_for_now_is_tried_at_once_and_after_1_2_4_and_8_seconds_then_given_up() -> None:
    attempts, waited = 0, []
    while isinstance(decision := decide(Transient("down"), attempts), Again):
        assert decision.holds is None
        attempts = decision.attempts
        waited.append(decision.after)
    assert waited == [1, 2, 4, 8]
    assert decision == Failed(reason="down")


def test_the_schedule_is_a_setting() -> None:
    patient = Schedule(delays=(60.0,))
    assert decide(Transient("x"), 0, schedule=patient) == Again(after=60, attempts=1, reason="x")
    assert decide(Transient("x"), 1, schedule=patient) == Failed(reason="x")


def test_without_delays_nothing_is_tried_again() -> None:
    assert decide(Transient("x"), 0, schedule=Schedule(delays=())) == Failed(reason="x")


def test_attempts_beyond_a_schedule_that_was_shortened_are_the_last() -> None:
    assert decide(Transient("x"), 7) == Failed(reason="x")


@pytest.mark.parametrize("attempts", [0, 3, 4, 100])
def test_what_is_throttled_waits_as_the_provider_says_and_that_is_no_attempt(attempts: int) -> None:
    error = Throttled("slowly", retry_after=17, scope="chat")
    assert decide(error, attempts) == Again(
        after=17, attempts=attempts, holds="chat", reason="slowly"
    )


def test_a_limit_of_the_account_holds_all_of_it() -> None:
    error = Throttled("slowly", retry_after=17, scope="account")
    assert decide(error, 0) == Again(after=17, attempts=0, holds="account", reason="slowly")


@pytest.mark.parametrize(
    ("said", "after"),
    [(None, 5), (0, 0.5), (-3, 0.5), (math.nan, 0.5), (math.inf, 100), (101, 100), (0.7, 0.7)],
)
def test_a_pause_is_never_so_short_that_it_is_none_nor_without_end(
    said: float | None, after: float
) -> None:
    decision = decide(Throttled("x", retry_after=said), 0, schedule=Schedule(most_pause=100))
    assert isinstance(decision, Again)
    assert decision.after == after


def test_a_chat_that_has_moved_is_written_to_at_its_new_place_at_once() -> None:
    assert decide(Moved("x", chat="-100"), 2) == ChatMoved(chat="-100", attempts=3, reason="x")


def test_a_chat_that_moves_again_and_again_is_given_up() -> None:
    attempts = 0
    while isinstance(decision := decide(Moved("x", chat="-100"), attempts), ChatMoved):
        attempts = decision.attempts
    assert (attempts, decision) == (4, Failed(reason="x"))


def test_outside_the_window_it_goes_in_a_template_if_there_is_one() -> None:
    assert decide(WindowClosed("late"), 0, template=True) == InTemplate(reason="late")
    assert decide(WindowClosed("late"), 0) == Failed(reason="late")


def test_who_takes_nothing_from_us_is_noted() -> None:
    assert decide(Unreachable("blocked"), 0) == Failed(unreachable=True, reason="blocked")


@pytest.mark.parametrize("error", [Refused("no"), NotSupported("no"), SendError("no")])
@pytest.mark.parametrize("template", [True, False])
def test_what_is_refused_is_given_up_at_once(error: SendError, template: bool) -> None:
    assert decide(error, 0, template=template) == Failed(reason="no")


@pytest.mark.parametrize("attempts", [0, 4, 100])
def test_an_account_that_can_not_be_used_stops_and_keeps_what_waits(attempts: int) -> None:
    assert decide(Misconfigured("no token"), attempts) == Stopped(reason="no token")


@pytest.mark.parametrize("attempts", [0, 4])
def test_what_may_have_been_sent_is_never_sent_again(attempts: int) -> None:
    assert decide(UnknownOutcome("no answer"), attempts) == Unknown(reason="no answer")


def test_a_reason_has_the_providers_code_and_an_end() -> None:
    assert decide(Refused("not so", code="131009"), 0) == Failed(reason="not so (131009)")
    decision = decide(Refused("x" * 1000), 0)
    assert isinstance(decision, Failed)
    assert len(decision.reason) == MAX_REASON
