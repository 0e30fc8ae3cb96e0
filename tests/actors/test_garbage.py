"""The collector of this process, as it is left to itself and as it is looked after."""

from __future__ import annotations

import gc
import logging
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors import garbage
from chat4all_actors.garbage import CALM, INTERVAL, SPARE, URGENT, YOUNG, GarbageCollection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from trio.testing import MockClock


class Cycle:
    """Refers to itself, so only a collection finds it."""

    found = 0

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        Cycle.found += 1


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = gc.get_threshold(), list(gc.callbacks)
    Cycle.found = 0
    yield
    assert (gc.get_threshold(), list(gc.callbacks)) == before
    assert gc.get_freeze_count() == 0
    gc.collect()


@pytest.fixture
async def collection(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GarbageCollection]:
    """As in a process of its own: what the other tests have left does not count."""
    gc.collect()
    others, set_aside = len(gc.get_objects()), gc.get_freeze_count
    monkeypatch.setattr(gc, "get_freeze_count", lambda: max(0, set_aside() - others))
    made = GarbageCollection()
    async with trio.open_nursery() as nursery:
        await nursery.start(made.run)
        yield made
        nursery.cancel_scope.cancel()


@pytest.fixture
def as_many_again(collection: GarbageCollection) -> int:
    """Objects that may be added before everything is looked at."""
    return gc.get_freeze_count() + SPARE


async def an_interval() -> None:
    await trio.sleep(INTERVAL)
    await wait_all_tasks_blocked()


def add(count: int) -> list[list[None]]:
    return [[] for _ in range(count)]


def looked_at(objects: list[list[None]]) -> int:
    """How many of these a full collection looks at: those that were not set aside."""
    return len({id(each) for each in gc.get_objects()} & {id(each) for each in objects})


async def test_what_has_lived_for_an_interval_is_looked_at_no_more(
    autojump_clock: MockClock, collection: GarbageCollection
) -> None:
    kept = add(100)
    cycle = Cycle()
    assert looked_at(kept) == len(kept)
    await an_interval()
    assert looked_at(kept) == 0
    del cycle
    gc.collect()
    assert Cycle.found == 0


async def test_young_garbage_is_found_by_the_interpreter(collection: GarbageCollection) -> None:
    Cycle()
    kept = add(YOUNG + 1)
    assert len(kept) > YOUNG
    assert Cycle.found == 1


async def test_everything_is_looked_at_when_as_much_again_was_added_and_it_is_calm(
    autojump_clock: MockClock, as_many_again: int
) -> None:
    kept, cycle = add(as_many_again + YOUNG), Cycle()
    await an_interval()
    del cycle
    kept += add(YOUNG)  # still growing
    await an_interval()
    assert Cycle.found == 0
    await an_interval()
    assert Cycle.found == 1
    assert len(kept) > as_many_again


async def test_calm_is_not_waited_for_without_end(
    autojump_clock: MockClock, as_many_again: int
) -> None:
    cycle = Cycle()
    await an_interval()
    del cycle
    kept: list[list[None]] = []
    while not Cycle.found:
        kept += add(100 * CALM)
        await an_interval()
    assert as_many_again < len(kept) <= (URGENT + 1) * as_many_again


async def test_a_long_collection_is_logged(
    collection: GarbageCollection,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO, logger="chat4all_actors.garbage")
    collection.collect()
    monkeypatch.setattr(garbage, "LONG", 0.0)
    collection.collect()
    assert "generation 2" in caplog.messages[-1]
