from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .files_harness import Place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Place]:
    def make(**settings: Any) -> Place:
        return Place(file_spool=str(tmp_path / "spool"), **settings)

    return make


@pytest.fixture
async def place(make: Callable[..., Place]) -> AsyncIterator[Place]:
    async with make().running() as place:
        yield place
