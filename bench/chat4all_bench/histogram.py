"""Latencies in buckets: small, quick to fill, and mergeable whatever filled them.

Values are whole microseconds. Below `2 * _PART` each has a bucket of its own; above, every power of
two is cut into `_PART` buckets, so that a value is told within 1/128 of itself however long it is.
The scheme is that of HdrHistogram; a bucket's number says which values it holds, so histograms of
several processes, rounds and runs are added bucket by bucket, and none has to be kept as values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Iterable

_BITS: Final = 7
_PART: Final = 1 << _BITS


class Histogram(Struct):
    """How often which duration was seen."""

    buckets: dict[int, int] = field(default_factory=dict)
    """How many values each bucket holds; the empty ones are left out."""
    greatest: int = 0
    """The greatest value, exactly: microseconds."""
    total: int = 0
    """The sum of all values: microseconds."""

    def add(self, seconds: float) -> None:
        """Count one duration; one below zero counts as zero."""
        self.add_us(int(seconds * 1e6))

    def add_us(self, value: int) -> None:
        """Count one duration in microseconds."""
        if value < 0:
            value = 0
        bucket = _bucket(value)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.total += value
        if value > self.greatest:
            self.greatest = value

    def merge(self, other: Histogram) -> None:
        """Add what another holds."""
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count
        self.total += other.total
        self.greatest = max(self.greatest, other.greatest)

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(self.buckets.values())

    @property
    def mean_ms(self) -> float:
        """Milliseconds; 0 when there is no value."""
        return self.total / max(1, self.count) / 1000

    def quantile_ms(self, q: float) -> float:
        """Milliseconds: the greatest value of the bucket that holds the nearest rank; 0 of none."""
        rank = max(1.0, q * self.count)
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= rank:
                return min(_greatest(bucket), self.greatest) / 1000
        return 0.0

    def rows(self) -> list[tuple[int, int]]:
        """(the greatest value of a bucket in microseconds, how many it holds), ascending."""
        found = sorted(self.buckets.items())
        return [(min(_greatest(bucket), self.greatest), count) for bucket, count in found]

    def curve(self, points: Iterable[float]) -> list[tuple[float, float]]:
        """(quantile, milliseconds) for each of these quantiles."""
        return [(q, self.quantile_ms(q)) for q in points]


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """One that holds what all of them hold."""
    found = Histogram()
    for each in histograms:
        found.merge(each)
    return found


def _bucket(value: int) -> int:
    shift = value.bit_length() - _BITS - 1
    return value if shift <= 0 else shift * _PART + (value >> shift)


def _greatest(bucket: int) -> int:
    if bucket < 2 * _PART:
        return bucket
    shift = bucket // _PART - 1
    return ((bucket - shift * _PART + 1) << shift) - 1
