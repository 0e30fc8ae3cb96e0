"""Signature Version 4, judged: what S3 looks at before it does anything, and moto does not.

Written from the description, not from what signs in `chat4all_storage.s3`.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from calendar import timegm
from time import strptime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCESS_KEY: Final = "tests"
SKEW: Final = 15 * 60
"""Seconds by which the clocks of a client and S3 may differ."""
WEEK: Final = 7 * 24 * 3600
_UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_HEADER: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<credential>[^,]+), ?SignedHeaders=(?P<headers>[^,]+), ?"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)


class Refused(Exception):
    """S3 answers 403, or 400 to what is no question at all."""

    def __init__(self, code: str, status: int = 403) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


class Request(Struct, frozen=True):
    """As it came over the wire."""

    method: str
    target: str
    """Path and query, not decoded."""
    headers: Mapping[str, str]
    """Named in lower case."""
    body: bytes


class _Claim(Struct, frozen=True):
    access_key: str
    day: str
    scope: str
    at: str
    headers: list[str]
    signature: str
    payload: str


def judge(request: Request, keys: Mapping[str, str], now: float) -> None:
    """Let a request pass that one of these (access key: secret key) may do now.

    Raises:
        Refused: it may not.
    """
    parts = urlsplit(request.target)
    fields = _fields(parts.query)
    query = dict(fields)
    if "X-Amz-Signature" in query:
        claim = _query_claim(fields, query, now)
        fields = [field for field in fields if field[0] != "X-Amz-Signature"]
    elif "authorization" in request.headers:
        claim = _header_claim(request, now)
    else:
        raise Refused("AccessDenied")
    if claim.access_key not in keys:
        raise Refused("InvalidAccessKeyId")
    if "host" not in claim.headers or any(name not in request.headers for name in claim.headers):
        raise Refused("SignatureDoesNotMatch")
    told = [f"{name}:{' '.join(request.headers[name].split())}\n" for name in claim.headers]
    canonical = "\n".join(
        [
            request.method,
            quote(unquote(parts.path), safe="/-_.~"),
            "&".join(sorted(f"{_quote(name)}={_quote(text)}" for name, text in fields)),
            "".join(told),
            ";".join(claim.headers),
            claim.payload,
        ]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{claim.at}\n{claim.scope}\n{digest}"
    key = f"AWS4{keys[claim.access_key]}".encode()
    for word in claim.scope.split("/"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    if hmac.new(key, text.encode(), hashlib.sha256).hexdigest() != claim.signature:
        raise Refused("SignatureDoesNotMatch")
    if len(request.body) != int(request.headers.get("content-length") or 0):
        raise Refused("IncompleteBody", 400)
    signed = claim.payload != _UNSIGNED
    if signed and claim.payload != hashlib.sha256(request.body).hexdigest():
        raise Refused("XAmzContentSHA256Mismatch", 400)


def _query_claim(fields: list[tuple[str, str]], query: Mapping[str, str], now: float) -> _Claim:
    wanted = {"Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"}
    if len(query) != len(fields) or any(f"X-Amz-{name}" not in query for name in wanted):
        raise Refused("AuthorizationQueryParametersError", 400)
    if query["X-Amz-Algorithm"] != "AWS4-HMAC-SHA256":
        raise Refused("AuthorizationQueryParametersError", 400)
    lifetime = query["X-Amz-Expires"]
    if not re.fullmatch(r"\d{1,6}", lifetime) or not 1 <= int(lifetime) <= WEEK:
        raise Refused("AuthorizationQueryParametersError", 400)
    at = _time(query["X-Amz-Date"])
    if not at - SKEW <= now <= at + int(lifetime):
        raise Refused("AccessDenied")  # S3 adds: Request has expired
    return _claim(
        query["X-Amz-Credential"],
        query["X-Amz-Date"],
        query["X-Amz-SignedHeaders"],
        query["X-Amz-Signature"],
        _UNSIGNED,
    )


def _header_claim(request: Request, now: float) -> _Claim:
    match = _HEADER.fullmatch(request.headers["authorization"])
    at = request.headers.get("x-amz-date", "")
    if match is None or abs(_time(at) - now) > SKEW:
        raise Refused("RequestTimeTooSkewed" if match else "AuthorizationHeaderMalformed")
    payload = request.headers.get("x-amz-content-sha256", "")
    return _claim(match["credential"], at, match["headers"], match["signature"], payload)


def _claim(credential: str, at: str, headers: str, signature: str, payload: str) -> _Claim:
    access_key, _, scope = credential.partition("/")
    words = scope.split("/")
    if len(words) != 4 or words[0] != at[:8] or words[2:] != ["s3", "aws4_request"]:
        raise Refused("AuthorizationQueryParametersError", 400)
    return _Claim(access_key, words[0], scope, at, headers.split(";"), signature, payload)


def _time(text: str) -> int:
    try:
        return timegm(strptime(text, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise Refused("AccessDenied") from None


def _fields(query: str) -> list[tuple[str, str]]:
    pairs = [field.partition("=") for field in query.split("&") if field]
    return [(unquote(name), unquote(text)) for name, _, text in pairs]


def _quote(text: str) -> str:
    return quote(text, safe="-_.~")
