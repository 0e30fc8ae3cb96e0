"""What is found of messages at a provider."""

from __future__ import annotations

import pytest

from chat4all_bench.channels.load import reordered


@pytest.mark.parametrize(
    ("numbers", "people", "wrong"),
    [
        ([1, 2, 3, 4], 2, 0),
        ([2, 1, 4, 3], 2, 0),
        ([3, 1, 2, 4], 2, 1),
        ([5, 3, 1, 2], 2, 2),
        ([], 3, 0),
    ],
)
def test_order_is_that_of_each_conversation(numbers: list[int], people: int, wrong: int) -> None:
    assert reordered(numbers, people) == wrong
