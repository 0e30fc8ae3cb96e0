from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults import processes
from tests.faults.processes import StartFailed, server_log, server_process

if TYPE_CHECKING:
    from pathlib import Path

AWAY = ["--postgres", "postgresql://chat4all@127.0.0.1:1/chat4all"]


async def start(directory: Path, launcher: list[str], *arguments: str) -> None:
    with server_log(directory) as log:
        async with server_process(launcher, arguments, log):
            pytest.fail("it listens")


async def test_a_server_that_breaks_at_its_start_fails_the_run_and_its_log_is_told(
    tmp_path: Path,
) -> None:
    with pytest.raises(StartFailed, match="ended with 1 at its start") as caught:
        await start(tmp_path, ["tests.faults.mutants", "no_such_defect"])
    assert "KeyError: 'no_such_defect'" in "".join(caught.value.__notes__)


async def test_a_server_whose_database_stays_away_fails_the_run_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "START_LIMIT", 2.0)
    with pytest.raises(StartFailed, match="does not listen"):
        await start(tmp_path, ["chat4all_actors"], *AWAY)
