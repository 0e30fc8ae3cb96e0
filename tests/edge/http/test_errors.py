from __future__ import annotations

import json

import pytest

from chat4all_actors.edge.http.errors import CODES, STATUSES, Refused, error_body
from chat4all_actors.edge.rest.errors import ApiError
from chat4all_protocol.codes import ErrorCode

OF_FRAMES = {ErrorCode.BAD_FRAME, ErrorCode.UNKNOWN_FRAME}


def test_every_word_that_is_not_of_frames_has_a_status_of_its_own() -> None:
    assert set(STATUSES) == set(ErrorCode) - OF_FRAMES
    assert len(set(STATUSES.values())) == len(STATUSES)


def test_a_word_and_its_status_name_each_other() -> None:
    assert {CODES[status]: status for status in STATUSES.values()} == STATUSES


def test_an_api_error_is_the_refusal_of_its_status() -> None:
    said = ApiError(ErrorCode.CONFLICT, "taken", field="id", details={"seq": 1}, retry_after=0.2)
    same = Refused(409, "taken", field="id", details={"seq": 1}, retry_after=0.2)
    assert (said.status, said.code) == (same.status, same.code) == (409, "CONFLICT")
    assert said.headers == same.headers == {"Retry-After": "1"}
    assert json.loads(said.body("t")) == {
        "error": {
            "code": "CONFLICT",
            "message": "taken",
            "trace_id": "t",
            "details": {"field": "id", "seq": 1},
        }
    }


def test_what_has_no_word_is_an_error_all_the_same() -> None:
    assert json.loads(error_body(418, "short and stout", "t"))["error"]["code"] == "ERROR"


@pytest.mark.parametrize(("seconds", "told"), [(0.01, "1"), (1.0, "1"), (1.2, "2")])
def test_a_client_never_comes_back_too_early(seconds: float, told: str) -> None:
    assert Refused(503, "later", retry_after=seconds).headers == {"Retry-After": told}
