"""How much of Meta's limits was used, as the headers of its answers tell.

`X-App-Usage` has percentages of a moving hour, `X-Business-Use-Case-Usage` also the minutes after
which calls are taken again. Neither has to be there, and a call is never judged by them alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

APP: Final = "x-app-usage"
BUSINESS: Final = "x-business-use-case-usage"
_MINUTE: Final = 60.0
_LONGEST: Final = 24 * 60 * _MINUTE
"""Seconds: limits are of an hour or a day, so whatever says more is a mistake."""


class _Use(Struct, frozen=True):
    call_count: float = 0
    total_time: float = 0
    total_cputime: float = 0
    estimated_time_to_regain_access: float = 0
    """Minutes."""

    @property
    def percent(self) -> float:
        return max(self.call_count, self.total_time, self.total_cputime)


_app = msgspec.json.Decoder(_Use)
_business = msgspec.json.Decoder(dict[str, list[_Use]])


class Usage(Struct, frozen=True):
    """What the headers of one answer say."""

    percent: float = 0
    """Of the limit that is nearest: calls are refused at 100."""
    regain: float | None = None
    """Seconds after which calls are taken again; None: it does not say."""


def usage(headers: Mapping[str, str]) -> Usage:
    """What the headers say, by their names in lower case; one that can't be read says nothing."""
    uses = [*_read_app(headers.get(APP)), *_read_business(headers.get(BUSINESS))]
    minutes = max((use.estimated_time_to_regain_access for use in uses), default=0)
    return Usage(
        percent=max((use.percent for use in uses), default=0),
        regain=min(minutes * _MINUTE, _LONGEST) if minutes > 0 else None,
    )


def _read_app(header: str | None) -> list[_Use]:
    try:
        return [_app.decode(header)] if header is not None else []
    except (msgspec.MsgspecError, RecursionError):
        return []


def _read_business(header: str | None) -> list[_Use]:
    try:
        read = _business.decode(header) if header is not None else {}
    except (msgspec.MsgspecError, RecursionError):
        return []
    return [use for uses in read.values() for use in uses]
