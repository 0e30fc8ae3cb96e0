from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import msgspec
import pytest

from chat4all_bench import cli
from chat4all_bench.result import Generator, Integrity, Machine, Metric, Run, Target, Threshold

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return parser.parse_args(arguments)


def a_run(*, passed: bool = True, limit: str = "") -> Run:
    return Run(
        scenario="chat",
        command=["chat4all", "bench", "chat"],
        started_at="2026-11-27T12:00:00Z",
        seconds=1.0,
        seed=1,
        rounds=1,
        target=Target("chat4all", "1", "here", "on disk"),
        machine=Machine(2, "cpu", 1024, "6", "3.11"),
        parameters={},
        passed=passed,
        thresholds=[Threshold("p99<50ms", "delivery_p99", 50.0, 60.0, passed=False)],
        metrics={"rate": Metric([1.0, 3.0], "/s", "higher")},
        integrity=Integrity(errors={"closed": 2}),
        generator=Generator(1, 0.95, 1.0, bool(limit), limit),
    )


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 1)])
def test_a_run_that_is_not_good_ends_with_1(passed: bool, code: int) -> None:
    assert cli.show(a_run(passed=passed), as_json=False, out=None) == code


def test_json_is_the_whole_run_and_out_keeps_the_same(capsys: Capture, tmp_path: Path) -> None:
    directory = tmp_path / "new"
    cli.show(a_run(), as_json=True, out=str(directory))
    printed = msgspec.json.decode(capsys.readouterr().out, type=Run)
    assert printed == a_run()
    assert msgspec.json.decode((directory / "run.json").read_bytes(), type=Run) == a_run()


def test_a_generator_that_was_the_limit_is_told(capsys: Capture) -> None:
    cli.show(a_run(limit="it was busy"), as_json=False, out=None)
    assert "it was busy" in capsys.readouterr().out
    cli.show(a_run(limit="it was busy"), as_json=True, out=None)
    assert "the generator was the limit: it was busy" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["rest", "--stages", "30"], "is no stage"),
        (["rest", "--profile", "bare", "--url", "http://x"], "leave --url out"),
        (["rest", "--callers", "users", "--url", "http://x"], "leave --url out"),
        (["chat", "--pid", "1"], "--pid is of a server that runs"),
        (["chat", "--tokens", "x"], "--tokens is of a server that runs"),
        (["chat", "--fresh", "--url", "http://x"], "leave --url out"),
        (["churn", "--peer", "ws"], "--peer is for connect, chat, fanout, capacity"),
        (["chat", "--threshold", "p99"], "--threshold 'p99' is none"),
        (["chat", "--threshold", "speed<1"], "there is no metric speed; there are p50"),
    ],
)
def test_arguments_that_do_not_fit_are_a_usage_error(
    capsys: Capture, arguments: list[str], told: str
) -> None:
    assert cli.run(options(*arguments)) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["chat", "--pairs", "-1"], ["chat", "--rate", "0"], ["fanout", "--members", "10,x"]],
)
def test_a_number_out_of_range_is_a_usage_error(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        options(*arguments)
    assert ended.value.code == 2


@pytest.mark.parametrize("scenario", ["chat", "rest"])
def test_a_server_that_does_not_answer_is_told_as_unreachable(
    capsys: Capture, scenario: str
) -> None:
    assert cli.run(options(scenario, "--url", "http://127.0.0.1:1")) == 3
    assert "127.0.0.1:1 does not answer" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["https://x", "x", "http://", "http://x:99999"])
def test_an_address_that_can_not_be_used_is_told(capsys: Capture, url: str) -> None:
    assert cli.run(options("chat", "--url", url)) == 2
    assert "it must be http://HOST:PORT" in capsys.readouterr().err


@pytest.mark.parametrize("command", [*cli.SCENARIOS, *cli.WHOLE, *cli.COMMANDS])
def test_every_command_explains_itself(capsys: Capture, command: str) -> None:
    with pytest.raises(SystemExit) as ended:
        options(command, "--help")
    assert ended.value.code == 0
    assert "options:" in capsys.readouterr().out


def test_help_names_every_command(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        options("--help")
    shown = capsys.readouterr().out
    assert all(f"    {name}" in shown for name in [*cli.SCENARIOS, *cli.WHOLE, *cli.COMMANDS])
