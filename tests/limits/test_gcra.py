from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_actors import ratelimit
from chat4all_actors.ratelimit import RateLimiter

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_a_burst_passes_at_once_and_not_one_more(mock_clock: MockClock) -> None:
    limiter = RateLimiter(60, burst=5)
    assert [limiter.take("ana") for _ in range(5)] == [0.0] * 5
    assert limiter.take("ana") == pytest.approx(1.0)


async def test_a_refusal_tells_when_the_next_would_pass_and_costs_nothing(
    mock_clock: MockClock,
) -> None:
    limiter = RateLimiter(6, burst=1)
    assert limiter.take("ana") == 0.0
    for _ in range(3):
        assert limiter.take("ana") == pytest.approx(10.0)
    mock_clock.jump(9.99)
    assert limiter.take("ana") == pytest.approx(0.01)
    mock_clock.jump(0.01)
    assert limiter.take("ana") == 0.0


async def test_in_the_long_run_the_rate_passes(mock_clock: MockClock) -> None:
    limiter = RateLimiter(100, burst=20)
    passed = 0
    for _ in range(10 * 60 * 10):  # ten minutes of ten messages a second
        passed += limiter.take("ana") == 0.0
        mock_clock.jump(0.1)
    assert 1000 + 19 <= passed <= 1000 + 20


async def test_rest_gives_back_the_burst_but_never_more(mock_clock: MockClock) -> None:
    limiter = RateLimiter(60, burst=3)
    for _ in range(3):
        limiter.take("ana")
    mock_clock.jump(2.0)
    assert [limiter.take("ana") for _ in range(3)] == [0.0, 0.0, pytest.approx(1.0)]
    mock_clock.jump(3600.0)
    assert [limiter.take("ana") == 0.0 for _ in range(4)] == [True, True, True, False]


async def test_keys_are_independent(mock_clock: MockClock) -> None:
    limiter = RateLimiter(60, burst=1)
    assert limiter.take("ana") == 0.0
    assert limiter.take("bob") == 0.0
    assert limiter.take("ana") > 0


async def test_a_rate_of_zero_is_unlimited(mock_clock: MockClock) -> None:
    limiter = RateLimiter(0, burst=1)
    assert [limiter.take("ana") for _ in range(100)] == [0.0] * 100


async def test_keys_that_are_at_rest_are_forgotten_and_no_others(
    monkeypatch: pytest.MonkeyPatch, mock_clock: MockClock
) -> None:
    monkeypatch.setattr(ratelimit, "_PRUNE_EVERY", 10)
    limiter = RateLimiter(60, burst=2)
    for number in range(8):
        limiter.take(f"old {number}")
    mock_clock.jump(1.5)
    limiter.take("busy")
    limiter.take("busy")
    assert list(limiter._due) == ["busy"]
    assert limiter.take("busy") == pytest.approx(1.0)
