from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_connectors.errors import Throttled
from chat4all_connectors.meta.faults import Fault, rule_for, to_error
from chat4all_connectors.whatsapp import WhatsAppSettings
from chat4all_connectors.whatsapp.faults import rules

if TYPE_CHECKING:
    from chat4all_connectors.errors import Failure

RULES = rules(
    WhatsAppSettings(access_token="t", app_secret="s", verify_token="v", phone_number_id="1")
)
TABLE: list[tuple[tuple[int, ...], Failure]] = [
    ((0, 190), "misconfigured"),
    ((3,), "misconfigured"),
    ((10, 200, 230, 299, 131005), "misconfigured"),
    ((368, 131031), "misconfigured"),
    ((130497,), "unreachable"),
    ((4, 80007, 130429), "throttled"),
    ((131056,), "throttled"),
    ((131048, 131064), "throttled"),
    ((133016,), "throttled"),
    ((1, 100, 33, 131008, 131009, 131021, 131051, 135000), "refused"),
    ((2, 131016, 131000, 131057, 133004), "transient"),
    ((131026,), "unreachable"),
    ((131047,), "window_closed"),
    ((131049,), "throttled"),
    ((131050,), "unreachable"),
    ((131052, 131053), "refused"),
    ((131042, 131037, 131045), "misconfigured"),
    ((132000, 132005, 132007, 132012, 132015, 132016, 132068, 132069), "refused"),
    ((132001,), "refused"),
    ((131020, 131041, 131207), "unreachable"),
    ((131208,), "throttled"),
    ((131030,), "unreachable"),
    ((131062,), "refused"),
]
"""Meta's table in its order, and at the end what was added in 2026."""
WAITS: list[tuple[int, str, float | None]] = [
    (130429, "account", None),
    (131048, "account", 3600),
    (131064, "account", 3600),
    (131056, "chat", 6),
    (131208, "chat", None),
    (131049, "chat", 24 * 3600),
]


@pytest.mark.parametrize(
    ("code", "failure"), [(code, failure) for codes, failure in TABLE for code in codes]
)
def test_each_code_has_its_class(code: int, failure: Failure) -> None:
    assert rule_for(Fault(code), RULES).failure == failure


@pytest.mark.parametrize(("code", "scope", "wait"), WAITS)
def test_what_is_throttled_waits_as_a_whole_or_for_one_person(
    code: int, scope: str, wait: float | None
) -> None:
    fault = Fault(code)
    error = to_error(rule_for(fault, RULES), fault)
    assert isinstance(error, Throttled)
    assert (error.scope, error.retry_after) == (scope, wait)
