"""Cross-origin requests of browsers (Fetch, CORS): which are answered, and with which fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .origins import Origins

if TYPE_CHECKING:
    from collections.abc import Iterable

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_ALLOW: Final = (
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, idempotency-key, if-range, range, traceparent, tracestate",
    ),
    (b"access-control-max-age", b"600"),
)
_EXPOSE: Final = (
    b"access-control-expose-headers",
    b"accept-ranges, content-disposition, content-range, etag, location, retry-after, x-trace-id",
)
_VARY: Final = (b"vary", b"origin")
_VARY_PREFLIGHT: Final = (
    b"vary",
    b"origin, access-control-request-method, access-control-request-headers",
)


class Cors:
    """The rules for the origins of web pages, beside the server's own.

    Credentials of the browser's own (cookies) are never allowed: there are none.
    """

    def __init__(self, allowed_origins: Iterable[str]) -> None:
        """There are no wildcards."""
        self._origins = Origins(allowed_origins)

    def judge(
        self, method: str, headers: Iterable[tuple[bytes, bytes]]
    ) -> tuple[bool, list[tuple[bytes, bytes]], bool]:
        """Whether this request is served, with which fields, and whether it is a preflight.

        A foreign page is refused what could change something and every preflight; what is only
        read is answered, but no browser shows it to the page.
        """
        origins: list[bytes] = []
        host, preflight = None, False
        for name, value in headers:
            if name == b"origin":
                origins.append(value)
            elif name == b"host":
                host = value
            elif name == b"access-control-request-method":
                preflight = method == "OPTIONS"
        fields = [_VARY] if self._origins else []
        if not origins:
            return True, fields, False
        origin = origins[0]
        if len(origins) == 1 and self._origins.allowed(origin):
            allow = (b"access-control-allow-origin", origin)
            if preflight:
                return True, [_VARY_PREFLIGHT, allow, *_ALLOW], True
            return True, [*fields, allow, _EXPOSE], False
        own = len(origins) == 1 and Origins.own(origin, host)
        return own or (method in SAFE_METHODS and not preflight), fields, False
