"""What a request is answered when it can't be granted, whatever raised it below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from chat4all_protocol.codes import ErrorCode
from chat4all_storage.ports.errors import InDoubt, Rejected, StorageError

from ...conversation.outside import Refusal
from ...files.errors import FileRefused
from ..http.errors import STATUSES, Refused

if TYPE_CHECKING:
    from chat4all_protocol.frames import Error

RETRY_AFTER: Final = 1.0
"""Seconds after which to try again what is unavailable for now."""


class ApiError(Refused):
    """The request can't be granted, in a word that a client matches; see `Refused`."""

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
        super().__init__(
            STATUSES[code],
            message,
            field=field,
            details=details,
            retry_after=retry_after,
            headers=headers,
        )


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


def explain(error: StorageError | Refusal | FileRefused) -> ApiError:
    """What a caller is told of a failure below."""
    if isinstance(error, FileRefused):
        return ApiError(
            error.code,
            error.message,
            field=error.field,
            details=None if error.details is None else dict(error.details),
            retry_after=error.retry_after,
        )
    if isinstance(error, Refusal):
        return ApiError(error.code, error.message, field=error.field, retry_after=error.retry_after)
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
