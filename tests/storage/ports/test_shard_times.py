"""Times when the clock goes back: along the log they never do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat4all_storage.memory import log as memory_log
from chat4all_storage.memory.shard import MemoryShard
from tests.storage.builders import append, commit_one, new_conversation
from tests.storage.probes import ask, open_shard

if TYPE_CHECKING:
    import pytest

    from chat4all_storage.bridge import Bridge

HOUR = 3_600_000


async def test_in_memory_the_last_time_holds_until_the_clock_has_caught_up() -> None:
    now = 1000
    store = MemoryShard(clock_ms=lambda: now)
    conversation = await new_conversation(store, "ann")
    times = []
    for now in (1500, 900, 1499, 1501):  # noqa: B007 - the clock reads it
        times.append((await commit_one(store, append(conversation, "ann"))).ts)
    assert times == [1500, 1500, 1500, 1501]


async def test_in_postgresql_the_last_time_holds_until_the_clock_has_caught_up(
    bridge: Bridge, database: str
) -> None:
    async with open_shard(bridge, database) as store:
        conversation = await new_conversation(store, "ann")
        ahead = (await commit_one(store, append(conversation, "ann"))).ts + HOUR
        await ask(database, f"UPDATE conversations SET active_at = {ahead}")
        assert (await commit_one(store, append(conversation, "ann"))).ts == ahead
        await ask(database, "UPDATE conversations SET active_at = 0")
        assert 0 < (await commit_one(store, append(conversation, "ann"))).ts < ahead


async def test_times_of_creation_are_of_the_clock_of_the_database(
    bridge: Bridge, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (before,) = await ask(database, "SELECT extract(epoch FROM clock_timestamp()) * 1000 AS ms")
    monkeypatch.setattr("time.time_ns", lambda: 0)
    async with open_shard(bridge, database) as store:
        conversation = await new_conversation(store, "ann")
        found = await store.conversation(conversation)
    assert found is not None
    assert found.created_at >= int(before["ms"])


def test_memory_uses_the_wall_clock_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_234_567_890)
    assert memory_log.wall_clock_ms() == 1234
