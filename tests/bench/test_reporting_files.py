from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings

from chat4all_bench import reporting
from chat4all_bench.reporting.files import NAME, write_run, write_whole

from . import sample_runs

if TYPE_CHECKING:
    from chat4all_bench.result import Run


@given(sample_runs.runs())
@settings(max_examples=50, deadline=None)
def test_what_is_written_is_what_is_read(run: Run) -> None:
    with tempfile.TemporaryDirectory() as name:
        write_run(run, Path(name))
        assert reporting.read(Path(name)) == run
        assert reporting.read(Path(name) / NAME) == run


def test_a_figure_that_could_not_be_measured_stays_unknown(tmp_path: Path) -> None:
    run = sample_runs.run(rates=[1.0, math.nan])
    run.series["load"].rows[0][3] = math.nan
    write_run(run, tmp_path)
    found = reporting.read(tmp_path)
    assert math.isnan(found.metrics["rate"].values[1])
    assert math.isnan(found.series["load"].rows[0][3])


def test_fields_that_a_later_program_added_are_passed_over(tmp_path: Path) -> None:
    path = write_run(sample_runs.run(), tmp_path)
    later = msgspec.json.decode(path.read_bytes()) | {"weather": "fair"}
    path.write_bytes(msgspec.json.encode(later))
    assert reporting.read(path) == sample_runs.run()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is no JSON"),
        (b'{"scenario": ', "is no JSON"),
        (b"[]", "no run of `chat4all bench`"),
        (b'{"answer": 42}', "no run of `chat4all bench`"),
        (b'{"scenario": "chat", "version": 2}', "has version 2, and this program reads 1"),
        (b'{"scenario": "chat", "version": 1}', "missing required field `command`"),
        (b'{"scenario": "chat", "version": 1, "metrics": 3}', "is broken"),
    ],
)
def test_a_file_that_is_no_run_is_told_with_the_reason(
    tmp_path: Path, content: bytes, told: str
) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(reporting.UnreadableRun, match=str(path)) as found:
        reporting.read(path)
    assert told in str(found.value)


def test_a_field_of_the_wrong_kind_is_named(tmp_path: Path) -> None:
    path = write_run(sample_runs.run(), tmp_path)
    broken = msgspec.json.decode(path.read_bytes())
    broken["metrics"]["rate"]["values"] = ["fast"]
    path.write_bytes(msgspec.json.encode(broken))
    with pytest.raises(reporting.UnreadableRun, match=r"metrics"):
        reporting.read(path)


def test_where_nothing_is_that_is_told(tmp_path: Path) -> None:
    with pytest.raises(reporting.UnreadableRun, match=r"holds no run\.json"):
        reporting.read(tmp_path)
    with pytest.raises(reporting.UnreadableRun, match="does not exist"):
        reporting.read(tmp_path / "there.json")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    write_whole(path, b"old")
    with pytest.raises(TypeError):
        write_whole(path, None)  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_csv_files_hold_every_figure_and_none_of_an_earlier_run(tmp_path: Path) -> None:
    reporting.write(sample_runs.full_run(rounds=2), tmp_path)
    assert (tmp_path / "curve-load.csv").read_text().splitlines()[:2] == [
        "messages/s,ms",
        "2000.0,4.1",
    ]
    run = sample_runs.run(rates=[10.0, math.nan])
    run.series["a/b c"] = run.series.pop("load")
    reporting.write(run, tmp_path)
    assert {path.name for path in tmp_path.glob("*.csv")} == {
        "metrics.csv",
        "series-a_b_c.csv",
        "histogram-ack.csv",
        "histogram-delivery.csv",
    }
    assert (tmp_path / "metrics.csv").read_text().splitlines()[:3] == [
        "metric,unit,better,round,value",
        "rate,/s,higher,1,10.0",
        "rate,/s,higher,2,",
    ]
    last = (tmp_path / "histogram-ack.csv").read_text().splitlines()[-1].split(",")
    assert last[0] == str(run.histograms["ack"].greatest)
    assert last[2] == "5000"
