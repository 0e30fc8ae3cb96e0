"""What a Graph error means: by its code and subcode alone, into the classes of `errors`.

Meta's own advice: neither the HTTP status nor the text of an error is to be relied on; both have
changed under the same code. The text may also repeat what people wrote, or whom it was for, so
it is never passed on: what is said here about a code is our own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from msgspec import Struct

from ..errors import (
    Misconfigured,
    Refused,
    SendError,
    Throttled,
    Transient,
    Unreachable,
    WindowClosed,
)

if TYPE_CHECKING:
    from ..errors import Failure, Scope


class Fault(Struct, frozen=True):
    """Graph's error object, as far as it decides anything."""

    code: int
    error_subcode: int | None = None
    is_transient: bool = False
    fbtrace_id: str | None = None
    """For Meta's support."""

    @property
    def label(self) -> str:
        """For people who look it up: `10/2018278`."""
        return f"{self.code}" if self.error_subcode is None else f"{self.code}/{self.error_subcode}"


class Rule(Struct, frozen=True):
    """What a code means."""

    failure: Failure
    why: str
    """For operators, in our words."""
    scope: Scope = "account"
    """Of what is throttled."""
    wait: float | None = None
    """Seconds, at least, before what is throttled may go on."""


Rules: TypeAlias = Mapping[int | tuple[int, int], Rule]
"""By code, or by code and subcode where the code alone does not tell."""

COMMON: Final[Rules] = {
    0: Rule("misconfigured", "the access token is not taken"),
    1: Rule("refused", "Meta can't say what is wrong with it"),
    2: Rule("transient", "the service is down for a while"),
    3: Rule("misconfigured", "the app lacks a capability or permission"),
    4: Rule("throttled", "the app made too many calls"),
    10: Rule("misconfigured", "the app lacks a permission"),
    17: Rule("throttled", "the account made too many calls"),
    32: Rule("throttled", "the page made too many calls"),
    33: Rule("refused", "it names something that does not exist"),
    100: Rule("refused", "a parameter is wrong"),
    190: Rule("misconfigured", "the access token is wrong or has expired"),
    (190, 463): Rule("misconfigured", "the access token has expired"),
    341: Rule("throttled", "the app reached a limit"),
    368: Rule("misconfigured", "the account is blocked for a time by Meta's policies"),
    551: Rule("unreachable", "this person is not available"),
    613: Rule("throttled", "too many calls of this kind were made"),
    80001: Rule("throttled", "the page made too many calls"),
    80002: Rule("throttled", "the Instagram account made too many calls"),
    80006: Rule("throttled", "the page sent too many messages"),
    80007: Rule("throttled", "the WhatsApp account made too many calls"),
    80008: Rule("throttled", "the WhatsApp account was managed by too many calls"),
}
_PERMISSION: Final = Rule("misconfigured", "the app lacks a permission")
_PERMISSIONS: Final = range(200, 300)
_UNKNOWN: Final = Rule("refused", "Meta refuses it for a reason that is not known here")
_FAILING: Final = Rule("transient", "Meta fails")
_TRACE: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")


def rule_for(fault: Fault, rules: Rules, *, status: int = 400) -> Rule:
    """What it means; `rules` are those of the product, which go before the common ones.

    The HTTP status counts only if the code is not known. What Meta calls passing is so, unless
    the code says what has to be done.
    """
    rule = _looked_up(fault, rules)
    if rule is None:
        return _FAILING if fault.is_transient or status >= 500 else _UNKNOWN
    if fault.is_transient and rule.failure == "refused":
        return Rule("transient", rule.why)
    return rule


def _looked_up(fault: Fault, rules: Rules) -> Rule | None:
    if fault.error_subcode is not None:
        for table in (rules, COMMON):
            if rule := table.get((fault.code, fault.error_subcode)):
                return rule
    for table in (rules, COMMON):
        if rule := table.get(fault.code):
            return rule
    return _PERMISSION if fault.code in _PERMISSIONS else None


def to_error(rule: Rule, fault: Fault, *, regain: float | None = None) -> SendError:
    """The error to raise; `regain` are the seconds that throttle headers tell to wait."""
    text = f"{rule.why} (code {fault.label}{_trace(fault)})"
    if rule.failure == "throttled":
        waits = [seconds for seconds in (rule.wait, regain) if seconds is not None]
        wait = max(waits, default=None)
        return Throttled(text, retry_after=wait, scope=rule.scope, code=fault.label)
    return _CLASSES[rule.failure](text, code=fault.label)


_CLASSES: Final[Mapping[Failure, type[SendError]]] = {
    "transient": Transient,
    "refused": Refused,
    "unreachable": Unreachable,
    "window_closed": WindowClosed,
    "misconfigured": Misconfigured,
}


def _trace(fault: Fault) -> str:
    if fault.fbtrace_id is None or not _TRACE.fullmatch(fault.fbtrace_id):
        return ""
    return f", trace {fault.fbtrace_id}"


class _Failed(Struct, frozen=True):
    error: Fault


_failed = msgspec.json.Decoder(_Failed)


def fault_in(body: bytes) -> Fault | None:
    """The error object in an answer; None: it has none, so it hardly comes from Graph."""
    try:
        return _failed.decode(body).error
    except (msgspec.MsgspecError, RecursionError):
        return None
