"""What REST refuses, and how: one format, the field at fault, the trace, and when to come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.life.rest import Rest
from tests.life.test_rest import Pair, text

if TYPE_CHECKING:
    from tests.life.conftest import Names, StartServer
    from tests.life.processes import ServerProcess

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def pair(server: ServerProcess, names: Names) -> Pair:
    ana, bob = names(2)
    return Pair(server, ana, bob)


@pytest.mark.parametrize(
    ("method", "path", "data", "media", "status", "code"),
    [
        ("POST", "/v1/messages", b"{", "application/json", 400, "INVALID_PAYLOAD"),
        ("POST", "/v1/messages", b"", "application/json", 400, "INVALID_PAYLOAD"),
        ("POST", "/v1/messages", b"[]", "application/json", 400, "INVALID_PAYLOAD"),
        ("POST", "/v1/messages", b'{"payload":"\xff"}', "application/json", 400, "INVALID_PAYLOAD"),
        ("POST", "/v1/messages", b"[" * 60_000, "application/json", 400, "INVALID_PAYLOAD"),
        ("POST", "/v1/messages", b"{}", "text/plain", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", "/v1/messages", b" " * 70_000, "application/json", 413, "TOO_LARGE"),
        ("GET", "/v1/nothing", None, None, 404, "NOT_FOUND"),
        ("GET", "//v1/conversations", None, None, 400, "INVALID_PAYLOAD"),
        ("GET", "/v1//conversations", None, None, 404, "NOT_FOUND"),
        ("GET", "/v1/conversations/", None, None, 404, "NOT_FOUND"),
        ("GET", "/v1/conversations/not-an-id", None, None, 404, "NOT_FOUND"),
        ("GET", "/v1/conversations/%00", None, None, 400, "INVALID_PAYLOAD"),
        ("GET", "/v1/conversations?limit=1&limit=2", None, None, 400, "INVALID_PAYLOAD"),
        ("GET", "/v1/conversations?cursor=abc", None, None, 400, "INVALID_PAYLOAD"),
        ("PUT", "/v1/messages", b"{}", "application/json", 405, "METHOD_NOT_ALLOWED"),
        ("TRACE", "/v1/messages", None, None, 405, "METHOD_NOT_ALLOWED"),
        ("QUERY", "/v1/messages", None, None, 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/presence", None, None, 400, "INVALID_PAYLOAD"),
    ],
)
def test_a_bad_request_is_refused_in_the_one_format(
    pair: Pair,
    method: str,
    path: str,
    data: bytes | None,
    media: str | None,
    status: int,
    code: str,
) -> None:
    headers = {} if media is None else {"Content_Type": media}
    refused = pair.ana.ask(method, path, data=data, **headers)
    assert refused.refusal == (status, code)
    if status == 405:
        assert "POST" in refused.headers["allow"]


def test_a_field_that_is_not_what_it_must_be_is_named(pair: Pair) -> None:
    for body, field in (
        ({}, "payload"),
        (text(), "conversation_id"),
        (text(conversation_id="x"), "conversation_id"),
        (text("", recipient_id="x"), "payload.text"),
        (text("\0", recipient_id="x"), "payload.text"),
        (text(recipient_id="x", metadata={"n": 2**64}), "metadata"),
    ):
        refused = pair.ana.ask("POST", "/v1/messages", body)
        assert refused.refusal == (400, "INVALID_PAYLOAD")
        assert refused.error["details"]["field"] == field


def test_without_a_valid_token_nothing_is_told(pair: Pair) -> None:
    for authorization in ("", "Bearer", "Bearer x", f"Bearer {pair.ana.token}x", "Basic YTpi"):
        refused = pair.nobody.ask("GET", "/v1/users/me", Authorization=authorization)
        assert refused.refusal == (401, "UNAUTHENTICATED")
        assert refused.headers["www-authenticate"].startswith("Bearer")


def test_a_trace_is_continued_and_every_answer_has_one(pair: Pair) -> None:
    parent = f"00-{TRACE}-b7ad6b7169203331-01"
    for path, status in (("/v1/users/me", 200), ("/v1/nothing", 404), ("/v1/users/%00", 400)):
        answer = pair.ana.ask("GET", path, traceparent=parent)
        assert (answer.status, answer.headers["x-trace-id"]) == (status, TRACE)
        assert len(pair.ana.ask("GET", path, traceparent="x").headers["x-trace-id"]) == 32


def test_too_many_requests_are_told_when_to_come_back(start_server: StartServer) -> None:
    server = start_server(rate_requests_per_minute=6, rate_requests_burst=3)
    nobody = Rest(server.port)
    answers = [nobody.ask("GET", "/v1/users/me") for _ in range(5)]
    assert [answer.status for answer in answers[:3]] == [401, 401, 401]
    assert answers[-1].refusal == (429, "RATE_LIMITED")
    assert 0 < int(answers[-1].headers["retry-after"]) <= 10
