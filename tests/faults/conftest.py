from __future__ import annotations

import faulthandler
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.storage_servers import memory_disk

if TYPE_CHECKING:
    from collections.abc import Iterator

MEASURED: Final = "measured"
"""The runs that measure how late something comes: one after the other, and from the beginning."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """They take longest, and wait most of the time while others use the processors."""
    items.sort(key=lambda item: _group(item) != MEASURED)


def _group(item: pytest.Item) -> str | None:
    mark = item.get_closest_marker("xdist_group")
    return None if mark is None else mark.args[0]


@pytest.fixture(autouse=True)
def _no_watchdog() -> None:
    """A long run takes longer than pytest waits before it dumps all stacks, which may crash it.

    Whatever does not end here has a limit of its own.
    """
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def memory_path() -> Iterator[Path]:
    """A directory in memory, if there is room.

    What a killed process has written is still there. A database that recovers syncs each of its
    files, which takes seconds on a busy disk and shows nothing here.
    """
    with tempfile.TemporaryDirectory(prefix="chat4all-tests-", dir=memory_disk()) as name:
        yield Path(name)
