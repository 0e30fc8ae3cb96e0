"""Following rows whose ids are given before they can be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec import Struct

from chat4all_storage.follower import LOOKS, MAX_MISSING, PATIENCE, Follower

if TYPE_CHECKING:
    from collections.abc import Collection

    from trio.testing import MockClock


class Row(Struct):
    id: int


class Table:
    """Rows appear when a test says so."""

    def __init__(self) -> None:
        self.rows: set[int] = set()
        self.asked: list[list[int]] = []
        self.broken = False

    async def read(self, after: int, missing: Collection[int]) -> list[Row]:
        if self.broken:
            raise OSError("away")
        self.asked.append(sorted(missing))
        return [Row(id_) for id_ in sorted(self.rows) if id_ > after or id_ in missing]


def follower_of(table: Table, *, keep: float = 1000.0) -> Follower[Row]:
    return Follower(table.read, keep=keep)


async def ids(follower: Follower[Row]) -> list[int]:
    return [row.id for row in await follower.poll()]


async def test_rows_come_once_and_in_order() -> None:
    table = Table()
    follower = follower_of(table)
    table.rows |= {1, 2}
    assert await ids(follower) == [1, 2]
    table.rows |= {3}
    assert await ids(follower) == [3]
    assert await ids(follower) == []
    assert follower.position == 3


async def test_it_starts_where_it_is_told() -> None:
    table = Table()
    follower = follower_of(table)
    table.rows |= {1, 2, 3}
    follower.start(2)
    assert await ids(follower) == [3]


async def test_a_row_that_appears_late_is_not_passed_over() -> None:
    table = Table()
    follower = follower_of(table)
    table.rows |= {1, 4}
    assert await ids(follower) == [1, 4]
    table.rows |= {3}
    assert await ids(follower) == [3]
    table.rows |= {2, 5}
    assert await ids(follower) == [2, 5]
    await follower.poll()
    assert table.asked == [[], [2, 3], [2], []]


async def test_an_id_that_never_comes_is_given_up(mock_clock: MockClock) -> None:
    table = Table()
    follower = follower_of(table)
    table.rows |= {2}
    await follower.poll()
    for _ in range(LOOKS):
        mock_clock.jump(PATIENCE)
        await follower.poll()
    await follower.poll()
    assert table.asked[-2:] == [[1], []]


async def test_time_without_an_answer_does_not_count(mock_clock: MockClock) -> None:
    table = Table()
    follower = follower_of(table)
    table.rows |= {2}
    await follower.poll()
    mock_clock.jump(10 * PATIENCE)
    await follower.poll()
    table.rows |= {1}
    assert await ids(follower) == [1]


async def test_a_failed_look_changes_nothing() -> None:
    table = Table()
    follower = follower_of(table)
    table.rows |= {1, 3}
    await follower.poll()
    table.broken = True
    for _ in range(2):
        with pytest.raises(OSError, match="away"):
            await follower.poll()
    table.broken = False
    table.rows |= {2, 4}
    assert await ids(follower) == [2, 4]


async def test_who_was_away_for_too_long_knows_it(mock_clock: MockClock) -> None:
    table = Table()
    follower = follower_of(table, keep=100)
    mock_clock.jump(50)
    await follower.poll()
    assert not follower.lost
    mock_clock.jump(51)
    await follower.poll()
    assert follower.lost


async def test_a_wide_hole_means_that_rows_were_removed() -> None:
    table = Table()
    follower = follower_of(table)
    table.rows |= {MAX_MISSING + 1}
    await follower.poll()
    assert not follower.lost
    table.rows |= {MAX_MISSING + 3}
    await follower.poll()
    assert follower.lost
    assert await ids(follower) == []
