"""A server with a defect makes the fault run fail, and for the right reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from chat4all_storage.embedded.embedded import open_embedded
from tests.faults.run import Scenario, fault_run
from tests.faults.workload import Shape

if TYPE_CHECKING:
    from pathlib import Path

SHAPE: Final = Shape(
    users=7, second_devices=1, groups=2, privates=1, wanderers=2, dawdlers=0, pause=0.08
)

FOUND: Final = [
    ("acknowledge_before_commit", "3: acknowledged", "but not there"),
    ("store_retries_again", "2: table", "stored again"),
    ("store_under_another_id", "5: nobody sent", ""),
    ("store_in_another_order", "6: session", "sent it after"),
    ("store_and_refuse", "4: stored by an attempt that was refused", ""),
    ("deliver_out_of_order", "7: session", "without a gap"),
    ("skip_what_was_missed", "7: session", "without a gap"),
    ("skip_what_was_missed", "8: ", "never saw"),
    ("swallow_gaps", "7: session", "without a gap"),
    ("swallow_gaps", "8: ", "never saw"),
    ("shorten_pages", "8: page", "ends at"),
]


def _scenario(mutant: str, fault: str = "kill server", kills: int = 3) -> Scenario:
    return Scenario(
        seed=7,
        kills=kills,
        faults=[fault],
        shape=SHAPE,
        launcher=["tests.faults.mutants", mutant],
        after_faults=300,
        least_in_flight=5,
        healing_limit=6.0,
    )


async def test_without_a_defect_the_same_run_finds_nothing(tmp_path: Path, database: str) -> None:
    report = await fault_run(_scenario("no_defect"), tmp_path, postgres=database)
    assert not report.violations
    assert report.gaps > 0


@pytest.mark.parametrize("mutant", sorted({name for name, _, _ in FOUND}))
async def test_a_defect_is_found(mutant: str, tmp_path: Path, database: str) -> None:
    report = await fault_run(_scenario(mutant), tmp_path, postgres=database)
    for name, rule, words in FOUND:
        if name == mutant:
            assert any(line.startswith(rule) and words in line for line in report.violations), (
                f"not found: {rule} … {words}; but: {report.violations[:10]}"
            )


async def test_an_acknowledgement_before_the_flush_is_found(memory_path: Path) -> None:
    async with open_embedded(memory_path / "database", redis=False) as servers:
        report = await fault_run(
            # Often: what was acknowledged is flushed within 0.2 s, and nothing is lost then.
            _scenario("acknowledge_before_flush", "kill both", kills=12),
            memory_path / "server",
            postgres=servers.postgres_dsn,
            database=memory_path / "database",
        )
    assert any(line.startswith("3: acknowledged") for line in report.violations), report.violations
