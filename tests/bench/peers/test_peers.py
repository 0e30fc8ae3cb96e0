"""A small comparison, for real: ours beside `websockets`, which is installed with us."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import msgspec
import pytest

from chat4all_bench import cli
from chat4all_bench.peers import run as running
from chat4all_bench.peers.catalogue import NOTHING
from chat4all_bench.peers.comparison import Comparison
from chat4all_bench.peers.installing import NotInstallable

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from chat4all_bench.target import Target

Capture = pytest.CaptureFixture[str]


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return parser.parse_args(["peers", *arguments])


@pytest.mark.xdist_group("bench")
def test_ours_and_another_server_take_turns_and_are_told_beside_each_other(
    capsys: Capture, tmp_path: Path
) -> None:
    small = ["--rounds", "2", "--seconds", "0.3", "--connections", "5"]
    what = ["--only", "websockets", "--scenario", "echo"]
    assert cli.run(options(*what, *small, "--json", "--out", str(tmp_path))) == 0
    said = capsys.readouterr().out
    found = msgspec.json.decode(said, type=Comparison)
    ours, theirs = found.contestants
    assert [ours.name, theirs.name] == ["chat4all", "websockets"]
    assert ours.ratios == {}
    assert len(theirs.ratios["server_cpu_us"].rounds) == 2
    assert ours.durability == theirs.durability == NOTHING
    assert ours.integrity.acknowledged > 0
    assert (tmp_path / "peers-echo.json").read_text() == said.strip()


def test_a_name_that_is_nobodys_is_a_usage_error(capsys: Capture) -> None:
    assert cli.run(options("--only", "websockets,wobsockets")) == 2
    assert "--only: 'wobsockets' is none of chat4all, bare" in capsys.readouterr().err


def not_installable(*_: object) -> AbstractContextManager[Target]:
    raise NotInstallable("node is not on the PATH")


def test_a_server_that_was_named_and_cannot_be_brought_ends_with_3(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "opened", not_installable)
    assert cli.run(options("--only", "ws", "--scenario", "echo", "--rounds", "1")) == 3
    assert "node is not on the PATH" in capsys.readouterr().err
