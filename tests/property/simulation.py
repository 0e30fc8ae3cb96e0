"""Runs a program of steps against whole servers, and tells what it broke.

`play` runs it under a clock of its own, heals everything at its end, and returns the guarantees
that were broken: no sockets, no databases, no real time.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING
from unittest.mock import patch

import trio
from trio.testing import MockClock

from chat4all_actors import fanout, node
from chat4all_actors.conversation import reading
from chat4all_actors.kernel import RestartBudgetExceeded
from chat4all_actors.session import resume, session
from chat4all_storage.ports.errors import Rejected

from .sim_checks import check
from .sim_world import InjectedCrash, World

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .sim_world import Step


class _Faults(logging.Handler):
    """Faults that nobody injected."""

    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if not isinstance(error, InjectedCrash | Rejected | RestartBudgetExceeded):
            self._found.append(f"a fault: {record.getMessage()}: {error!r}")


@contextmanager
def _listening(found: list[str]) -> Iterator[None]:
    """Note faults in place of logging them; log nothing else."""
    handler = _Faults(found)
    faults = logging.getLogger("chat4all_actors.kernel.faults")
    others = [logging.getLogger("chat4all_actors"), logging.getLogger("chat4all_storage")]
    for logger in others:
        logger.setLevel(logging.CRITICAL)
    faults.setLevel(logging.ERROR)
    faults.addHandler(handler)
    faults.propagate = False
    try:
        yield
    finally:
        faults.propagate = True
        faults.removeHandler(handler)
        for logger in [*others, faults]:
            logger.setLevel(logging.NOTSET)


@contextmanager
def _reproducible() -> Iterator[None]:
    """Let sets of sessions have the same order in each run."""
    numbers = count()
    with (
        patch.object(session, "new_id", lambda: str(next(numbers))),
        patch.object(session.Session, "__hash__", lambda self: int(self.id)),
    ):
        yield


@contextmanager
def _small_batches() -> Iterator[None]:
    """Let a few events be many: every bound is met within a short program."""
    with (
        patch.object(resume, "FETCH_LIMIT", 6),
        patch.object(reading, "BATCH", 2),
        patch.object(fanout, "CHECKPOINT_EVERY", 2),
    ):
        yield


@contextmanager
def _without_http() -> Iterator[None]:
    """Let no node make its REST API, which nobody calls here: it takes longer than the rest."""
    with patch.object(node, "build", lambda *_, **__: None):
        yield


async def _play(
    program: Sequence[Step], nodes: int, clock: MockClock, violations: list[str]
) -> None:
    async with trio.open_nursery() as nursery:
        world = World(nursery, clock, nodes)
        world.violations = violations
        for database in world.databases:
            database.complain = world.complain
        await world.start()
        for step in program:
            await world.perform(step)
            if violations:
                break
        else:
            await world.heal()
            await check(world)
        clock.autojump_threshold = 0  # a log that is being stopped may wait
        nursery.cancel_scope.cancel()


def play(program: Sequence[Step], nodes: int = 1) -> list[str]:
    """Run a program on so many nodes; the guarantees that were broken, as they were noticed."""
    clock = MockClock()
    violations: list[str] = []
    with _listening(violations), _small_batches(), _reproducible(), _without_http():
        trio.run(_play, program, nodes, clock, violations, clock=clock)
    return violations
