from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

from tests.faults.cluster_faults import Lengths
from tests.faults.cluster_run import ClusterScenario, cluster_run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SEED = int(os.environ.get("FAULTS_SEED") or random.randrange(10**9))
ROUNDS = int(os.environ.get("FAULTS_ROUNDS") or 1)
LENGTHS = Lengths(pause=10.0, outage=30.0) if os.environ.get("FAULTS_LONG") else Lengths()
FAULTS = os.environ.get("FAULTS_ONLY", "").split(",") if os.environ.get("FAULTS_ONLY") else None


async def test_nothing_that_happens_to_a_cluster_loses_doubles_reorders_or_delays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print(f"FAULTS_SEED={SEED}")  # shown when the run ends without a report
    scenario = ClusterScenario(seed=SEED, rounds=ROUNDS, lengths=LENGTHS, faults=FAULTS)
    report = await cluster_run(scenario, tmp_path)
    with capsys.disabled():
        print(f"\n{report}")
    assert not report.violations, "\n".join(report.violations[:50])
    # The run is worth nothing unless it did what it is for.
    answers = report.answers
    assert answers["sent"] > 40 * len(report.recoveries)
    assert answers["dup"] > 0
    assert answers["none"] > 0
    assert report.history.trespasses
    assert report.history.watermarks
