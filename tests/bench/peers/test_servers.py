"""The servers that need nothing we don't have, run for real."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_bench.peers.catalogue import PEERS, Scenario
from chat4all_bench.peers.rounds import Load, run
from chat4all_bench.peers.targets import opened
from chat4all_bench.running.progress import Live
from chat4all_bench.running.round import Plan, Round
from chat4all_bench.scenarios import connect

if TYPE_CHECKING:
    from pathlib import Path

    from chat4all_bench.result import Integrity, Metric

HERE = [name for name, peer in PEERS.items() if peer.package == "ours" and peer.program]
SMALL = Load(connections=3, pairs=2, members=5, sessions=6, rate=40.0, text_bytes=60)
PLAN = Plan(
    number=1, seed=7, generators=1, seconds=0.25, warm_up=0.0, connect_rate=500.0, text_bytes=60
)


def measure(name: str, scenario: Scenario, directory: Path) -> tuple[Integrity, dict[str, Metric]]:
    with opened(PEERS[name], scenario, directory) as target:
        round_ = Round(PLAN, target, Live())
        try:
            outcome = run(round_, scenario, SMALL)
        finally:
            round_.close()
    return round_.integrity, outcome.metrics


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("scenario", ["echo", "chat", "fanout"])
def test_every_message_is_acknowledged_and_delivered_once(
    name: str, scenario: Scenario, tmp_path: Path
) -> None:
    found, metrics = measure(name, scenario, tmp_path)
    assert found.whole
    assert not found.errors
    assert found.sent == found.acknowledged > 0
    each = {"echo": 0, "chat": 1, "fanout": SMALL.members - 1}[scenario]
    assert found.delivered == each * found.sent
    assert "server_cpu_us" in metrics


def test_memory_is_told_of_sessions_that_do_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "SETTLING", 0.0)
    found, metrics = measure("bare", "connect", tmp_path)
    assert found.whole
    assert set(metrics) == {"kib_per_session", "r_squared"}
