"""For tests of connectors to Meta, and of the made-up Meta itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fakes.meta.client import MetaControl, control
from tests.fakes.process import run_fake

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture(scope="session")
def meta_process() -> Iterator[str]:
    """The address of a made-up Meta."""
    with run_fake("meta") as url:
        yield url


@pytest.fixture
async def meta(meta_process: str) -> AsyncIterator[MetaControl]:
    """A made-up Meta in which nothing has happened."""
    async with control(meta_process) as client:
        await client.reset()
        yield client
