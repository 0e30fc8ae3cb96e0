from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from chat4all_actors import tracing
from chat4all_actors.logs import configure

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("chat4all_actors.somewhere")


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    """Leaves the root logger as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_lines_for_machines_are_a_json_object_each(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info")
    logger.warning("%s is\nlate: é", "ana")
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    told = json.loads(line)
    assert (told["level"], told["logger"]) == ("warning", "chat4all_actors.somewhere")
    assert told["message"] == "ana is\nlate: é"
    offset = datetime.fromisoformat(told["time"]).utcoffset()
    assert offset is not None
    assert not offset


def test_an_exception_stays_within_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info")
    try:
        raise RuntimeError("no good")
    except RuntimeError:
        logger.exception("it failed")
    (line,) = capsys.readouterr().err.splitlines()
    assert "RuntimeError: no good" in json.loads(line)["exception"]


def test_lines_for_people_name_the_level_and_the_message(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure("console", "info")
    logger.info("it runs")
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.endswith(" INFO    it runs")


@pytest.mark.parametrize("log_format", ["console", "json"])
@pytest.mark.parametrize(
    ("level", "lines"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)]
)
def test_lines_below_the_level_are_left_out(
    capsys: pytest.CaptureFixture[str], log_format: str, level: str, lines: int
) -> None:
    configure(log_format, level)
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logger.log(number, "said")
    assert capsys.readouterr().err.count("said") == lines


def test_configuring_again_replaces_what_was(capsys: pytest.CaptureFixture[str]) -> None:
    configure("console", "info")
    configure("json", "error")
    logger.error("once")
    assert capsys.readouterr().err.count("once") == 1


def test_a_worker_says_which_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info", worker=3)
    logger.info("it runs")
    configure("console", "info", worker=3)
    logger.info("it runs")
    machines, people = capsys.readouterr().err.splitlines()
    assert json.loads(machines)["worker"] == 3
    assert people.endswith(" INFO    [3] it runs")


def test_a_line_of_a_request_carries_its_trace_id(capsys: pytest.CaptureFixture[str]) -> None:
    trace = tracing.new_trace()
    token = tracing.current.set(trace)
    try:
        configure("json", "info")
        logger.info("it runs")
        configure("console", "info")
        logger.info("it runs")
    finally:
        tracing.current.reset(token)
    logger.info("it runs")
    machines, people, nobody = capsys.readouterr().err.splitlines()
    assert json.loads(machines)["trace_id"] == trace.trace_id
    assert people.endswith(f" it runs trace_id={trace.trace_id}")
    assert "trace_id" not in nobody
