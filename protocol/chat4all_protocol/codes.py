"""Close codes, error codes and event kinds: the vocabulary both sides share.

A close code's *range* tells the client its duty: 3000-3499 reconnect and resume, 3500-3999 do not.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class CloseCode(IntEnum):
    """Why a WebSocket was closed: RFC 6455 codes that we send, and our own."""

    NORMAL = 1000
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    INVALID_DATA = 1007
    TOO_BIG = 1009

    DRAINING = 3001
    INTERNAL = 3004
    TOKEN_EXPIRED = 3005
    TOO_SLOW = 3008
    NO_HEARTBEAT = 3012
    OVERLOADED = 3013

    BAD_TOKEN = 3500
    BAD_FRAME = 3501
    NO_CONNECT = 3502
    KICKED = 3503
    REPLACED = 3504
    TOO_MANY_CONNECTIONS = 3505
    REVOKED = 3507


def may_reconnect(code: int | None) -> bool:
    """Whether a client closed with `code` should connect again and resume.

    `None` is a connection that broke without a close frame. RFC codes below 3000 mean a broken
    link or a client bug: 1007, 1009 and their like would only repeat, the others are worth a retry.
    """
    if code is None:
        return True
    if code >= 3000:
        return code < 3500
    return code not in (
        CloseCode.PROTOCOL_ERROR,
        CloseCode.UNSUPPORTED_DATA,
        CloseCode.INVALID_DATA,
        CloseCode.TOO_BIG,
    )


class ErrorCode(StrEnum):
    """The `code` of an `error` frame; a client matches these, never the text."""

    BAD_FRAME = "BAD_FRAME"
    UNKNOWN_FRAME = "UNKNOWN_FRAME"
    INVALID_PAYLOAD = "INVALID_PAYLOAD"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    CONFLICT = "CONFLICT"
    TOO_LARGE = "TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    CHANNEL_UNAVAILABLE = "CHANNEL_UNAVAILABLE"
    RATE_LIMITED = "RATE_LIMITED"
    UNAVAILABLE = "UNAVAILABLE"
    TIMEOUT = "TIMEOUT"
    INTERNAL = "INTERNAL"
