"""A cluster with a defect makes its fault run fail, and for the right reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.faults.cluster_faults import Lengths
from tests.faults.cluster_run import ClusterScenario, cluster_run
from tests.faults.conftest import MEASURED
from tests.faults.workload import Shape

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.xdist_group(MEASURED)

SHAPE: Final = Shape(
    users=12, second_devices=0, groups=2, privates=24, window=8, pause=1.5, wanderers=0, dawdlers=0
)
"""Many conversations in which hardly anybody writes: who writes is told all that was missed there,
so that nothing is late where many do."""

FOUND: Final = [
    ("trust_the_backbone", "10: session", " late, at "),
    ("tell_nobody", "8: ", "never saw"),
    ("tell_everybody", "9: ", "was told: pushed"),
    ("forget_watermarks", "11: ", "but the table says 0, 0"),
]


def _scenario(mutant: str) -> ClusterScenario:
    return ClusterScenario(
        seed=7,
        rounds=1,
        nodes=2,
        faults=["Redis outage"],
        lengths=Lengths(outage=6.0),
        shape=SHAPE,
        launcher=["tests.faults.cluster_mutants", mutant],
        patience=5.0,
        recovery_limit=10.0,
    )


async def test_without_a_defect_the_same_run_finds_nothing(memory_path: Path) -> None:
    report = await cluster_run(_scenario("no_defect"), memory_path)
    assert not report.violations


@pytest.mark.parametrize(("mutant", "rule", "words"), FOUND)
async def test_a_defect_is_found(mutant: str, rule: str, words: str, memory_path: Path) -> None:
    report = await cluster_run(_scenario(mutant), memory_path)
    assert any(line.startswith(rule) and words in line for line in report.violations), (
        f"not found: {rule} … {words}; but: {report.violations[:10]}"
    )
