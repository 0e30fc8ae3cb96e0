from __future__ import annotations

import pytest

from chat4all_bench.rest.integrity import Integrity
from chat4all_bench.rest.verdict import Limits, judge

from .samples import sample


def broken(samples: list[object], integrity: Integrity | None = None) -> list[str]:
    thresholds = judge(samples, Limits(), integrity)  # type: ignore[arg-type]
    return [each.name for each in thresholds if not each.passed]


def test_a_quick_run_without_errors_breaks_nothing() -> None:
    assert broken([sample(number) for number in range(100)], Integrity(100, 100)) == []


def test_a_run_without_messages_is_no_good_run() -> None:
    assert "errors %" in broken([])


def test_slow_answers_break_the_percentile_that_they_are_in() -> None:
    quick = [sample(number) for number in range(97)]
    assert broken([*quick, *[sample(took=0.3)] * 3]) == []
    assert broken([*quick, *[sample(took=0.6)] * 3]) == ["p99 ms"]
    assert broken([*quick, *[sample(took=0.3)] * 9]) == ["p95 ms"]


def test_an_error_rate_at_the_limit_is_not_below_it() -> None:
    wrong = sample(fault="status 500", status=500)
    assert broken([*[sample()] * 96, *[wrong] * 4]) == []
    assert broken([*[sample()] * 95, *[wrong] * 5]) == ["errors %"]


@pytest.mark.parametrize("name", ["lost", "doubled", "reordered", "altered"])
def test_a_single_message_that_is_not_as_it_should_be_fails_the_run(name: str) -> None:
    assert broken([sample()], Integrity(**{name: 1})) == [name]
