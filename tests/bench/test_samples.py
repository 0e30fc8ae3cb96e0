from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_bench.rest.samples import Latency, faults, latency, lateness, quantile, span

from .samples import sample


def test_latency_counts_from_when_a_message_was_due_not_from_when_it_was_sent() -> None:
    assert latency([sample(due=1.0, late=0.5, took=0.6)]) == Latency(600.0, 600.0, 600.0, 600.0)


def test_the_99th_percentile_of_a_hundred_is_the_last_but_one() -> None:
    times = latency([sample(number, took=number / 1000) for number in range(1, 101)])
    assert times == Latency(p50=50.0, p95=95.0, p99=99.0, greatest=100.0)


def test_messages_without_an_answer_have_no_latency() -> None:
    assert latency([sample(status=0, fault="no answer", took=30.0)]) == Latency(0, 0, 0, 0)


def test_refusals_have_a_latency_like_every_answer() -> None:
    assert latency([sample(status=503, fault="status 503", took=0.2)]).p50 == 200.0


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0, 1))
def test_a_quantile_is_one_of_the_values(values: list[float], q: float) -> None:
    ordered = sorted(values)
    assert quantile(ordered, q) in {round(value * 1000, 2) for value in values}


def test_lateness_is_what_the_generator_lost_before_sending() -> None:
    assert lateness([sample(due=5.0, late=0.030)]) == pytest.approx(30.0)


def test_faults_are_counted_the_most_frequent_first() -> None:
    samples = [sample(fault=fault) for fault in ("a", "b", "b", "")]
    assert list(faults(samples).items()) == [("b", 2), ("a", 1)]


def test_a_run_lasts_from_the_first_message_to_the_last_answer() -> None:
    assert span([sample(due=3.0, took=1.0), sample(due=1.0, took=9.0)]) == 9.0
    assert span([]) == 0.0
