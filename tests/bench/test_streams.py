from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from chat4all_bench.generator.integrity import Streams

arrivals = st.lists(st.integers(1, 12), max_size=30)


@given(arrivals, st.integers(0, 15))
def test_lost_and_doubled_are_what_counting_finds(numbers: list[int], more: int) -> None:
    streams, received = Streams(), [0]
    first = [streams.arrived(received, 1, 0, number) for number in numbers]
    written = max(12, more)
    times = Counter(numbers)
    assert sum(first) == len(times)
    assert streams.doubled == sum(times.values()) - len(times)
    assert streams.lost(received, 1, 0, written) == written - len(times)


@given(st.permutations(range(1, 9)))
def test_reordered_are_those_that_come_after_a_greater_one(numbers: list[int]) -> None:
    streams, received = Streams(), [0]
    for number in numbers:
        streams.arrived(received, 1, 0, number)
    late = sum(1 for at, number in enumerate(numbers) if number < max(numbers[: at + 1]))
    assert (streams.reordered, streams.doubled) == (late, 0)
    assert streams.lost(received, 1, 0, 8) == 0


@given(st.permutations(range(1, 9)))
def test_what_was_announced_to_come_late_is_no_disorder(numbers: list[int]) -> None:
    streams, received = Streams(), [0]
    for number in numbers:
        streams.arrived(received, 1, 0, number, late=True)
    assert (streams.reordered, streams.doubled) == (0, 0)


@given(arrivals, st.sets(st.integers(1, 12)))
def test_what_was_refused_is_not_lost(numbers: list[int], refused: set[int]) -> None:
    streams, received = Streams(), [0]
    for number in numbers:
        streams.arrived(received, 1, 0, number)
    expected = set(range(1, 13)) - set(numbers) - refused
    assert streams.lost(received, 1, 0, 12, refused) == len(expected)


def test_readers_and_speakers_are_told_apart() -> None:
    streams, one, other = Streams(), [0, 0], [0, 0]
    streams.arrived(one, 1, 0, 2)
    streams.arrived(other, 2, 0, 1)
    assert streams.lost(one, 1, 0, 2) == 1
    assert streams.lost(other, 2, 0, 2) == 1
    assert streams.lost(one, 1, 1, 0) == 0
