from __future__ import annotations

from chat4all_bench.rest.beside_bare import Round, summary
from chat4all_bench.rest.samples import Latency

NO_LATENCY = Latency(0, 0, 0, 0)


def rounds(*figures: tuple[float, float]) -> list[Round]:
    return [Round(per_second, cpu_us, NO_LATENCY, {}) for per_second, cpu_us in figures]


def test_the_ratio_is_the_median_of_the_rounds_so_that_a_disturbed_one_does_not_count() -> None:
    ours = rounds((60, 120), (5, 900), (70, 130))
    found = summary(ours, rounds((100, 100), (100, 100), (100, 100)), 0.1)
    assert found.requests_ratios == [0.6, 0.05, 0.7]
    assert (found.requests_ratio, found.cpu_ratio, found.passed) == (0.6, 1.3, True)


def test_less_than_half_of_the_bare_handlers_requests_is_not_enough() -> None:
    assert not summary(rounds((49, 1)), rounds((100, 1)), 0.1).passed
    assert summary(rounds((50, 1)), rounds((100, 1)), 0.1).passed


def test_refused_requests_fail_the_run_however_fast_they_were() -> None:
    refused = [Round(100, 1, NO_LATENCY, {"status 429": 3})]
    assert not summary(refused, rounds((100, 1)), 0.1).passed
