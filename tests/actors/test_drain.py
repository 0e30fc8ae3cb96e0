from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_actors.drain import (
    ALONE_PATIENCE,
    BATCH,
    MAX_PATIENCE,
    ROUND,
    SPREAD,
    Plan,
    move_away,
    plan,
)

if TYPE_CHECKING:
    from trio.testing import MockClock


class Told:
    """Notes when it is told what."""

    def __init__(self) -> None:
        self.drained_at: float | None = None
        self.finished_at: float | None = None
        self.after_ms = -1

    def drain(self, after_ms: int) -> None:
        assert self.drained_at is None
        self.drained_at = trio.current_time()
        self.after_ms = after_ms

    def finish(self) -> None:
        assert self.drained_at is not None
        assert self.finished_at is None
        self.finished_at = trio.current_time()


async def moved(count: int, how: Plan) -> list[Told]:
    sessions = [Told() for _ in range(count)]
    chances = itertools.cycle([0.0, 0.5, 0.999])
    await move_away(sessions, how, chance=lambda: next(chances))
    return sessions


async def test_few_are_told_at_once_and_finished_when_they_had_time_to_move(
    autojump_clock: MockClock,
) -> None:
    sessions = await moved(BATCH, plan(BATCH, 30.0, alone=False))
    assert {session.drained_at for session in sessions} == {0.0}
    assert {session.finished_at for session in sessions} == {MAX_PATIENCE}
    assert {session.after_ms for session in sessions} == {0, 750, 1498}


async def test_many_are_told_a_batch_a_round(autojump_clock: MockClock) -> None:
    sessions = await moved(2 * BATCH + 1, plan(2 * BATCH + 1, 30.0, alone=False))
    told = [session.drained_at for session in sessions]
    assert told == [0.0] * BATCH + [ROUND] * BATCH + [2 * ROUND]
    for session in sessions:
        assert session.drained_at is not None
        assert session.finished_at == pytest.approx(session.drained_at + MAX_PATIENCE)


async def test_nobody_is_soon_told() -> None:
    assert await moved(0, plan(0, 30.0, alone=False)) == []


@pytest.mark.parametrize("timeout", [0.05, 1.0, 30.0, 300.0])
@pytest.mark.parametrize("clients", [1, 500, 100_000])
async def test_however_many_there_are_all_are_finished_within_the_time(
    autojump_clock: MockClock, clients: int, timeout: float
) -> None:
    how = plan(clients, timeout, alone=False)
    assert how.batch >= BATCH
    rounds = -(-clients // how.batch)
    told = (rounds - 1) * ROUND
    assert told <= SPREAD * timeout
    assert told + how.patience <= 0.9 * timeout
    assert how.jitter <= how.patience / 2


def test_who_has_nowhere_to_go_is_closed_soon_and_comes_back_spread() -> None:
    how = plan(10, 30.0, alone=True)
    assert how.patience == ALONE_PATIENCE
    assert how.jitter > how.patience
    assert plan(10, 0.4, alone=True).patience < ALONE_PATIENCE
