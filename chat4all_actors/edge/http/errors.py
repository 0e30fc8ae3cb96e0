"""What is answered to a request that can't be granted: one format and one table of words.

    Exception
    └── Refused             from the first byte of a connection to its application
        └── rest: ApiError  the same, said with a word in place of a status

It is raised where the reason is found, and becomes an answer in one place for each way out:
`answers.refusal` before there is an application, `rest.app` in it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from chat4all_protocol.codes import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Mapping

STATUSES: Final[Mapping[str, int]] = {
    ErrorCode.INVALID_PAYLOAD: 400,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.CONFLICT: 409,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: 415,
    ErrorCode.CHANNEL_UNAVAILABLE: 422,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.INTERNAL: 500,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.TIMEOUT: 504,
}
"""The status of each word that the application uses."""

CODES: Final[Mapping[int, str]] = {
    **{status: str(code) for code, status in STATUSES.items()},
    # Those of HTTP itself.
    408: str(ErrorCode.TIMEOUT),
    411: "LENGTH_REQUIRED",
    414: str(ErrorCode.TOO_LARGE),
    416: "RANGE_NOT_SATISFIABLE",
    417: "EXPECTATION_FAILED",
    426: "UPGRADE_REQUIRED",
    431: str(ErrorCode.TOO_LARGE),
    501: "NOT_IMPLEMENTED",
    505: "HTTP_VERSION_NOT_SUPPORTED",
}
"""The word for each status that is an error here."""


class ErrorDetails(Struct, frozen=True, omit_defaults=True):
    """What is wrong, for programs."""

    code: str
    """A word that a client matches; the text is for people."""
    message: str
    trace_id: str
    """Names this request in the server's log."""
    details: dict[str, Any] | None = None
    """Further facts; `field` names the one at fault."""


class ErrorBody(Struct, frozen=True):
    """The body of every answer that is no success."""

    error: ErrorDetails


_encode: Final = msgspec.json.Encoder().encode


def error_body(
    status: int, message: str, trace_id: str, details: dict[str, Any] | None = None
) -> bytes:
    """The body of an error, as JSON."""
    code = CODES.get(status, "ERROR")
    return _encode(ErrorBody(ErrorDetails(code, message, trace_id, details)))


class Refused(Exception):
    """The request can't be granted."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        field: str | None = None,
        details: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Say why, for people; `field` is the one at fault, `details` are further facts.

        `retry_after` is in seconds. `headers` are further fields of the answer.
        """
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.details = ({} if field is None else {"field": field}) | dict(details or {})
        self.headers = dict(headers or {})
        self.retry_after = retry_after
        if retry_after is not None:
            self.headers["Retry-After"] = str(math.ceil(retry_after))

    @property
    def code(self) -> str:
        """The word of the error format."""
        return CODES[self.status]

    def body(self, trace_id: str) -> bytes:
        """The body of the answer."""
        return error_body(self.status, self.message, trace_id, self.details or None)
