"""Why something can't be done with a file: to users in words that are safe to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from chat4all_protocol.codes import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Mapping

RETRY_AFTER: Final = 2.0
"""Seconds after which to ask again what is not known yet."""


class FileRefused(Exception):
    """What was asked for is refused; nothing has changed by it."""

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        field: str | None = None,
        details: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        """Which field it is about, if it is about one."""
        self.details = details
        """What a program may want to know beside."""
        self.retry_after = retry_after
        """In so many seconds it may be otherwise."""


def no_such_file(field: str | None = None) -> FileRefused:
    """There is none, or none that this user may know of: both look the same."""
    return FileRefused(ErrorCode.NOT_FOUND, "no such file", field=field)


def unfit(message: str, *, field: str | None = None) -> FileRefused:
    """It contradicts how far the file has come."""
    return FileRefused(ErrorCode.CONFLICT, message, field=field)


def not_known_yet() -> FileRefused:
    """The file is still being checked."""
    return FileRefused(
        ErrorCode.TIMEOUT,
        "the file is still being checked: send the same request again",
        retry_after=RETRY_AFTER,
    )


class NotTaken(Exception):
    """A file that comes in is not taken over, now or later."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        """`empty`, `too_large`, `quota` (of its owner), or what its check has found: a word of
        `CheckFailure`."""
