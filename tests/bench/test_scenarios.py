from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import pytest

from chat4all_bench import scenarios
from chat4all_bench.report import as_text

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    scenarios.add_arguments(parser)
    return parser.parse_args(arguments)


def found(monkeypatch: pytest.MonkeyPatch, *lines: dict[str, object]) -> None:
    """Stand in for a run that finds this."""
    monkeypatch.setattr(scenarios, "_lines", lambda *_: lines)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ({"passed": True}, 0),
        ({"passed": False}, 1),
        ({"lost": 0, "errors": []}, 0),
        ({"lost": 1, "errors": []}, 1),
        ({"lost": 0, "errors": ["a gap"]}, 1),
        ({"kib_per_session": 7.0}, 0),
    ],
)
def test_a_broken_threshold_or_a_lost_message_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, line: dict[str, object], code: int
) -> None:
    found(monkeypatch, line)
    assert scenarios.run(options("rest")) == code


def test_json_is_a_line_for_each_figure_also_in_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    found(monkeypatch, {"a": 1}, {"a": 2})
    scenarios.run(options("chat", "--json", "--out", str(tmp_path / "new")))
    assert capsys.readouterr().out == '{"a": 1}\n{"a": 2}\n'
    assert (tmp_path / "new" / "chat.jsonl").read_text() == '{"a": 1}\n{"a": 2}\n'


def test_each_profile_has_a_file_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found(monkeypatch, {"a": 1})
    for profile in ("ramp", "rate"):
        scenarios.run(options("rest", "--profile", profile, "--out", str(tmp_path)))
    assert {path.name for path in tmp_path.iterdir()} == {"rest-ramp.jsonl", "rest-rate.jsonl"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--stages", "30"], "is no stage"),
        (["--profile", "bare", "--url", "http://x"], "leave --url out"),
        (["--callers", "users", "--url", "http://x"], "leave --url out"),
    ],
)
def test_arguments_that_do_not_fit_are_a_usage_error(
    capsys: Capture, arguments: list[str], told: str
) -> None:
    assert scenarios.run(options("rest", *arguments)) == 2
    assert told in capsys.readouterr().err


def test_a_server_that_does_not_answer_is_told_as_unreachable(capsys: Capture) -> None:
    assert scenarios.run(options("rest", "--url", "http://127.0.0.1:1")) == 3
    assert "127.0.0.1:1 does not answer" in capsys.readouterr().err


def test_for_people_the_verdict_comes_first_then_the_thresholds() -> None:
    threshold = {"name": "p95 ms", "limit": 200.0, "value": 1234.5, "passed": False}
    line = {
        "profile": "ramp",
        "passed": False,
        "thresholds": [threshold],
        "usage": None,
        "latency_ms": {"p50": 1.0},
        "rounds": [{"cpu": 2}, {"cpu": 3}],
        "ratios": [0.5, 0.75],
        "faults": {},
    }
    assert as_text(line).splitlines() == [
        "FAILED  ramp",
        "  BROKEN  p95 ms: 1,234.5 (limit 200)",
        "  usage: unknown",
        "  latency_ms, p50: 1",
        "  rounds 1, cpu: 2",
        "  rounds 2, cpu: 3",
        "  ratios: 0.5 0.75",
    ]
