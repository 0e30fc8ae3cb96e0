from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_actors.kernel import Pool
from tests.kernel.stage import Stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Faults = list[tuple[str, BaseException]]


@pytest.fixture
def faults() -> Faults:
    return []


@pytest.fixture
async def pool(faults: Faults) -> AsyncIterator[Pool]:
    """A running pool whose faults are collected."""
    pool = Pool("pool", on_fault=lambda name, error: faults.append((name, error)))
    async with trio.open_nursery() as nursery:
        await nursery.start(pool.run)
        yield pool
        nursery.cancel_scope.cancel()


@pytest.fixture
def stage() -> Stage:
    return Stage()
