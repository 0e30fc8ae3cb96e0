from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest

from chat4all_actors.config import Settings
from chat4all_actors.limits.limits import (
    CLIENT_REQUESTS,
    FILES,
    HANDSHAKES,
    LOGINS,
    LOGINS_ADDRESS,
    LONGEST_KEY,
    MESSAGES,
    REGISTRATIONS,
    REQUESTS,
    LimitName,
    Limits,
)

if TYPE_CHECKING:
    from trio.testing import MockClock


@pytest.mark.parametrize(
    ("limit", "per_minute", "burst"),
    [
        (MESSAGES, 100, 20),
        (REQUESTS, 1_000, 200),
        (CLIENT_REQUESTS, 10_000, 2_000),
        (HANDSHAKES, 30_000, 3_000),
        (LOGINS, 10, 5),
        (LOGINS_ADDRESS, 100, 50),
        (REGISTRATIONS, 60, 30),
        (FILES, 600, 300),
    ],
)
async def test_each_limit_has_its_burst_and_its_rate(
    limit: LimitName, per_minute: int, burst: int, mock_clock: MockClock
) -> None:
    limits = Limits(Settings())
    assert [limits.take(limit, "somebody") for _ in range(burst)] == [0.0] * burst
    assert limits.take(limit, "somebody") == pytest.approx(60 / per_minute)
    assert limits.take(limit, "somebody else") == 0.0


def test_every_name_has_a_limit() -> None:
    assert set(Limits(Settings()).limiters) == set(get_args(LimitName))


async def test_limits_do_not_touch_each_other(mock_clock: MockClock) -> None:
    limits = Limits(Settings(rate_logins_burst=1, rate_requests_burst=1))
    assert limits.take(LOGINS, "192.0.2.1") == 0.0
    assert limits.take(REQUESTS, "192.0.2.1") == 0.0
    assert limits.take(LOGINS, "192.0.2.1") > 0


@pytest.mark.parametrize("limit", [REQUESTS, HANDSHAKES, LOGINS_ADDRESS, REGISTRATIONS])
async def test_addresses_of_one_network_are_one(limit: LimitName, mock_clock: MockClock) -> None:
    settings = Settings(
        rate_requests_burst=2,
        rate_handshakes_burst=2,
        rate_logins_per_address_burst=2,
        rate_registrations_burst=2,
    )
    limits = Limits(settings)
    taken = [limits.take(limit, f"2001:db8::{number}") for number in range(3)]
    assert [wait == 0.0 for wait in taken] == [True, True, False]
    assert limits.take(limit, "2001:db8:0:1::1") == 0.0


async def test_a_limit_of_0_is_none(mock_clock: MockClock) -> None:
    limits = Limits(Settings(rate_logins_per_minute=0))
    assert not any(limits.take(LOGINS, "ana") for _ in range(1000))


async def test_a_long_key_is_told_apart_and_held_short(mock_clock: MockClock) -> None:
    limits = Limits(Settings(rate_logins_burst=1))
    long = "x" * 100_000 + "\udcff"
    assert limits.take(LOGINS, long) == 0.0
    assert limits.take(LOGINS, long) > 0
    assert limits.take(LOGINS, long + "y") == 0.0
    (used, _) = limits.limiters[LOGINS]._entries
    assert len(used) <= LONGEST_KEY
