from __future__ import annotations

import pytest

from chat4all_bench.rest.generator import Generated

from .samples import sample


@pytest.mark.parametrize(
    ("busy", "late_ms", "limit"), [(0.5, 3.0, False), (0.95, 3.0, True), (0.5, 80.0, True)]
)
def test_a_generator_without_room_or_that_is_late_was_the_limit(
    busy: float, late_ms: float, limit: bool
) -> None:
    assert Generated([], busy, late_ms, connections=1).was_the_limit is limit


def test_lateness_that_explains_little_of_the_latency_is_not_what_limited() -> None:
    assert not Generated([sample(took=10.0)], 0.5, late_ms=300.0, connections=1).was_the_limit
    assert Generated([sample(took=1.0)], 0.5, late_ms=300.0, connections=1).was_the_limit
