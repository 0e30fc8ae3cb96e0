from __future__ import annotations

import pytest

from chat4all_bench.result import Metric
from chat4all_bench.running.thresholds import ThresholdError, check_names, judge, parse

METRICS = {
    "delivery_p99": Metric([40.0, 60.0], "ms", "lower"),
    "rate": Metric([900.0, 1100.0], "/s", "higher"),
    "lost": Metric([0.0, 0.0], "", "lower"),
    "server_mib": Metric([100.0], "MiB", "lower"),
}


@pytest.mark.parametrize(
    ("text", "passed", "value"),
    [
        ("p99<50ms", False, 60.0),
        ("delivery_p99 <= 60", True, 60.0),
        ("p99<0.1s", True, 60.0),
        ("p99<50_000us", False, 60.0),
        ("rate>1,000", False, 900.0),
        ("rate >= 900/s", True, 900.0),
        ("lost==0", True, 0.0),
        ("lost!=0", False, 0.0),
        ("server_mib<1GiB", True, 100.0),
        ("unknown<1", False, None),
    ],
)
def test_the_worst_round_decides(text: str, passed: bool, value: float | None) -> None:
    found = judge(parse(text), METRICS, "delivery")
    assert (found.passed, found.value) == (passed, value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("p99", "is none"),
        ("p99<", "is none"),
        ("<5", "is none"),
        ("p99=5", "is none"),
        ("p99<1.2.3", r"1\.2\.3 is no number"),
        ("p99<5 hours", "hours is no unit: there are us"),
    ],
)
def test_what_is_no_threshold_is_told(text: str, told: str) -> None:
    with pytest.raises(ThresholdError, match=told):
        parse(text)


def test_a_unit_that_the_metric_can_not_have_is_told() -> None:
    with pytest.raises(ThresholdError, match="rate is in /s, which ms can't be made into"):
        judge(parse("rate<5ms"), METRICS, "delivery")


def test_a_metric_that_a_run_will_not_have_is_told_with_those_that_there_are() -> None:
    check_names([parse("p99<1"), parse("all_p99_of_10<1")], ["p99", "all_*"])
    with pytest.raises(ThresholdError, match="no metric speed; there are p99, all_"):
        check_names([parse("speed<1")], ["p99", "all_*"])
