from __future__ import annotations

import json
from typing import Any

import pytest

from chat4all_actors.edge.http.answers import refusal
from chat4all_actors.edge.http.errors import Refused
from chat4all_actors.edge.http.head import RequestHead
from chat4all_actors.edge.http.health import Health

HEALTH = ["/health/live", "/health/startup", "/health/ready"]


def ask(
    target: str, method: str = "GET", *, unready: str | None = None, degraded: tuple[str, ...] = ()
) -> tuple[int, dict[str, str], bytes]:
    """The status, the fields (lower case) and the body of the answer."""
    head = RequestHead(method, target, (), "1.1")
    try:
        answer = Health(lambda: unready, lambda: list(degraded)).answer(head)
    except Refused as error:
        answer = refusal(error, head=head)
    top, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = top.decode().split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), fields, body


def error(body: bytes) -> dict[str, Any]:
    found = json.loads(body)["error"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("path", HEALTH)
def test_a_node_that_is_ready_is_healthy(path: str) -> None:
    status, fields, body = ask(path)
    assert (status, json.loads(body)) == (200, {"status": "ok"})
    assert fields["content-length"] == str(len(body))
    assert fields["connection"] == "close"


def test_a_node_that_is_not_ready_says_why_and_when_to_come_again() -> None:
    status, fields, body = ask("/health/ready", unready="draining")
    assert status == 503
    assert int(fields["retry-after"]) > 0
    assert (error(body)["code"], error(body)["message"]) == ("UNAVAILABLE", "draining")


def test_a_node_that_is_degraded_is_ready_and_says_why() -> None:
    status, _, body = ask("/health/ready", degraded=("Redis is away",))
    assert (status, json.loads(body)) == (200, {"status": "degraded", "reasons": ["Redis is away"]})
    assert json.loads(ask("/health/live", degraded=("Redis is away",))[2]) == {"status": "ok"}


@pytest.mark.parametrize("path", ["/health/live", "/health/startup"])
def test_a_node_that_is_not_ready_is_alive_all_the_same(path: str) -> None:
    assert ask(path, unready="draining")[0] == 200


def test_a_query_changes_nothing() -> None:
    assert ask("/health/ready?verbose=1", unready="x")[0] == 503


@pytest.mark.parametrize("path", HEALTH)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
def test_health_answers_get_only(path: str, method: str) -> None:
    status, fields, body = ask(path, method)
    assert (status, fields["allow"]) == (405, "get")
    assert error(body)["code"] == "METHOD_NOT_ALLOWED"


@pytest.mark.parametrize(
    "target", ["/", "/health", "/health/", "/health/ready/", "/Health/live", "*", "/ws/x", ""]
)
def test_elsewhere_there_is_nothing(target: str) -> None:
    status, _, body = ask(target)
    assert (status, error(body)["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("target", "unready", "status"),
    [("/health/ready", None, 200), ("/health/ready", "draining", 503), ("/nothing", None, 404)],
)
def test_the_answer_to_head_is_that_to_get_without_its_body(
    target: str, unready: str | None, status: int
) -> None:
    got, fields, body = ask(target, "HEAD", unready=unready)
    assert (got, body) == (status, b"")
    _, with_body, content = ask(target, unready=unready)
    assert fields["content-length"] == with_body["content-length"] == str(len(content))


def test_each_error_has_a_trace_id_of_its_own() -> None:
    first, second = (error(ask("/nothing")[2])["trace_id"] for _ in range(2))
    assert first != second
