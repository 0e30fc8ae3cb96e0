"""Whole HTTP answers as bytes, for what is answered without any application.

They are JSON, close the connection, and carry what every answer carries: the trace's id, and what
keeps a browser from doing more with it than reading it.
"""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from ...tracing import current_trace_id, new_trace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .errors import Refused
    from .head import RequestHead

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


def success(body: bytes, *, head: RequestHead) -> bytes:
    """An answer of status 200 to this request."""
    return _answer(200, {}, body, _trace_id(), head)


def refusal(error: Refused, *, head: RequestHead | None = None) -> bytes:
    """The answer that tells an error; without `head` there is no request that could be read.

    Raises:
        ValueError: a field of it is not printable ASCII.
    """
    trace_id = _trace_id()
    return _answer(error.status, error.headers, error.body(trace_id), trace_id, head)


def _trace_id() -> str:
    return current_trace_id() or new_trace().trace_id


def answer_head(status: int, fields: Iterable[tuple[str, str]]) -> bytes:
    """The head of an answer, with the date.

    Raises:
        ValueError: a field of it is not printable ASCII.
    """
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Date: {formatdate(usegmt=True)}"]
    lines += [f"{name}: {value}" for name, value in fields]
    for line in lines:
        if not (line.isascii() and line.isprintable()):
            raise ValueError(f"not a header line: {line!r}")
    return "\r\n".join([*lines, "", ""]).encode()


def _answer(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    trace_id: str,
    head: RequestHead | None,
) -> bytes:
    start = answer_head(
        status,
        [
            *headers.items(),
            ("X-Trace-Id", trace_id),
            *SAFE_FIELDS,
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ],
    )
    return start if head is not None and head.method == "HEAD" else start + body
