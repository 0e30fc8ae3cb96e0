from __future__ import annotations

import math

import pytest
from hypothesis import given, settings

from chat4all_bench.reporting import tables
from chat4all_bench.reporting.figures import duration, figure, with_unit
from chat4all_bench.reporting.text import WIDTH, summary
from chat4all_bench.result import Process, Run, Threshold

from . import sample_runs


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (3.0, "3"),
        (12345.6, "12,346"),
        (-12.345, "-12.3"),
        (1.234, "1.23"),
        (0.12345, "0.123"),
        (0.00001234, "1.2e-05"),
        (None, "-"),
        (math.nan, "-"),
        (math.inf, "-"),
    ],
)
def test_a_figure_has_three_digits_that_mean_something(value: float | None, text: str) -> None:
    assert figure(value) == text


def test_units_stand_beside_their_figures() -> None:
    assert [with_unit(2000, unit) for unit in ("/s", "%", "ms", "us", "")] == [
        "2,000/s",
        "2,000%",
        "2,000 ms",
        "2,000 µs",
        "2,000",
    ]


def test_durations_are_told_in_two_units() -> None:
    assert [duration(seconds) for seconds in (4.5, 60, 200, 3600, 7500)] == [
        "4.50 s",
        "1 min",
        "3 min 20 s",
        "1 h",
        "2 h 5 min",
    ]


def test_the_verdict_is_the_first_line_and_broken_thresholds_follow() -> None:
    lines = summary(sample_runs.run(passed=False), colour=False).splitlines()
    assert lines[0] == "FAILED  chat  chat4all 0.1.0, 1 min 2 s"
    assert lines[1] == "  BROKEN  rate>1900  found 1,500/s"
    assert lines[2] == "  ok      ack_p99<25ms  found 12.5 ms"


def test_a_figure_that_a_threshold_asks_for_and_the_run_lacks_is_told() -> None:
    run = sample_runs.run()
    run.thresholds = [Threshold("files_p99<1ms", "files_p99", 1, None, False)]
    assert "  BROKEN  files_p99<1ms  found -" in summary(run, colour=False).splitlines()


def test_one_round_tells_a_latency_once_in_its_table() -> None:
    text = summary(sample_runs.run(), colour=False)
    assert "ack_p99 " not in text
    assert "  milliseconds   p50   p90   p99  p99.9   max  mean  count" in text


def test_what_has_a_table_of_its_own_is_not_among_the_figures() -> None:
    run = sample_runs.run(rounds=2)
    run.metrics |= dict.fromkeys(("lost", "late_p99", "ack_p90", "ack_max"), run.metrics["rate"])
    found = tables.metrics(run)
    assert found is not None
    assert {"lost", "late_p99", "ack_p90", "ack_max"}.isdisjoint(row[0] for row in found.rows)


def test_several_rounds_are_told_as_a_median_with_the_range() -> None:
    text = summary(sample_runs.run(rounds=3, rates=[10.0, 30.0, 20.0]), colour=False)
    assert ["rate", "20", "/s", "10", "to", "30"] in [line.split() for line in text.splitlines()]
    assert "over 3 rounds" in text


def test_a_generator_that_was_the_limit_says_so_before_the_figures() -> None:
    text = summary(sample_runs.full_run(), colour=False)
    assert text.index("The load generator was the limit") < text.index("rate  ")


def test_colour_is_only_used_when_it_is_wanted() -> None:
    run = sample_runs.run()
    assert "\x1b" not in summary(run, colour=False)
    assert summary(run, colour=True).startswith("\x1b[1;32mPASSED\x1b[0m")


def test_a_pipe_and_no_color_get_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in summary(sample_runs.run())
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" in summary(sample_runs.run())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in summary(sample_runs.run())


def test_a_summary_fits_a_terminal_except_for_the_command() -> None:
    run = sample_runs.full_run()
    run.generator.reason = "much to say " * 20
    run.notes = ["a note that goes on " * 10]
    *lines, _ = summary(run, colour=False).splitlines()
    assert max(map(len, lines)) <= WIDTH


@given(sample_runs.runs())
@settings(max_examples=50, deadline=None)
def test_no_run_can_command_the_terminal(run: Run) -> None:
    text = summary(run, colour=False)
    assert all(
        character == "\n" or character.isprintable() or ord(character) > 159 for character in text
    )


def test_a_latency_for_each_size_is_told_once_too() -> None:
    run = sample_runs.run()
    run.histograms = {"ack_100": run.histograms["ack"]}
    run.metrics["ack_p99_100"] = run.metrics.pop("ack_p99")
    assert "ack_p99_100" not in summary(run, colour=False)


def test_a_threshold_of_a_short_name_is_told_in_its_unit() -> None:
    run = sample_runs.run()
    run.thresholds = [Threshold("p99<25ms", "p99", 25.0, 12.5, True)]
    assert "  ok      p99<25ms  found 12.5 ms" in summary(run, colour=False).splitlines()


def test_a_process_that_was_measured_twice_in_a_round_is_one_process() -> None:
    run = sample_runs.run()
    run.processes = [
        Process(1, "server", 7, 1.0, 5 << 20),
        Process(1, "server", 7, 2.0, 6 << 20),
        Process(2, "server", 8, 5.0, 6 << 20),
    ]
    found = tables.processes(run)
    assert found is not None
    assert found.rows[0][1] == "1"
    assert found.rows[0][3:] == ("4", "6")
