from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from hypothesis import given, settings

from chat4all_bench.reporting.markup import clean
from chat4all_bench.reporting.page import page

from . import sample_runs

if TYPE_CHECKING:
    from chat4all_bench.result import Run

VOID = {"meta"}
MARKS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><script>",
    "a&amp;b",
)


class Reader(HTMLParser):
    """What a browser would make of a page: its elements, their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def hostile(text: str) -> Run:
    """A run that has this wherever there is a name or a text."""
    run = sample_runs.full_run()
    run.scenario = run.target.name = run.target.where = run.generator.reason = text
    run.command, run.notes, run.parameters = [text], [text], {text: text}
    run.metrics = {text: run.metrics["rate"], f"{text}_cpu_us": run.metrics["server_cpu_us"]}
    run.histograms = {text: run.histograms["ack"]}
    run.series["load"].columns = ["seconds", text, f"{text}2", f"{text}_p50", "p99", text]
    run.series = {text: run.series["load"]}
    run.curves["memory"].x = text
    run.curves = {text: run.curves["load"], "memory": run.curves["memory"]}
    run.integrity.errors = {text: 1}
    run.machine.cpu = run.started_at = run.target.version = run.target.durability = text
    return run


def test_whatever_a_run_is_called_stays_text() -> None:
    known = set(Reader(page(sample_runs.full_run())).tags)
    for text in MARKS:
        found = Reader(page(hostile(text)))
        assert set(found.tags) <= known
        assert not found.open
        assert not [name for name, _ in found.attributes if name.startswith("on")]
        assert any(text in told for told in found.texts)


def test_a_page_fetches_nothing_and_runs_nothing() -> None:
    found = Reader(page(sample_runs.full_run()))
    assert not {"script", "link", "img", "iframe", "object", "form", "base"} & set(found.tags)
    assert not {"src", "href", "style", "srcset"} & {name for name, _ in found.attributes}


def test_its_policy_allows_its_own_style_and_nothing_else() -> None:
    text = page(sample_runs.run())
    (style,) = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = dict(Reader(text).attributes)["content"]
    assert (
        "content",
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
    ) in Reader(text).attributes, policy


def test_ids_are_unique_so_that_each_drawing_has_its_own_title() -> None:
    found = Reader(page(sample_runs.full_run())).attributes
    ids = [value for name, value in found if name == "id"]
    assert len(ids) == len(set(ids))
    named = [value or "" for name, value in found if name == "aria-labelledby"]
    assert named
    assert {each for value in named for each in value.split()} <= set(ids)


def test_broken_thresholds_and_losses_stand_out() -> None:
    text = page(sample_runs.full_run())
    assert "FAILED" in text
    assert '<tr class="bad"><th scope="row" class="left">BROKEN' in text
    assert '<tr class="bad"><th scope="row" class="left">lost' in text


@given(sample_runs.runs())
@settings(max_examples=40, deadline=None)
def test_a_page_comes_out_of_every_run(run: Run) -> None:
    found = Reader(page(run))
    assert not found.open
    assert (
        any(clean(run.target.name) in text for text in found.texts) or not run.target.name.strip()
    )
