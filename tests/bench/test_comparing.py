from __future__ import annotations

import argparse
import json
import random
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat4all_bench import cli, reporting
from chat4all_bench.comparing.judging import Comparison, compare_sides, enough
from chat4all_bench.comparing.limits import LimitError, hold, parse
from chat4all_bench.comparing.resampling import of_counts, of_rounds
from chat4all_bench.comparing.sides import Side, warnings
from chat4all_bench.result import Metric

from . import sample_runs

if TYPE_CHECKING:
    from chat4all_bench.histogram import Histogram
    from chat4all_bench.result import Better, Run

Capture = pytest.CaptureFixture[str]


def side(values: list[float], better: Better = "lower", *, name: str = "cost") -> Side:
    """A side with one figure."""
    run = sample_runs.run(rounds=len(values))
    return Side("s", [run], {name: Metric(values, "us", better)}, {})


def judged(
    a: list[float], b: list[float], better: Better = "lower", *, noise: float = 2.0
) -> Comparison:
    (found,) = compare_sides(side(a, better), side(b, better), noise=noise, seed=1)
    return found


def of(*runs: Run) -> Side:
    (first, *_) = runs
    return Side("s", list(runs), first.metrics, first.histograms)


@pytest.mark.parametrize(
    ("a", "b", "better", "verdict"),
    [
        ([10, 11, 10, 11], [15, 16, 15, 16], "lower", "worse"),
        ([10, 11, 10, 11], [15, 16, 15, 16], "higher", "better"),
        ([10, 11, 10, 11], [15, 16, 15, 16], "neither", "differs"),
        ([15, 16, 15, 16], [10, 11, 10, 11], "lower", "better"),
        ([10.0, 10.1, 10.2, 10.3], [10.1, 10.2, 10.0, 10.3], "lower", "same"),
        ([10, 20, 30, 40], [12, 22, 29, 44], "lower", "unsure"),
        ([10, 10, 10, 10], [10.1, 10.1, 10.1, 10.1], "lower", "same"),
        ([0, 0, 0, 0], [0, 0, 0, 0], "lower", "same"),
        ([0, 0, 0, 0], [1, 1, 2, 1], "lower", "worse"),
        ([0, 0, 0, 0], [0, 1, 2, 1], "lower", "unsure"),
        ([-4, -4, -4, -4], [-2, -2, -2, -2], "lower", "worse"),
    ],
)
def test_a_verdict_needs_a_difference_that_the_rounds_do_not_have_among_themselves(
    a: list[float], b: list[float], better: Better, verdict: str
) -> None:
    assert judged(a, b, better).verdict == verdict


@pytest.mark.parametrize(
    ("n", "m", "can_tell"),
    [(1, 1, False), (3, 3, False), (4, 4, True), (3, 5, True), (1, 50, True)],
)
def test_few_rounds_cannot_tell(n: int, m: int, can_tell: bool) -> None:
    assert enough(n, m) is can_tell
    found = judged([10.0] * n, [20.0] * m)
    assert (found.verdict == "unsure") is not can_tell
    assert bool(found.why) is not can_tell


def test_one_round_says_so() -> None:
    assert judged([1], [2]).why == "one round each: four on each side can tell (--repeat 4)"


def test_a_smaller_difference_than_the_noise_is_none() -> None:
    a, b = [100.0] * 5, [104.0] * 5
    assert judged(a, b, noise=2).verdict == "worse"
    assert judged(a, b, noise=5).verdict == "same"


def test_the_same_seed_gives_the_same_interval() -> None:
    a, b = [10.0, 12.0, 11.0, 14.0], [11.0, 13.0, 10.0, 15.0]
    assert judged(a, b) == judged(a, b)


@given(st.lists(st.floats(1, 1e6), min_size=2, max_size=8), st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_an_interval_lies_within_what_the_rounds_allow(values: list[float], seed: int) -> None:
    low, high = of_rounds(values, values, random.Random(seed))
    assert min(values) / max(values) <= low <= 1 <= high <= max(values) / min(values)


def test_counts_are_resampled_as_drawing_every_message_anew_would() -> None:
    """Against the slow way, on a histogram small enough for it."""
    histogram, other = sample_runs.histogram(4, count=200), sample_runs.histogram(4, count=10**5)
    chance = random.Random(2)
    values = [value / 1000 for value, count in histogram.rows() for _ in range(count)]
    slow = sorted(
        other.quantile_ms(0.9) / sorted(chance.choices(values, k=200))[179] for _ in range(2000)
    )
    low, high = of_counts(histogram, other, 0.9, chance)
    assert low == pytest.approx(slow[50], rel=0.05)
    assert high == pytest.approx(slow[-51], rel=0.05)


@given(sample_runs.histograms(), st.sampled_from([0.5, 0.99, 0.999]))
@settings(max_examples=10, deadline=None)
def test_any_histogram_can_be_resampled(histogram: Histogram, q: float) -> None:
    histogram.add(0.001)
    low, high = of_counts(histogram, histogram, q, random.Random(1))
    assert low <= 1 <= high


def test_quantiles_come_from_the_counts_where_rounds_do_not_tell_them() -> None:
    one = sample_runs.run()
    found = {
        each.metric: each
        for each in compare_sides(of(one), of(sample_runs.run(ack_ms=8)), noise=2, seed=1)
    }
    assert found["ack_p99"].basis == "counts"
    assert found["delivery_p90"].basis == "counts"
    assert found["rate"].basis == "rounds"
    assert found["ack_p99"].low is not None
    assert found["ack_p99"].low > 1.5
    assert found["ack_p99"].verdict == "unsure"
    assert "among rounds" in found["ack_p99"].why


def test_several_rounds_tell_more_than_counts() -> None:
    run = sample_runs.run(rounds=4)
    found = {each.metric: each for each in compare_sides(of(run), of(run), noise=2, seed=1)}
    assert found["ack_p99"].basis == "rounds"
    assert found["ack_p90"].basis == "counts"
    assert found["ack_p90"].verdict == "same"


def test_a_size_inside_a_name_is_the_same_figure() -> None:
    run = sample_runs.run()
    run.histograms = {"ack_100": run.histograms["ack"]}
    run.metrics = {"ack_p99_100": run.metrics["ack_p99"]}
    found = [each.metric for each in compare_sides(of(run), of(run), noise=2, seed=1)]
    assert found == ["ack_p99_100", "ack_100_p50", "ack_100_p90", "ack_100_p999"]


def test_figures_of_the_load_generator_are_not_compared() -> None:
    one = side([1.0], name="generator_busy")
    assert compare_sides(one, one, noise=2, seed=1) == []


@pytest.mark.parametrize(
    ("a", "b", "better", "worse"),
    [
        (100, 110, "lower", 10),
        (100, 90, "lower", -10),
        (100, 90, "higher", 10),
        (100, 90, "neither", 0),
        (0, 0, "lower", 0),
        (0, 1, "lower", float("inf")),
        (0, 1, "higher", float("-inf")),
    ],
)
def test_worse_is_told_in_per_cent_of_what_it_was(
    a: float, b: float, better: Better, worse: float
) -> None:
    assert judged([a], [b], better).regress == pytest.approx(worse)


def test_a_limit_fails_what_got_worse_by_more() -> None:
    compared = [judged([100.0], [111.0])]
    (kept,) = hold([parse("cost=12%")], compared)
    (broken,) = hold([parse("cost=10")], compared)
    assert kept.passed
    assert not broken.passed


def test_a_quantile_alone_stands_for_that_of_every_latency() -> None:
    run = sample_runs.run(rounds=4)
    compared = compare_sides(of(run), of(run), noise=2, seed=1)
    held = hold([parse("p99=10%")], compared)
    assert [each.metric for each in held] == ["ack_p99", "delivery_p99"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("p99", "is none: it is a metric, =, and per cents"),
        ("p99=-1%", "is none"),
        ("p99=ten", "is none"),
        ("cpu=1%", "the runs have no cpu in common; there are cost"),
        ("p99=1%", "the runs have no p99 in common; there are cost"),
        ("size=1%", "size is neither better when lower nor when higher"),
    ],
)
def test_a_limit_that_can_be_held_to_nothing_is_told(text: str, told: str) -> None:
    size = judged([1.0], [1.0], "neither")
    size.metric = "size"
    with pytest.raises(LimitError, match=told):
        hold([parse(text)], [judged([1.0], [1.0]), size])


def test_what_makes_sides_unlike_is_warned_of() -> None:
    a, b = sample_runs.run(), sample_runs.full_run()
    b.machine.cpus, b.parameters["rate"], b.target.durability = 8, 3000, "nothing"
    b.metrics["new"] = Metric([1.0])
    assert list(warnings(Side("a", [a], a.metrics, {}), Side("b", [b], b.metrics, {}))) == [
        "durability differs: committed, fsync, nothing",
        "machine, cpus differs: 2, 8",
        "parameter rate differs: 2000, 3000",
        "in b the load generator was the limit: its figures are its own",
        "b failed",
        "only b has new",
    ]


def compare(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return cli.run(parser.parse_args(["compare", *arguments]))


@pytest.fixture
def runs(tmp_path: Path) -> tuple[str, str]:
    """A run, and a worse one."""
    for name, ack in (("a", 4.0), ("b", 6.0)):
        reporting.write(sample_runs.run(rounds=4, ack_ms=ack), tmp_path / name)
    return str(tmp_path / "a"), str(tmp_path / "b")


def test_what_got_worse_is_told_and_fails_only_when_a_limit_says_so(
    runs: tuple[str, str], capsys: Capture
) -> None:
    assert compare(*runs) == 0
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if line.lstrip().startswith("ack_p99 ")]
    assert line.endswith("worse")
    assert max(map(len, lines[3:])) <= 96
    assert compare(*runs, "--max-regress", "ack_p99=20%", "--max-regress", "rate=20%") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "FAILED"
    assert lines[1].startswith("  BROKEN  ack_p99 got worse by ")
    assert lines[2].startswith("  ok      rate ")


def test_json_holds_every_figure(runs: tuple[str, str], capsys: Capture) -> None:
    assert compare(*runs, "--json", "--max-regress", "p99=20%") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] is False
    assert found["metrics"]["ack_p99"]["verdict"] == "worse"
    assert found["metrics"]["ack_p99"]["rounds"] == [4, 4]
    assert {each["metric"] for each in found["limits"]} == {"ack_p99", "delivery_p99"}


def test_several_runs_of_a_side_are_put_together(runs: tuple[str, str], capsys: Capture) -> None:
    a, b = runs
    assert compare(f"{a},{a}", f"{b}/run.json", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metrics"]["rate"]["rounds"] == [8, 4]
    assert found["metrics"]["rate"]["a"] == statistics.median(
        reporting.read(Path(a)).metrics["rate"].values * 2
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{a}", "{a}/none"], "does not exist"),
        (["{a}", ","], "no file is named"),
        (["{a}", "{b}", "--max-regress", "speed=1%"], "no speed in common"),
    ],
)
def test_what_cannot_be_compared_is_a_usage_error(
    runs: tuple[str, str], capsys: Capture, arguments: list[str], told: str
) -> None:
    a, b = runs
    assert compare(*(each.format(a=a, b=b) for each in arguments)) == 2
    assert told in capsys.readouterr().err


def test_noise_is_in_per_cent(runs: tuple[str, str], capsys: Capture) -> None:
    assert compare(*runs, "--noise", "60%") == 0
    with pytest.raises(SystemExit):
        compare(*runs, "--noise", "much")
    assert "'much' is not a number of per cents from 0 to 100" in capsys.readouterr().err


def test_identical_rounds_are_rarely_told_apart() -> None:
    """What chance alone makes of the same thing: no more verdicts than 1 in 10 or so."""
    chance = random.Random(3)
    wrong = 0
    for _ in range(40):
        a, b = ([chance.lognormvariate(0, 0.1) for _ in range(5)] for _ in range(2))
        wrong += judged(a, b).verdict in ("better", "worse")
    assert wrong <= 4
