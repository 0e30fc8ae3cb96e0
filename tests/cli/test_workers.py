"""The parent of several workers, with workers that do as the test says."""

from __future__ import annotations

from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.cli import workers as module
from chat4all_actors.cli.listening import Doors, open_doors
from chat4all_actors.cli.main import CommandError, first_error
from chat4all_actors.cli.workers import EXIT_LIMIT, LONGEST_PAUSE, STABLE, Workers
from chat4all_actors.config import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

SETTINGS = Settings(port=0, workers=3, drain_timeout=20.0)


class Fakes:
    """Makes workers; the next ones fail at their start while `failing`."""

    def __init__(self) -> None:
        self.made: list[FakeWorker] = []
        self.failing = False
        self.obedient = True
        """Whether those that are made end when they are told to."""

    def make(self, number: int, settings: Settings, doors: Doors) -> FakeWorker:
        self.made.append(FakeWorker(self, number, doors))
        return self.made[-1]

    def at(self, number: int) -> FakeWorker:
        """The latest of this number."""
        return [worker for worker in self.made if worker.number == number][-1]

    @property
    def alive(self) -> list[FakeWorker]:
        return [worker for worker in self.made if worker.up and not worker.ended.is_set()]

    @property
    def accepting(self) -> list[int]:
        """The numbers of those that accept, in order."""
        return sorted(worker.number for worker in self.alive if not worker.leaving.is_set())


class FakeWorker:
    """Stands in for a `WorkerProcess`."""

    def __init__(self, fakes: Fakes, number: int, doors: Doors) -> None:
        self.number = number
        self.doors = doors
        self.leaving = trio.Event()
        self.ended = trio.Event()
        self.end = "ended with 1"
        self.began = trio.current_time()
        self.up = False
        self.killed = False
        self._fails = fakes.failing
        self._obedient = fakes.obedient

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        await trio.lowlevel.checkpoint()
        if self._fails:
            self.crash()
            raise CommandError(f"worker {self.number} does not like it")
        self.up = True
        task_status.started()
        try:
            await self.ended.wait()
        finally:
            self.crash()

    def crash(self) -> None:
        self.leaving.set()
        self.ended.set()

    def drain(self) -> None:
        self.leaving.set()
        if self._obedient:
            self.ended.set()

    def kill(self) -> None:
        self.killed = True
        self.crash()


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    fakes = Fakes()
    monkeypatch.setattr(module, "WorkerProcess", fakes.make)
    return fakes


@pytest.fixture
def doors() -> Iterator[list[Doors]]:
    opened = open_doors(SETTINGS)
    yield opened
    for each in opened:
        each.close()


@asynccontextmanager
async def running(doors: list[Doors]) -> AsyncIterator[Workers]:
    workers = Workers(SETTINGS, doors)
    async with trio.open_nursery() as nursery:
        await nursery.start(workers.run)
        yield workers
        nursery.cancel_scope.cancel()


async def test_there_is_a_worker_at_each_door(
    fakes: Fakes, doors: list[Doors], autojump_clock: trio.testing.MockClock
) -> None:
    async with running(doors):
        assert fakes.accepting == [1, 2, 3]
        assert [fakes.at(number).doors for number in (1, 2, 3)] == doors
    assert fakes.alive == []


async def test_the_first_start_that_fails_ends_everything(
    fakes: Fakes, doors: list[Doors], autojump_clock: trio.testing.MockClock
) -> None:
    fakes.failing = True
    with pytest.raises(BaseExceptionGroup) as caught:
        async with running(doors):
            raise AssertionError("not reached")
    error = first_error(caught.value)
    assert isinstance(error, CommandError)
    assert "does not like it" in error.message
    assert fakes.alive == []


async def test_a_worker_that_ends_is_replaced_at_its_door(
    fakes: Fakes, doors: list[Doors], autojump_clock: trio.testing.MockClock
) -> None:
    async with running(doors):
        await trio.sleep(STABLE)
        ended_at = trio.current_time()
        fakes.at(2).crash()
        await wait_all_tasks_blocked()
        assert fakes.accepting == [1, 2, 3]
        assert fakes.at(2).doors is doors[1]
        assert fakes.at(2).began == ended_at


async def test_one_that_fails_at_its_start_is_started_again_ever_more_slowly(
    fakes: Fakes, doors: list[Doors], autojump_clock: trio.testing.MockClock
) -> None:
    async with running(doors):
        await trio.sleep(STABLE)
        fakes.failing = True
        fakes.at(1).crash()
        await trio.sleep(60)
        fakes.failing = False
        await trio.sleep(LONGEST_PAUSE)
        assert fakes.accepting == [1, 2, 3]
        began = [worker.began for worker in fakes.made[3:]]
        pauses = [round(later - earlier, 6) for earlier, later in pairwise(began)]
        assert pauses[:6] == [0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_PAUSE]
        assert set(pauses[6:]) == {LONGEST_PAUSE}


async def test_one_that_ends_early_again_and_again_is_started_ever_more_slowly(
    fakes: Fakes, doors: list[Doors], autojump_clock: trio.testing.MockClock
) -> None:
    async with running(doors):
        for _ in range(3):
            fakes.at(2).crash()
            await trio.sleep(1)
        began = [worker.began for worker in fakes.made if worker.number == 2]
        assert [round(at, 6) for at in began] == [0.0, 0.2, 1.4, 2.8]


async def test_one_that_leaves_is_replaced_while_it_drains(
    fakes: Fakes, doors: list[Doors], autojump_clock: trio.testing.MockClock
) -> None:
    fakes.obedient = False
    async with running(doors):
        leaver = fakes.at(3)
        leaver.leaving.set()
        await trio.sleep(1)
        assert fakes.accepting == [1, 2, 3]
        assert leaver in fakes.alive
        leaver.crash()
        await trio.sleep(60)
        assert len(fakes.made) == 4


async def test_a_rolling_restart_replaces_one_worker_after_the_other(
    fakes: Fakes, doors: list[Doors], autojump_clock: trio.testing.MockClock
) -> None:
    fakes.obedient = False
    async with running(doors) as workers:
        first = [fakes.at(number) for number in (1, 2, 3)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(workers.restart)
            for replaced, old in enumerate(first, 1):
                await wait_all_tasks_blocked()
                assert fakes.accepting == [1, 2, 3]
                assert len(fakes.made) == 3 + replaced
                assert [worker.leaving.is_set() for worker in first] == [
                    position < replaced for position in range(3)
                ]
                old.crash()
        assert fakes.accepting == [1, 2, 3]
        assert not any(worker in fakes.alive for worker in first)


async def test_a_rolling_restart_that_fails_leaves_those_that_work(
    fakes: Fakes,
    doors: list[Doors],
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(doors) as workers:
        first = list(fakes.made)
        fakes.failing = True
        await workers.restart()
        assert fakes.alive == first
        assert len(fakes.made) == 4
    assert "given up: worker 1 does not like it" in caplog.text


async def test_a_drain_closes_the_doors_and_ends_when_all_workers_have_ended(
    fakes: Fakes, doors: list[Doors], autojump_clock: trio.testing.MockClock
) -> None:
    fakes.obedient = False
    workers = Workers(SETTINGS, doors)
    async with trio.open_nursery() as nursery:
        await nursery.start(workers.run)
        nursery.start_soon(workers.drain)
        await wait_all_tasks_blocked()
        assert fakes.accepting == []
        assert all(listener.fileno() < 0 for each in doors for listener in each.public)
        for worker in fakes.made:
            worker.crash()
    assert [worker.killed for worker in fakes.made] == [False] * 3


async def test_a_worker_that_does_not_end_is_killed(
    fakes: Fakes, doors: list[Doors], autojump_clock: trio.testing.MockClock
) -> None:
    fakes.obedient = False
    async with running(doors) as workers:
        began = trio.current_time()
        await workers.drain()
        assert trio.current_time() - began == SETTINGS.drain_timeout + EXIT_LIMIT
    assert [worker.killed for worker in fakes.made] == [True] * 3


async def test_a_drain_ends_a_rolling_restart_and_all_that_it_left(
    fakes: Fakes, doors: list[Doors], autojump_clock: trio.testing.MockClock
) -> None:
    fakes.obedient = False
    async with running(doors) as workers:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(workers.restart)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert len(fakes.alive) == 4  # the old worker of the first place still drains
        await workers.drain()
        assert fakes.alive == []
