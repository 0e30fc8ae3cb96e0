from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat4all_connectors.meta.usage import APP, BUSINESS, Usage, usage


def business(*uses: dict[str, object]) -> str:
    return json.dumps({"102290129340398": list(uses)})


def test_no_headers_say_nothing() -> None:
    assert usage({}) == Usage(0, None)


def test_an_app_tells_percentages_and_no_time() -> None:
    header = '{"call_count":28,"total_time":95,"total_cputime":2}'
    assert usage({APP: header}) == Usage(95, None)


def test_a_business_tells_minutes_too_and_the_longest_counts() -> None:
    header = business(
        {"type": "messenger", "call_count": 100, "estimated_time_to_regain_access": 7},
        {"type": "pages", "call_count": 12, "total_cputime": 3, "total_time": 1},
        {"type": "instagram", "estimated_time_to_regain_access": 19},
    )
    assert usage({APP: '{"call_count":3}', BUSINESS: header}) == Usage(100, 19 * 60)


def test_no_pause_is_longer_than_a_day() -> None:
    header = business({"estimated_time_to_regain_access": 10**30})
    assert usage({BUSINESS: header}).regain == 24 * 3600


@pytest.mark.parametrize(
    "header",
    ["", "{", "[]", "7", '{"a":7}', '{"a":[7]}', '{"call_count":"x"}', "[" * 100_000],
    ids=range(8),
)
def test_headers_that_can_not_be_read_say_nothing(header: str) -> None:
    assert usage({APP: header, BUSINESS: header}) == Usage(0, None)


@settings(max_examples=50, deadline=None)
@given(header=st.text())
def test_no_header_breaks_it(header: str) -> None:
    said = usage({APP: header, BUSINESS: header})
    assert said.regain is None or said.regain > 0
