from __future__ import annotations

import os
import random
import sys
from typing import TYPE_CHECKING

import pytest

from tests.faults.cluster_faults import Lengths
from tests.faults.cluster_run import ClusterScenario, cluster_run
from tests.faults.conftest import MEASURED

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.xdist_group(MEASURED)

SEED = int(os.environ.get("FAULTS_SEED") or random.randrange(10**9))
ROUNDS = int(os.environ.get("FAULTS_ROUNDS") or 1)
LENGTHS = Lengths(pause=10.0, outage=30.0) if os.environ.get("FAULTS_LONG") else Lengths()
GROUPS = [only] if (only := os.environ.get("FAULTS_ONLY")) else ["nodes and databases", "Redis"]


@pytest.mark.parametrize("faults", GROUPS)
async def test_nothing_that_happens_to_a_cluster_loses_doubles_reorders_or_delays(
    faults: str, memory_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print(f"FAULTS_SEED={SEED}")  # shown when the run ends without a report
    scenario = ClusterScenario(seed=SEED, rounds=ROUNDS, faults=faults.split(";"), lengths=LENGTHS)
    report = await cluster_run(scenario, memory_path)
    with capsys.disabled():
        print(f"\n{report}", file=sys.stderr)  # what workers of pytest-xdist print is dropped
    assert not report.violations, "\n".join(report.violations[:50])
    # The run is worth nothing unless it did what it is for.
    assert report.answers["sent"] > 20 * len(report.recoveries)
    assert report.answers["dup"] > 0
    assert report.history.trespasses
    assert report.history.watermarks
