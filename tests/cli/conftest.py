from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from chat4all_actors.config import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=str(tmp_path / "data"))


@pytest.fixture
def no_directory(tmp_path: Path) -> Settings:
    """Settings whose data directory can't be made."""
    (tmp_path / "file").write_text("")
    return Settings(data_dir=str(tmp_path / "file" / "data"))


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is shown depends not on where it is run."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
