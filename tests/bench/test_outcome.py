from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_bench.generator.plan import Last, Progress
from chat4all_bench.histogram import Histogram, merged
from chat4all_bench.measuring.fitting import fit
from chat4all_bench.measuring.meter import Spent
from chat4all_bench.result import Series
from chat4all_bench.running.measured import Gathering, Measured
from chat4all_bench.running.outcome import Outcome, merge
from chat4all_bench.running.progress import Live


def histogram(*milliseconds: float) -> Histogram:
    found = Histogram()
    for each in milliseconds:
        found.add(each / 1000)
    return found


durations = st.lists(st.integers(0, 10**8), max_size=20)


@given(durations, durations)
def test_histograms_of_two_processes_are_that_of_one_that_saw_everything(
    one: list[int], other: list[int]
) -> None:
    parts = [Histogram(), Histogram(), Histogram()]
    for values, part in ((one, parts[0]), (other, parts[1]), (one + other, parts[2])):
        for value in values:
            part.add_us(value)
    assert merged(parts[:2]) == parts[2]


@given(st.lists(st.integers(0, 10**8), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_that_of_the_values_within_a_hundredth(values: list[int], q: float) -> None:
    found = Histogram()
    for value in values:
        found.add_us(value)
    rank = max(1.0, q * len(values))
    exact = next(v for n, v in enumerate(sorted(values), 1) if n >= rank)
    assert exact <= found.quantile_ms(q) * 1000 + 0.001 <= exact * 1.01 + 1


def test_rounds_are_put_together_value_by_value() -> None:
    one, other = Outcome(), Outcome()
    one.add("rate", 1.0, "/s", "higher")
    other.add("rate", 3.0, "/s", "higher")
    one.add_latency("ack", histogram(1.0))
    other.add_latency("ack", histogram(2.0))
    one.series["load"] = Series(["seconds"], [[0.0]])
    other.series["load"] = Series(["seconds"], [[1.0]])
    whole = merge([one, other])
    assert whole.metrics["rate"].values == [1.0, 3.0]
    assert len(whole.metrics["ack_p99"].values) == 2
    assert whole.histograms["ack"].count == 2
    assert whole.series["load"].rows == [[0.0], [1.0]]


def test_cost_is_told_by_kind_for_each_unit_and_processes_of_a_round_once() -> None:
    outcome = Outcome()
    spent = [
        Spent("server", 1, 0.2, 100),
        Spent("server", 2, 0.1, 100),
        Spent("postgres", 3, 0.0, 5),
    ]
    outcome.add_cost(spent, 1000, round_=1)
    outcome.add_cost([Spent("server", 1, 0.3, 200)], 0, suffix="_again", round_=1)
    assert outcome.metrics["server_cpu_us"].values == [300.0]
    assert outcome.metrics["postgres_cpu_us"].values == [0.0]
    assert "redis_cpu_us" not in outcome.metrics
    assert [(p.pid, p.cpu_seconds, p.pss_bytes) for p in outcome.processes] == [
        (1, 0.5, 200),
        (2, 0.1, 100),
        (3, 0.0, 5),
    ]


def told(number: int, at: float, **more: object) -> Progress:
    return Progress(number=number, at=at, cpu=0.0, connected=10, **more)  # type: ignore[arg-type]


def test_what_processes_tell_is_added_up_second_by_second() -> None:
    gathering = Gathering(began=100.0)
    part = gathering.begin()
    gathering.hear(told(0, 101.1, written=3, histograms={"delivery": histogram(5.0)}))
    gathering.hear(told(1, 101.9, written=4, errors={"closed": 1}, in_window=(2, 1)))
    gathering.hear(told(0, 102.1, histograms={"delivery": histogram(50.0)}))
    assert gathering.sessions == 20
    assert gathering.errors == {"closed": 1}
    assert (part.written, part.acknowledged, part.delivered) == (7, 2, 1)
    assert part.histogram("delivery").count == 2
    rows = gathering.series(offset=10.0).rows
    assert [(row[0], row[1], row[2], row[7]) for row in rows] == [
        (11.0, 20, 7, 1),
        (12.0, 20, 0, 0),
    ]
    assert gathering.latency_between(101.0, 101.99).count == 1


def test_a_message_has_reached_all_when_the_last_process_says_so() -> None:
    gathering = Gathering(began=0.0)
    part = gathering.begin()
    gathering.hear(told(0, 1.0, last=[Last(0, 0, 1, 5, 0.010), Last(0, 0, 2, 5, 0.010)]))
    gathering.hear(told(1, 1.0, last=[Last(0, 0, 1, 4, 0.030)]))
    assert part.reached(9).count == 1
    assert part.reached(9).quantile_ms(1.0) == pytest.approx(30.0, rel=0.01)


def test_parts_are_added_and_a_process_counts_once() -> None:
    one = Measured(seconds=1.0, acknowledged=5, spent=[Spent("server", 1, 0.5, 10)])
    one.add(Measured(seconds=2.0, acknowledged=7, spent=[Spent("server", 1, 0.25, 20)]))
    assert (one.seconds, one.acknowledged) == (3.0, 12)
    assert one.spent == [Spent("server", 1, 0.75, 20)]


@given(st.floats(-100, 100), st.floats(-100, 100))
def test_a_line_is_found_in_points_that_are_on_one(slope: float, intercept: float) -> None:
    found = fit([(x, intercept + slope * x) for x in range(5)])
    assert found is not None
    assert found.slope == pytest.approx(slope, abs=1e-6)
    assert found.intercept == pytest.approx(intercept, abs=1e-6)


def test_no_line_goes_through_a_single_place() -> None:
    assert fit([(1.0, 2.0), (1.0, 3.0)]) is None
    assert fit([]) is None


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_one_line_that_replaces_itself_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    live = Live(terminal)
    live.round = "chat"
    live.say("100/s")
    live.say("200/s", errors=3)
    live.clear()
    assert terminal.getvalue().replace("\r\x1b[K", "|") == "|chat  100/s|chat  200/s  errors 3|"


def test_where_there_is_no_terminal_nothing_is_shown() -> None:
    stream = io.StringIO()
    live = Live(stream)
    live.say("100/s")
    live.clear()
    assert stream.getvalue() == ""
