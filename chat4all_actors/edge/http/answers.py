"""Whole HTTP answers as bytes, for what is answered before any application is asked.

The error format is the REST API's, and so are the fields that every answer carries.
"""

from __future__ import annotations

import json
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeAlias

from ...tracing import current_trace_id, new_trace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Fields: TypeAlias = "Iterable[tuple[str, str]]"

CODES: Final[Mapping[int, str]] = {
    400: "INVALID_PAYLOAD",
    401: "UNAUTHENTICATED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "TIMEOUT",
    409: "CONFLICT",
    413: "TOO_LARGE",
    414: "TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    417: "EXPECTATION_FAILED",
    422: "CHANNEL_UNAVAILABLE",
    426: "UPGRADE_REQUIRED",
    429: "RATE_LIMITED",
    431: "TOO_LARGE",
    500: "INTERNAL",
    501: "NOT_IMPLEMENTED",
    503: "UNAVAILABLE",
    504: "TIMEOUT",
    505: "HTTP_VERSION_NOT_SUPPORTED",
}
"""The word of the error format for each status that is an error here."""

SAFE_FIELDS: Final = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)
"""What keeps a browser from doing more with an answer than reading it; unless it says otherwise."""
HSTS: Final = ("Strict-Transport-Security", "max-age=31536000")
"""Only for answers under TLS: a year."""


def error_body(
    code: str, message: str, trace_id: str, details: Mapping[str, object] | None = None
) -> dict[str, object]:
    """An error as the REST API tells it."""
    error: dict[str, object] = {"code": code, "message": message}
    if details is not None:
        error["details"] = details
    error["trace_id"] = trace_id
    return {"error": error}


def http_response(
    status: int,
    body_json: Mapping[str, object] | None,
    headers: Fields = (),
    *,
    close: bool = True,
) -> bytes:
    """Return a whole HTTP/1.1 response, for a status that may have a body.

    It carries the current trace's id, or a fresh one.

    Args:
        status: The status code, a registered one.
        body_json: The JSON body, or None for an empty one.
        headers: Further fields.
        close: Whether the connection closes after it.

    Raises:
        ValueError: If the status is unknown or a field is not printable ASCII.
    """
    headers = list(headers)
    if all(name != "X-Trace-Id" for name, _ in headers):
        headers.append(("X-Trace-Id", current_trace_id() or new_trace().trace_id))
    body = b"" if body_json is None else json.dumps(body_json, separators=(",", ":")).encode()
    fields = [("Date", formatdate(usegmt=True)), *headers, *SAFE_FIELDS]
    if body:
        fields.append(("Content-Type", "application/json"))
    fields.append(("Content-Length", str(len(body))))
    if close:
        fields.append(("Connection", "close"))
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in fields]
    for line in lines:
        if not (line.isascii() and line.isprintable()):
            raise ValueError(f"not a header line: {line!r}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def error_response(
    status: int,
    code: str,
    message: str,
    details: Mapping[str, object] | None = None,
    retry_after: int | None = None,
    *,
    headers: Fields = (),
) -> bytes:
    """Return a response in the REST error format that closes the connection.

    Its `trace_id` is the current trace's, or a fresh one.

    Args:
        status: The HTTP status.
        code: Upper-case word that a client matches.
        message: What is wrong, for people.
        details: Further facts, for programs.
        retry_after: Seconds the client should wait; sent as Retry-After.
        headers: Further fields.

    Raises:
        ValueError: As `http_response` does.
    """
    trace_id = current_trace_id() or new_trace().trace_id
    headers = [*headers, ("X-Trace-Id", trace_id)]
    if retry_after is not None:
        headers.append(("Retry-After", str(retry_after)))
    return http_response(status, error_body(code, message, trace_id, details), headers)


def without_body(response: bytes) -> bytes:
    """The answer to HEAD, from the one to GET."""
    return response[: response.index(b"\r\n\r\n") + 4]
