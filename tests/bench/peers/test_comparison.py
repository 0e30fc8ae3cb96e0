from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_bench.peers.comparison import Comparison, Contestant, ratio, ratios
from chat4all_bench.peers.table import as_text, figure
from chat4all_bench.result import Integrity, Machine, Metric

positive = st.floats(min_value=1e-3, max_value=1e6)


def test_a_ratio_is_the_median_of_the_rounds_own_ratios_not_the_ratio_of_medians() -> None:
    found = ratio([10.0, 40.0, 30.0], [20.0, 40.0, 10.0])
    assert found is not None
    assert (found.median, found.least, found.greatest) == (1.0, 0.5, 3.0)
    assert found.rounds == [0.5, 1.0, 3.0]


@given(st.lists(st.tuples(positive, positive, positive), min_size=1, max_size=9))
def test_what_slows_a_whole_round_changes_no_ratio(
    rounds: list[tuple[float, float, float]],
) -> None:
    quiet = ratio([ours for ours, _, _ in rounds], [theirs for _, theirs, _ in rounds])
    noisy = ratio([o * slow for o, _, slow in rounds], [t * slow for _, t, slow in rounds])
    assert quiet is not None
    assert noisy is not None
    assert noisy.rounds == pytest.approx(quiet.rounds)


@pytest.mark.parametrize(("ours", "theirs"), [([], []), ([1.0], [0.0]), ([1.0, 2.0], [1.0])])
def test_there_is_no_ratio_to_nothing_and_none_of_rounds_that_are_missing(
    ours: list[float], theirs: list[float]
) -> None:
    assert ratio(ours, theirs) is None


def test_only_what_both_have_and_what_can_be_better_is_compared() -> None:
    rate = Metric([2.0], "/s", "higher")
    ours = {"rate": rate, "commit": Metric([1.0], "ms", "lower"), "fit": Metric([1.0])}
    assert list(ratios(ours, {"rate": rate, "fit": Metric([1.0])})) == ["rate"]


def contestant(name: str, cpu: list[float], integrity: Integrity | None = None) -> Contestant:
    metrics = {"server_cpu_us": Metric(cpu, "us", "lower")}
    beside = (
        {}
        if name == "ours"
        else ratios({"server_cpu_us": Metric([10.0, 12.0], "us", "lower")}, metrics)
    )
    whole = integrity or Integrity()
    limited = name == "null"
    return Contestant(
        name,
        f"the {name}",
        "1.0",
        "hands it on",
        "on disk" if name == "ours" else "nothing kept",
        metrics,
        beside,
        whole,
        0.95,
        limited,
    )


def comparison(*contestants: Contestant, load: float = 0.1) -> Comparison:
    machine = Machine(2, "a processor", 1024, "6.1", "3.11")
    return Comparison(
        "echo",
        "a load",
        ["bench"],
        "2026-11-27T00:00:00Z",
        2,
        3.0,
        machine,
        load,
        {"server_cpu_us": "server CPU"},
        list(contestants),
    )


def test_the_tables_have_figures_what_is_kept_and_ratios() -> None:
    found = comparison(contestant("ours", [10.0, 12.0]), contestant("other", [20.0, 48.0]))
    found.left_out["ws"] = "node is missing"
    assert as_text(found).splitlines() == [
        "echo: a load; 2 rounds of 3 s, the servers in turns",
        "",
        "           server CPU   kept when acknowledged",
        "ours 1.0      11.0 us   on disk",
        "other 1.0     34.0 us   nothing kept",
        "",
        "ours to         server CPU",
        "other    0.38 (0.25..0.50)",
        "",
        "Ratios are of the same round: their median (least..greatest).",
        "ours: the ours. For a message: hands it on.",
        "other: the other. For a message: hands it on.",
        "left out: ws: node is missing",
    ]
    assert found.whole


@pytest.mark.parametrize(
    ("integrity", "told"),
    [
        (Integrity(lost=2), "other FAILED: 2 lost, 0 doubled, 0 out of order"),
        (Integrity(errors={"closed": 3}), "other FAILED: 3 x closed"),
    ],
)
def test_a_server_that_loses_something_is_named(integrity: Integrity, told: str) -> None:
    found = comparison(contestant("other", [1.0, 1.0], integrity))
    assert told in as_text(found)
    assert not found.whole


def test_a_generator_that_was_the_limit_is_told_of() -> None:
    assert "null: the generator was the limit (0.95 cores)" in as_text(
        comparison(contestant("null", [1.0, 1.0]))
    )


def test_what_is_kept_is_left_out_where_nobody_differs() -> None:
    assert "kept" not in as_text(comparison(contestant("other", [1.0, 1.0])))


def test_a_machine_that_has_other_work_is_told_of() -> None:
    busy = as_text(comparison(contestant("other", [1.0, 1.0]), load=3.2))
    assert "busy with other work (load 3.2 on 2 processors)" in busy


@pytest.mark.parametrize(
    ("value", "said"), [(1.234, "1.23 us"), (12.34, "12.3 us"), (12345.6, "12,346 us")]
)
def test_figures_have_three_digits_or_all_before_the_point(value: float, said: str) -> None:
    assert figure(value, "us") == said
