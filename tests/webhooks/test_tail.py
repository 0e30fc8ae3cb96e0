"""The end of a journal, read once for all on a node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from chat4all_actors.webhooks import tail
from chat4all_actors.webhooks.tail import LINGER, Tail
from chat4all_storage.ports.errors import Unavailable
from tests.webhooks.world import World

if TYPE_CHECKING:
    from trio.testing import MockClock


class Counted:
    """A tail whose looks at its database are counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = World()
        self.tail = Tail(self.world.shard)
        self.looks = 0
        self.asked: list[int] = []
        """After which rows it was looked."""
        self.away = False
        self._changes = self.world.shard.changes
        monkeypatch.setattr(self.world.shard, "changes", self._look)

    async def _look(self, after: int, *, limit: int) -> Any:
        self.looks += 1
        self.asked.append(after)
        if self.away:
            await trio.lowlevel.checkpoint()
            raise Unavailable("away")
        return await self._changes(after, limit=limit)


async def test_nothing_is_read_while_nobody_is_there(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    counted = Counted(monkeypatch)
    await nursery.start(counted.tail.run)
    await trio.sleep(100)
    assert counted.looks == 0
    with counted.tail.reading():
        await trio.sleep(10)
    assert counted.looks > 10
    await trio.sleep(LINGER + 1)
    looks = counted.looks
    await trio.sleep(100)
    assert counted.looks == looks


async def test_who_is_at_the_end_reads_what_was_read(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    counted = Counted(monkeypatch)
    group = await counted.world.group("ann")
    await nursery.start(counted.tail.run)
    with counted.tail.reading():
        await trio.sleep(1)
        start = await counted.world.shard.journal_end()
        for _ in range(5):
            await counted.world.say(group, "ann")
        await trio.sleep(1)
        counted.asked.clear()
        first = await counted.tail.after(start, limit=3)
        rest = await counted.tail.after(first.rows[-1].id, limit=100)
        assert not {start, first.rows[-1].id} & set(counted.asked)
    assert [seq for row in first.rows + rest.rows for _, seq in row.heads] == [1, 2, 3, 4, 5]
    assert (first.more, rest.more) == (True, False)
    assert first.at == first.rows[-1].at


async def test_who_is_further_behind_reads_the_database(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    monkeypatch.setattr(tail, "KEPT", 2)
    counted = Counted(monkeypatch)
    group = await counted.world.group("ann")
    await nursery.start(counted.tail.run)
    with counted.tail.reading():
        await trio.sleep(1)
        for _ in range(5):
            await counted.world.say(group, "ann")
        await trio.sleep(1)
        counted.asked.clear()
        found = await counted.tail.after(0, limit=100)
        assert 0 in counted.asked
    assert len(found.rows) == 6


async def test_a_database_that_was_away_is_followed_again(
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    nursery: trio.Nursery,
    caplog: pytest.LogCaptureFixture,
) -> None:
    counted = Counted(monkeypatch)
    await nursery.start(counted.tail.run)
    with counted.tail.reading():
        await trio.sleep(1)
        counted.away = True
        await trio.sleep(60)
        assert caplog.text.count("can't be read") == 1
        with pytest.raises(Unavailable):
            await counted.tail.now()
        counted.away = False
        await trio.sleep(5)
        counted.asked.clear()
        assert await counted.tail.now() > 0
        assert tail.BEYOND_ALL not in counted.asked
