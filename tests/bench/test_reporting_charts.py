from __future__ import annotations

import math
from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat4all_bench.reporting.chart import Axis, Bars, Chart, Line
from chat4all_bench.reporting.charts import charts, percentile_points
from chat4all_bench.reporting.drawing import draw
from chat4all_bench.reporting.markup import as_xml
from chat4all_bench.reporting.scales import Linear, Logarithmic, Nines
from chat4all_bench.reporting.tables import Table
from chat4all_bench.result import Curve, Run, Series

from . import sample_runs

SVG = "{http://www.w3.org/2000/svg}"
finite = st.floats(-1e12, 1e12, allow_subnormal=False)


def named(run: Run) -> dict[str, Chart | Bars]:
    return {chart.name: chart for chart in charts(run)}


def chart(*lines: Line, x: Axis | None = None, y: Axis | None = None) -> Chart:
    table = Table("", (), [])
    return Chart("c", "title", "told", x or Axis("x"), y or Axis("y"), list(lines), table)


def drawn(found: Chart | Bars, width: int = 500) -> Element:
    return fromstring(as_xml(draw(found, width)))


def test_everything_a_run_holds_is_drawn_in_the_order_of_the_questions() -> None:
    assert list(named(sample_runs.full_run())) == [
        "latency",
        "curve-memory",
        "curve-load",
        "series-load-latency",
        "series-load-messages",
        "cost",
    ]


def test_a_column_that_never_changes_is_not_drawn() -> None:
    run = sample_runs.run()
    run.series = {"load": Series(["seconds", "errors", "p99"], [[0.0, 0.0, 1.0], [1.0, 0.0, 1.0]])}
    assert list(named(run)) == ["latency", "cost"]


def test_memory_is_told_in_kib_a_session_with_how_well_the_line_fits() -> None:
    found = named(sample_runs.full_run())["curve-memory"]
    assert "6.99 KiB for each of the sessions (R² 0.9997)" in found.description
    assert isinstance(found, Chart)
    measured, fitted = found.lines
    assert measured.kind == "points"
    assert fitted.points[0] == (0.0, 32.0)


def test_the_percentile_curve_ends_at_the_greatest_value() -> None:
    histogram = sample_runs.histogram(5, count=1000)
    points = list(percentile_points(histogram))
    assert points[0][0] == 0
    assert points[-1][1] == histogram.greatest / 1000
    assert 0.999 < points[-1][0] < 0.9992
    assert points == sorted(points)


def test_latencies_far_apart_are_drawn_by_factors() -> None:
    run = sample_runs.run()
    found = named(run)["latency"]
    assert isinstance(found, Chart)
    assert found.y.kind == "linear"
    run.histograms["storm"] = sample_runs.histogram(900)
    found = named(run)["latency"]
    assert isinstance(found, Chart)
    assert found.y.kind == "logarithmic"


def test_a_long_series_keeps_its_worst_moments() -> None:
    run = sample_runs.run()
    run.series = {"load": sample_runs.load(seconds=3000)}
    found = named(run)["series-load-latency"]
    assert isinstance(found, Chart)
    (line,) = [line for line in found.lines if line.name == "p99"]
    assert len(line.points) <= 400
    assert max(y for _, y in line.points) == max(row[4] for row in run.series["load"].rows)
    assert len(found.table.rows) <= 60


def test_what_could_not_be_measured_is_a_gap_in_a_line() -> None:
    line = Line("a", [(0.0, 1.0), (1.0, 2.0), (2.0, math.nan), (3.0, 4.0), (4.0, 5.0)])
    (path,) = drawn(chart(line)).iterfind(f"{SVG}path")
    assert path.get("d", "").count("M") == 2


def test_a_drawing_tells_those_who_do_not_see_it_what_it_shows() -> None:
    svg = drawn(chart(Line("a", [(0.0, 1.0)])))
    title, description = svg.findall(f"{SVG}title")[0], svg.findall(f"{SVG}desc")[0]
    assert (title.text, description.text) == ("title", "told")
    assert svg.get("role") == "img"
    assert svg.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"


def test_names_that_do_not_fit_beside_each_other_go_below() -> None:
    lines = [Line(f"a long name {number}", [(0.0, 1.0)]) for number in range(6)]
    heights = {text.get("y") for text in drawn(chart(*lines), 340).iterfind(f"{SVG}text")}
    assert len(heights) == 3


@given(sample_runs.runs())
@settings(max_examples=40, deadline=None)
def test_every_drawing_is_well_formed_and_inside_its_frame(run: Run) -> None:
    for found in charts(run):
        for width in (340, 520):
            svg = drawn(found, width)
            _, _, across, down = map(float, svg.get("viewBox", "").split())
            for mark in svg.iter(f"{SVG}circle"):
                assert 0 <= float(mark.get("cx", "")) <= across
                assert 0 <= float(mark.get("cy", "")) <= down


@given(st.lists(finite, min_size=1, max_size=20))
def test_on_an_axis_greater_is_further_and_ticks_are_few(values: list[float]) -> None:
    for scale in (Linear(values), Logarithmic(values)):
        places = [scale.place(value) for value in sorted(values)]
        assert places == sorted(places)
        assert all(0 <= place <= 1 for place in places)
        assert len(scale.ticks(6)) <= 8


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.0, 9.0], ["0", "2", "4", "6", "8", "10"]),
        ([0.03], ["0", "0.005", "0.01", "0.015", "0.02", "0.025", "0.03"]),
        ([5000.0], ["0", "1,000", "2,000", "3,000", "4,000", "5,000"]),
        ([-40.0, 60.0], ["-40", "-20", "0", "20", "40", "60"]),
        ([3_000_000.0], ["0", "500k", "1M", "1.5M", "2M", "2.5M", "3M"]),
        ([], ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
    ],
)
def test_ticks_stand_at_round_numbers(values: list[float], labels: list[str]) -> None:
    assert [label for _, label in Linear(values).ticks(6)] == labels


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([3.0, 90.0], ["2", "5", "10", "20", "50", "100"]),
        ([1.0, 9e5], ["1", "100", "10k", "1M"]),
        ([3.0], ["2", "5"]),
        ([2.0, 5.0], ["2", "5"]),
        ([0.0, -1.0], ["1", "2"]),
    ],
)
def test_ticks_of_factors_are_one_two_five_while_there_is_room(
    values: list[float], labels: list[str]
) -> None:
    assert [label for _, label in Logarithmic(values).ticks(6)] == labels


def test_each_nine_is_as_far_along_as_the_one_before() -> None:
    scale = Nines(0.9999)
    assert [label for _, label in scale.ticks(8)] == ["0%", "50%", "90%", "99%", "99.9%", "99.99%"]
    places = [scale.place(value) for value in (0, 0.9, 0.99, 0.999, 0.9999, 1)]
    assert places == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1])


def test_a_curve_without_points_is_not_drawn() -> None:
    run = sample_runs.run()
    run.curves = {"load": Curve("messages/s", "ms", [])}
    assert "curve-load" not in named(run)


def test_a_second_without_messages_has_no_latency() -> None:
    run = sample_runs.run()
    run.series["load"].rows[7][4] = 0.0
    found = named(run)["series-load-latency"]
    assert isinstance(found, Chart)
    (line,) = [line for line in found.lines if line.name == "p99"]
    assert math.isnan(line.points[7][1])


def test_costs_of_several_sizes_have_a_bar_each() -> None:
    run = sample_runs.run()
    run.metrics["server_cpu_us_100"] = run.metrics.pop("server_cpu_us")
    found = named(run)["cost"]
    assert isinstance(found, Bars)
    assert [bar.name for bar in found.bars] == ["postgres", "redis", "server, 100"]


def test_bars_of_a_kind_have_its_colour_and_one_that_costs_nothing_has_none() -> None:
    run = sample_runs.run()
    run.metrics["server_cpu_us_of_100"] = run.metrics["server_cpu_us"]
    run.metrics["redis_cpu_us"].values = [0.0]
    found = named(run)["cost"]
    assert isinstance(found, Bars)
    assert [(bar.name, bar.colour) for bar in found.bars] == [
        ("server", 0),
        ("postgres", 1),
        ("server, of 100", 0),
    ]


def test_between_two_rounds_a_line_has_a_gap() -> None:
    run = sample_runs.run()
    rows = [[at, value] for at, value in ((20.0, 5.0), (21.0, 6.0), (22.0, 5.0), (40.0, 7.0))]
    run.series = {"load": Series(["seconds", "errors"], rows)}
    found = named(run)["series-load-errors"]
    assert isinstance(found, Chart)
    assert [math.isnan(y) for _, y in found.lines[0].points] == [False, False, False, True, False]


def test_time_need_not_begin_at_zero() -> None:
    assert Linear([22, 40], from_zero=False).ticks(8)[0] == (20, "20")


def test_memory_of_all_processes_stands_together_and_names_its_series() -> None:
    run = sample_runs.run()
    run.series = {"soak": Series(["seconds", "server_mib", "redis_mib"], [[0, 1, 2], [1, 2, 2]])}
    found = named(run)["series-soak-memory"]
    assert isinstance(found, Chart)
    assert found.title == "Memory over time (soak)"
    assert [line.name for line in found.lines] == ["server_mib", "redis_mib"]


@pytest.mark.parametrize(("added", "kind"), [(10, "range"), (1000, "linear")])
def test_what_sessions_add_to_much_memory_is_seen(added: int, kind: str) -> None:
    run = sample_runs.run()
    points = [(0.0, 440.0 * 2**20), (600.0, (440.0 + added) * 2**20)]
    run.curves = {"kernel_memory": Curve("sessions", "bytes", points)}
    found = named(run)["curve-kernel-memory"]
    assert isinstance(found, Chart)
    assert found.title == "Kernel memory against sessions"
    assert found.y.kind == kind
