"""What a request is answered when it can't be granted: one format, whatever raised it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from chat4all_protocol.codes import ErrorCode
from chat4all_storage.ports.errors import InDoubt, Rejected, StorageError

from ...conversation.conversations import Refusal

if TYPE_CHECKING:
    from chat4all_protocol.frames import Error

RETRY_AFTER: Final = 1.0
"""Seconds after which to try again what is unavailable for now."""

STATUSES: Final[dict[str, int]] = {
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


class ApiError(Exception):
    """The request can't be granted.

    `field` is the one at fault, `details` further facts, `retry_after` seconds to wait.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        field: str | None = None,
        retry_after: float | None = None,
        details: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.headers = headers or {}
        known = ({} if field is None else {"field": field}) | (details or {})
        self.details = known or None

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUSES[self.code]

    def body(self, trace_id: str) -> bytes:
        """The answer's body."""
        said = ErrorDetails(self.code, self.message, trace_id, self.details)
        return msgspec.json.encode(ErrorBody(said))


def not_found(what: str = "there is nothing here") -> ApiError:
    """There is no such thing, or none that this caller may know of: both look the same."""
    return ApiError(ErrorCode.NOT_FOUND, what)


def invalid(field: str, message: str) -> ApiError:
    """A field is not what it must be."""
    return ApiError(ErrorCode.INVALID_PAYLOAD, message, field=field)


def unknown_outcome() -> ApiError:
    """Whether the request was carried out is not known: the same again is safe, and tells."""
    return ApiError(
        ErrorCode.TIMEOUT,
        "the outcome is not known yet: send the same request again",
        retry_after=RETRY_AFTER,
    )


def explain(error: StorageError | Refusal) -> ApiError:
    """What a caller is told of a failure below."""
    if isinstance(error, Refusal):
        return ApiError(error.code, error.message, field=error.field)
    if isinstance(error, InDoubt):
        return unknown_outcome()
    if isinstance(error, Rejected):
        return ApiError(ErrorCode.INTERNAL, "the request can't be carried out")
    return ApiError(ErrorCode.UNAVAILABLE, "try again shortly", retry_after=RETRY_AFTER)


def of_frame(error: Error) -> ApiError:
    """The `error` that a WebSocket would get, as an answer."""
    retry_ms = error.retry_after_ms
    return ApiError(
        ErrorCode(error.code),
        error.message,
        field=error.field,
        retry_after=None if retry_ms is None else retry_ms / 1000,
    )
