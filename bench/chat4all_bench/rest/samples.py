"""What is remembered of each message that was sent, and figures over many of them."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

GOOD: Final = frozenset({200, 202})


class Sample(Struct, array_like=True, frozen=True):
    """One message. Times are seconds of the machine's monotonic clock."""

    due: float
    """When it was to be sent."""
    sent: float
    """When it was sent: later, if the generator was late or no connection was to be had."""
    done: float
    status: int
    """Of HTTP; 0 when there was no answer."""
    fault: str
    """What was wrong with the answer; empty when nothing was."""
    conversation: int
    """Which of the run's."""
    message_id: str
    seq: int
    """Where it stands, as the answer said; 0 if it did not."""


class Latency(Struct, frozen=True):
    """Milliseconds, from when a message was due until its answer."""

    p50: float
    p95: float
    p99: float
    greatest: float


def latency(samples: Iterable[Sample]) -> Latency:
    """Of all answers, the refusals among them; zeros if there is none."""
    values = sorted(sample.done - sample.due for sample in samples if sample.status)
    return Latency(*(quantile(values, q) for q in (0.5, 0.95, 0.99, 1.0)))


def lateness(samples: Iterable[Sample]) -> float:
    """Milliseconds by which messages were sent too late, 99th percentile."""
    return quantile(sorted(sample.sent - sample.due for sample in samples), 0.99)


def quantile(ordered: Sequence[float], q: float) -> float:
    """Milliseconds, from ascending seconds, by the nearest rank."""
    if not ordered:
        return 0.0
    rank = max(1, math.ceil(q * len(ordered)))
    return round(ordered[rank - 1] * 1000, 2)


def faults(samples: Iterable[Sample]) -> dict[str, int]:
    """How often each thing went wrong, the most frequent first."""
    return dict(Counter(sample.fault for sample in samples if sample.fault).most_common())


def span(samples: Sequence[Sample]) -> float:
    """Seconds from the first message to the last answer."""
    if not samples:
        return 0.0
    return max(sample.done for sample in samples) - min(sample.due for sample in samples)
