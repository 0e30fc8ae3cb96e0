from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from chat4all_connectors.errors import Misconfigured, Refused, SendError, Throttled, Transient
from chat4all_connectors.meta.faults import Fault, Rule, fault_in, rule_for, to_error
from chat4all_connectors.meta.send_faults import RULES

if TYPE_CHECKING:
    from chat4all_connectors.errors import Failure
    from chat4all_connectors.meta.faults import Rules

GENERAL: list[tuple[int, int | None, Failure]] = [
    (0, None, "misconfigured"),
    (1, None, "refused"),
    (2, None, "transient"),
    (3, None, "misconfigured"),
    (4, None, "throttled"),
    (10, None, "misconfigured"),
    (17, None, "throttled"),
    (32, None, "throttled"),
    (33, None, "refused"),
    (100, None, "refused"),
    (190, None, "misconfigured"),
    (190, 463, "misconfigured"),
    (200, None, "misconfigured"),
    (299, None, "misconfigured"),
    (341, None, "throttled"),
    (368, None, "misconfigured"),
    (551, None, "unreachable"),
    (613, None, "throttled"),
    (80001, None, "throttled"),
    (80002, None, "throttled"),
    (80006, None, "throttled"),
    (80007, None, "throttled"),
    (80008, None, "throttled"),
    (99999, None, "refused"),
]
"""From reference, part 2."""
MESSAGING: list[tuple[int, int | None, Failure]] = [
    (190, None, "misconfigured"),
    (10, 2018278, "window_closed"),
    (10, 2534022, "window_closed"),
    (10, 2018065, "misconfigured"),
    (10, 2018108, "unreachable"),
    (10, 1893063, "misconfigured"),
    (10, 2018300, "refused"),
    (10, None, "misconfigured"),
    (200, 1545041, "unreachable"),
    (200, 1, "misconfigured"),
    (551, 1545041, "unreachable"),
    (551, None, "unreachable"),
    (100, 2018001, "unreachable"),
    (100, 2018047, "refused"),
    (100, 33, "refused"),
    (100, None, "refused"),
    (613, None, "throttled"),
    (4, None, "throttled"),
    (2, None, "transient"),
    (1200, None, "transient"),
    (2022, None, "misconfigured"),
    (368, None, "misconfigured"),
    (10900, None, "refused"),
    (10903, None, "refused"),
    (10904, None, "misconfigured"),
    (230, None, "misconfigured"),
]
"""Of Messenger and Instagram: parts 4 and 5."""


@pytest.mark.parametrize(("code", "subcode", "failure"), GENERAL)
def test_general_codes(code: int, subcode: int | None, failure: Failure) -> None:
    assert rule_for(Fault(code, subcode), {}).failure == failure


@pytest.mark.parametrize(("code", "subcode", "failure"), MESSAGING)
def test_codes_of_the_send_call(code: int, subcode: int | None, failure: Failure) -> None:
    assert rule_for(Fault(code, subcode), RULES).failure == failure


def test_a_subcode_that_is_not_known_leaves_it_to_the_code() -> None:
    assert rule_for(Fault(613, 7), RULES).failure == "throttled"


def test_what_meta_calls_passing_is_so_unless_the_code_says_what_to_do() -> None:
    passing = rule_for(Fault(1, is_transient=True), {})
    assert (passing.failure, passing.why) == ("transient", rule_for(Fault(1), {}).why)
    assert rule_for(Fault(77777, is_transient=True), {}).failure == "transient"
    assert rule_for(Fault(4, is_transient=True), {}).failure == "throttled"
    assert rule_for(Fault(190, is_transient=True), {}).failure == "misconfigured"


def test_the_status_counts_only_for_codes_that_are_not_known() -> None:
    assert rule_for(Fault(77777), {}, status=500).failure == "transient"
    assert rule_for(Fault(100), {}, status=500).failure == "refused"


def test_the_rules_of_a_product_go_before_the_common_ones() -> None:
    rules: Rules = {100: Rule("transient", "of the product")}
    assert rule_for(Fault(100), rules).failure == "transient"


@pytest.mark.parametrize(
    ("failure", "class_"),
    [("transient", Transient), ("refused", Refused), ("misconfigured", Misconfigured)],
)
def test_each_class_has_its_error(failure: Failure, class_: type[SendError]) -> None:
    error = to_error(Rule(failure, "so it is"), Fault(7, 8, fbtrace_id="AbC_-1"))
    assert type(error) is class_
    assert (error.message, error.code) == ("so it is (code 7/8, trace AbC_-1)", "7/8")


def test_what_is_throttled_waits_for_the_longest_that_is_told() -> None:
    rule = Rule("throttled", "too much", scope="chat", wait=6)
    error = to_error(rule, Fault(131056), regain=120)
    assert isinstance(error, Throttled)
    assert (error.scope, error.retry_after, error.code) == ("chat", 120, "131056")
    assert error.message == "too much (code 131056)"
    shorter = to_error(rule, Fault(131056), regain=2)
    assert isinstance(shorter, Throttled)
    assert shorter.retry_after == 6
    untold = to_error(Rule("throttled", "too much"), Fault(4))
    assert isinstance(untold, Throttled)
    assert (untold.scope, untold.retry_after) == ("account", None)


def test_metas_text_is_not_passed_on() -> None:
    told = {"message": "no user +5511999", "code": 100, "fbtrace_id": "a b\n+5511999"}
    fault = fault_in(json.dumps({"error": told}).encode())
    assert fault is not None
    assert "5511999" not in to_error(rule_for(fault, {}), fault).message


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"error":7}', b'{"error":{}}', b"\xff"])
def test_an_answer_without_an_error_object_has_none(body: bytes) -> None:
    assert fault_in(body) is None
