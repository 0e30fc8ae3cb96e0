from __future__ import annotations

import pytest

from chat4all_protocol.codes import CloseCode, ErrorCode, may_reconnect


@pytest.mark.parametrize("code", [code for code in CloseCode if 3000 <= code <= 3499])
def test_codes_from_3000_to_3499_ask_to_reconnect(code: CloseCode) -> None:
    assert may_reconnect(code)


@pytest.mark.parametrize("code", [code for code in CloseCode if 3500 <= code <= 3999])
def test_codes_from_3500_to_3999_forbid_it(code: CloseCode) -> None:
    assert not may_reconnect(code)


@pytest.mark.parametrize("code", [3000, 3499, 3002])
def test_the_range_decides_over_codes_that_are_not_known_yet(code: int) -> None:
    assert may_reconnect(code)


@pytest.mark.parametrize("code", [3500, 3999, 4000, 4999])
def test_unknown_codes_above_the_range_forbid_it(code: int) -> None:
    assert not may_reconnect(code)


def test_a_connection_that_broke_is_made_again() -> None:
    assert may_reconnect(None)


@pytest.mark.parametrize("code", [1000, 1001, 1005, 1006, 1008, 1011, 1012, 1013, 1015])
def test_standard_codes_that_blame_the_link_or_the_server_are_worth_a_retry(code: int) -> None:
    assert may_reconnect(code)


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1009])
def test_standard_codes_that_blame_the_client_would_only_repeat(code: int) -> None:
    assert not may_reconnect(code)


def test_every_close_code_may_be_sent_in_a_close_frame() -> None:
    for code in CloseCode:
        assert code in (1000, 1002, 1003, 1007, 1009) or 3000 <= code <= 3999


def test_error_codes_are_upper_case_words_equal_to_their_names() -> None:
    for code in ErrorCode:
        assert code.value == code.name
        assert code.value.isupper()


def test_the_numbers_of_the_public_contract_are_fixed() -> None:
    assert {code.name: int(code) for code in CloseCode if code >= 3000} == {
        "DRAINING": 3001,
        "INTERNAL": 3004,
        "TOKEN_EXPIRED": 3005,
        "TOO_SLOW": 3008,
        "NO_HEARTBEAT": 3012,
        "OVERLOADED": 3013,
        "BAD_TOKEN": 3500,
        "BAD_FRAME": 3501,
        "NO_CONNECT": 3502,
        "KICKED": 3503,
        "REPLACED": 3504,
        "TOO_MANY_CONNECTIONS": 3505,
        "REVOKED": 3507,
    }
