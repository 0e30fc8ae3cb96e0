from __future__ import annotations

from email.utils import parsedate_to_datetime

import pytest

from chat4all_actors.edge.http.answers import error_response, http_response
from tests.edge.heads import answer


def test_a_response_is_complete_http() -> None:
    status, headers, body = answer(http_response(200, {"ok": "\u00e9"}, [("X-A", "b")]))
    assert (status, body, headers["x-a"]) == (200, {"ok": "\u00e9"}, "b")
    assert headers["content-type"] == "application/json"
    assert headers["connection"] == "close"
    assert parsedate_to_datetime(headers["date"]).tzinfo is not None


def test_a_response_may_be_empty_and_keep_the_connection() -> None:
    response = http_response(400, None, close=False)
    assert response.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert response.endswith(b"\r\nContent-Length: 0\r\n\r\n")
    assert b"Connection" not in response
    assert b"\r\nContent-Type" not in response


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\x00", "\u00e9"])
def test_a_response_header_that_is_not_printable_ascii_is_an_error(value: str) -> None:
    with pytest.raises(ValueError, match="not a header line"):
        http_response(200, {}, [("X-A", value)])


def test_an_error_has_the_rest_format_and_a_trace_id_of_its_own() -> None:
    responses = [
        error_response(429, "RATE_LIMITED", "slow down", {"field": "x"}, 7, headers=[("X-A", "b")])
        for _ in range(2)
    ]
    status, headers, body = answer(responses[0])
    trace_id = body["error"].pop("trace_id")
    assert body == {
        "error": {"code": "RATE_LIMITED", "message": "slow down", "details": {"field": "x"}}
    }
    assert (status, headers["retry-after"], headers["x-a"]) == (429, "7", "b")
    assert len(trace_id) == 32
    assert int(trace_id, 16)
    assert answer(responses[1])[2]["error"]["trace_id"] != trace_id


def test_an_error_without_details_leaves_them_out() -> None:
    status, headers, body = answer(error_response(503, "UNAVAILABLE", "draining"))
    assert status == 503
    assert set(body["error"]) == {"code", "message", "trace_id"}
    assert "retry-after" not in headers
