from __future__ import annotations

import os
import random
import sys
from typing import TYPE_CHECKING

from chat4all_storage.embedded.embedded import open_embedded
from tests.faults.run import Scenario, fault_run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.faults.report import Report

SEED = int(os.environ.get("FAULTS_SEED") or random.randrange(10**9))
KILLS = int(os.environ.get("FAULTS_KILLS") or 24)


def _accept(report: Report, capsys: pytest.CaptureFixture[str], kills: int) -> None:
    with capsys.disabled():
        print(f"\n{report}", file=sys.stderr)  # what workers of pytest-xdist print is dropped
    assert not report.violations, "\n".join(report.violations[:50])
    assert report.kills >= kills
    # The run is worth nothing unless it did what it is for.
    answers = report.answers
    assert answers["sent"] > 20 * kills
    assert answers["dup"] > 0
    assert answers["none"] > 0


async def test_killing_server_and_database_loses_doubles_and_reorders_nothing(
    memory_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print(f"FAULTS_SEED={SEED}")  # shown when the run ends without a report
    async with open_embedded(memory_path / "database", redis=False) as servers:
        report = await fault_run(
            Scenario(seed=SEED, kills=KILLS),
            memory_path / "server",
            postgres=servers.postgres_dsn,
            database=memory_path / "database",
        )
    _accept(report, capsys, KILLS)
    assert report.gaps > 0
    assert report.answers["UNAVAILABLE"] > 0


async def test_a_killed_server_takes_its_embedded_database_along_and_loses_nothing(
    memory_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print(f"FAULTS_SEED={SEED}")
    kills = max(6, KILLS // 4)
    faults = ("kill server", "kill server twice", "crash database", "drain")
    scenario = Scenario(seed=SEED, kills=kills, faults=faults)
    report = await fault_run(scenario, memory_path / "server", database=memory_path / "server")
    _accept(report, capsys, kills)
