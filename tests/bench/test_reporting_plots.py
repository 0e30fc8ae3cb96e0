from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import fromstring

import pytest

from chat4all_bench import reporting
from chat4all_bench.reporting.plots import main

from . import sample_runs

if TYPE_CHECKING:
    from pathlib import Path

SVG = "{http://www.w3.org/2000/svg}"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs, each in its directory."""
    reporting.write(sample_runs.full_run(), tmp_path / "one")
    reporting.write(sample_runs.run(), tmp_path / "two")
    return tmp_path


def test_each_drawing_of_each_run_is_a_file_that_stands_alone(runs: Path) -> None:
    out = runs / "plots"
    assert main([f"{runs}/one", f"capacity={runs}/two/run.json", "--out", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {
        "one-latency.svg",
        "one-curve-memory.svg",
        "one-curve-load.svg",
        "one-series-load-latency.svg",
        "one-series-load-messages.svg",
        "one-cost.svg",
        "capacity-latency.svg",
        "capacity-series-load-latency.svg",
        "capacity-series-load-messages.svg",
        "capacity-cost.svg",
    }
    for path in out.iterdir():
        svg = fromstring(path.read_text())
        (style,) = svg.iter(f"{SVG}style")
        assert "prefers-color-scheme:dark" in (style.text or "")
        ids = {each.get("id") for each in (svg[0], svg[1])}
        assert set((svg.get("aria-labelledby") or "").split()) == ids
        assert path.stat().st_size < 20_000


def test_a_file_is_the_same_whenever_it_is_drawn(runs: Path) -> None:
    out = runs / "plots"
    main([f"{runs}/one", "--out", str(out), "--only", "latency"])
    (path,) = out.iterdir()
    first = path.read_bytes()
    main([f"{runs}/one", "--out", str(out), "--only", "latency"])
    assert path.read_bytes() == first


def test_latencies_of_several_runs_stand_together(runs: Path) -> None:
    found = reporting.read(runs / "two")
    del found.histograms["delivery"]
    reporting.write(found, runs / "two")
    out = runs / "plots"
    assert (
        main([f"{runs}/one", f"{runs}/two", "--together", "Before & after", "--out", str(out)]) == 0
    )
    texts = [
        text.text for text in fromstring((out / "Before-after.svg").read_text()).iter(f"{SVG}text")
    ]
    assert "Before & after" in texts
    assert {"one, ack", "one, delivery", "one, connect", "two"} <= set(texts)


def test_what_cannot_be_drawn_is_told(runs: Path, capsys: Capture) -> None:
    out = ["--out", str(runs / "plots")]
    assert main([f"{runs}/none", *out]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert main([f"{runs}/one", f"{runs}/one/run.json", *out]) == 2
    assert "two runs are called one" in capsys.readouterr().err
    found = reporting.read(runs / "two")
    found.histograms = {}
    reporting.write(found, runs / "two")
    assert main([f"{runs}/two", "--together", "x", *out]) == 2
    assert "no latencies" in capsys.readouterr().err
