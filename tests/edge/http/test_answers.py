from __future__ import annotations

from email.utils import parsedate_to_datetime

import pytest

from chat4all_actors.edge.http.answers import refusal, success
from chat4all_actors.edge.http.errors import Refused
from chat4all_actors.edge.http.head import RequestHead
from tests.edge.heads import answer

GET = RequestHead("GET", "/", (), "1.1")
HEAD = RequestHead("HEAD", "/", (), "1.1")


def test_an_answer_is_complete_http_and_the_last_of_its_connection() -> None:
    status, headers, body = answer(success(b'{"ok": 1}', head=GET))
    assert (status, body) == (200, {"ok": 1})
    assert headers["content-type"] == "application/json"
    assert headers["connection"] == "close"
    assert headers["cache-control"] == "no-store"
    assert parsedate_to_datetime(headers["date"]).tzinfo is not None


def test_the_answer_to_head_tells_the_length_of_the_body_that_it_does_not_have() -> None:
    assert success(b"{}", head=HEAD).endswith(b"\r\n\r\n")
    status, headers, body = answer(refusal(Refused(405, "use GET"), head=HEAD), "HEAD")
    assert (status, body) == (405, {})
    assert int(headers["content-length"]) > 2


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\x00", "\u00e9"])
def test_a_field_that_is_not_printable_ascii_is_an_error(value: str) -> None:
    with pytest.raises(ValueError, match="not a header line"):
        refusal(Refused(400, "no", headers={"X-A": value}))


def test_a_refusal_has_the_error_format_and_a_trace_id_of_its_own() -> None:
    error = Refused(429, "slow down", field="x", retry_after=6.2, headers={"X-A": "b"})
    status, headers, body = answer(refusal(error))
    trace_id = body["error"].pop("trace_id")
    assert body == {
        "error": {"code": "RATE_LIMITED", "message": "slow down", "details": {"field": "x"}}
    }
    assert (status, headers["retry-after"], headers["x-a"]) == (429, "7", "b")
    assert headers["x-trace-id"] == trace_id
    assert len(trace_id) == 32
    assert int(trace_id, 16)
    assert answer(refusal(error))[2]["error"]["trace_id"] != trace_id


def test_a_refusal_without_details_leaves_them_out() -> None:
    status, headers, body = answer(refusal(Refused(503, "draining")))
    assert status == 503
    assert set(body["error"]) == {"code", "message", "trace_id"}
    assert "retry-after" not in headers
