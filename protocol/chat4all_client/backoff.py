"""When to try again: full jitter, so that a herd of clients spreads evenly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

BASE: Final = 0.5
"""Seconds: the most to wait before attempt 0."""
CEILING: Final = 30.0
"""Seconds: the most to wait before any attempt."""


def full_jitter(attempt: int, random: Callable[[], float]) -> float:
    """Seconds before `attempt` (0, 1, …): evenly between 0 and min(30, 0.5 * 2^attempt).

    `random` gives numbers in [0, 1).
    """
    return random() * min(CEILING, BASE * 2.0 ** min(attempt, 16))
