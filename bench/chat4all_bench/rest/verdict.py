"""Whether a run was good: thresholds, and by how much each was kept or broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from .samples import faults, latency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .integrity import Integrity
    from .samples import Sample


class Limits(Struct, frozen=True):
    """What a run must stay below."""

    p95_ms: float = 200.0
    p99_ms: float = 500.0
    error_percent: float = 5.0


class Threshold(Struct, frozen=True):
    """One limit, and what was measured."""

    name: str
    limit: float
    value: float
    passed: bool


def below(name: str, value: float, limit: float) -> Threshold:
    """A value that must be smaller than its limit."""
    return Threshold(name, limit, value, value < limit)


def none(name: str, value: int) -> Threshold:
    """A count that must be zero."""
    return Threshold(name, 0, value, value == 0)


def judge(
    samples: Sequence[Sample], limits: Limits, integrity: Integrity | None
) -> list[Threshold]:
    """All thresholds of a run; a run without messages breaks one."""
    times = latency(samples)
    failed = sum(faults(samples).values())
    percent = 100 * failed / len(samples) if samples else 100.0
    found = [
        below("p95 ms", times.p95, limits.p95_ms),
        below("p99 ms", times.p99, limits.p99_ms),
        below("errors %", round(percent, 3), limits.error_percent),
    ]
    if integrity is not None:
        found += [
            none("lost", integrity.lost),
            none("doubled", integrity.doubled),
            none("reordered", integrity.reordered),
            none("altered", integrity.altered),
        ]
    return found
