"""A small comparison, for real: ours beside `websockets`, which is installed with us."""

from __future__ import annotations

import argparse
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest

from chat4all_bench import cli
from chat4all_bench.peers import run as running
from chat4all_bench.peers.catalogue import NOTHING
from chat4all_bench.peers.comparison import Comparison
from chat4all_bench.peers.installing import NotInstallable
from chat4all_bench.result import Target as TargetInfo
from chat4all_bench.running.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from chat4all_bench.measuring.proc import Known
    from chat4all_bench.peers.catalogue import Peer, Scenario
    from chat4all_bench.peers.rounds import Load
    from chat4all_bench.running.round import Round
    from chat4all_bench.targets.target import Person, Room, Target

Capture = pytest.CaptureFixture[str]


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return parser.parse_args(["peers", *arguments])


@pytest.mark.xdist_group("bench")
def test_ours_and_another_server_are_measured_and_told_beside_each_other(
    capsys: Capture, tmp_path: Path
) -> None:
    small = ["--rounds", "1", "--seconds", "0.3", "--connections", "5"]
    what = ["--only", "websockets", "--scenario", "echo"]
    assert cli.run(options(*what, *small, "--json", "--out", str(tmp_path))) == 0
    said = capsys.readouterr().out
    found = msgspec.json.decode(said, type=Comparison)
    ours, theirs = found.contestants
    assert [ours.name, theirs.name] == ["chat4all", "websockets"]
    assert ours.ratios == {}
    assert len(theirs.ratios["server_cpu_us"].rounds) == 1
    assert ours.durability == theirs.durability == NOTHING
    assert ours.integrity.acknowledged > 0
    assert (tmp_path / "peers-echo.json").read_text() == said.strip()


def test_a_name_that_is_nobodys_is_a_usage_error(capsys: Capture) -> None:
    assert cli.run(options("--only", "websockets,wobsockets")) == 2
    assert "--only: 'wobsockets' is none of chat4all, bare" in capsys.readouterr().err


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Servers that cost 1, 2, 3, … in the order of their turns; `ws` can't be installed."""
    found: list[str] = []

    @contextmanager
    def opened(peer: Peer, scenario: Scenario, home: Path) -> Iterator[Target]:
        if peer.name == "ws":
            raise NotInstallable("node is not on the PATH")
        found.append(peer.name)
        yield FakeTarget(peer.name)

    def measure(round_: Round, scenario: Scenario, load: Load) -> Outcome:
        outcome = Outcome()
        outcome.add("server_cpu_us", len(found), "us")
        round_.integrity.lost = int(round_.target.info.name == "trio-websocket")
        return outcome

    monkeypatch.setattr(running, "opened", opened)
    monkeypatch.setattr(running, "run_round", measure)
    return found


class FakeTarget:
    host, dialect = "127.0.0.1", ""
    ports: Sequence[int] = (1,)

    def __init__(self, name: str) -> None:
        self.info = TargetInfo(name, "1", "here", NOTHING)

    def processes(self) -> list[Known]:
        return []

    def people(self, names: Sequence[str]) -> list[Person]:
        return []

    def rooms(self, rooms: Sequence[Room]) -> list[str]:
        return []


def test_servers_take_turns_and_each_round_has_its_own_ratio(
    turns: list[str], capsys: Capture
) -> None:
    what = ["--only", "websockets", "--scenario", "echo", "--rounds", "3", "--json"]
    assert cli.run(options(*what)) == 0
    assert turns == ["chat4all", "websockets"] * 3
    _, theirs = msgspec.json.decode(capsys.readouterr().out, type=Comparison).contestants
    assert theirs.ratios["server_cpu_us"].rounds == [1 / 2, 3 / 4, 5 / 6]


def test_who_cannot_take_part_is_left_out_and_told_of(turns: list[str], capsys: Capture) -> None:
    cli.run(options("--scenario", "echo", "--rounds", "2"))
    assert "ws" not in turns
    said = capsys.readouterr().out
    assert "left out: ws: node is not on the PATH" in said
    assert "left out: ejabberd: it has no echo" in said


def test_a_server_that_was_named_and_cannot_be_brought_ends_with_3(
    turns: list[str], capsys: Capture
) -> None:
    assert cli.run(options("--only", "ws", "--scenario", "echo")) == 3
    assert "node is not on the PATH" in capsys.readouterr().err
    assert turns == ["chat4all"]


def test_a_server_that_loses_a_message_ends_with_1(turns: list[str], capsys: Capture) -> None:
    assert cli.run(options("--only", "trio-websocket", "--scenario", "chat", "--rounds", "1")) == 1
    assert "trio-websocket FAILED: 1 lost" in capsys.readouterr().out
