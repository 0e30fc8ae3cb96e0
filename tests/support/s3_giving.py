"""Objects of moto handed out in pieces: itself it reads the whole object for every range."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import MultipartChecksumBuilder, s3_backends

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PIECE: Final = 1024 * 1024


def bucket_of(name: str) -> Any:
    """Moto's bucket of this name, if there is one."""
    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.get(name)


def join_without_checksums() -> None:
    """Let moto join parts without a checksum nobody asked for: it copies all bytes for it."""
    MultipartChecksumBuilder.addPart = lambda self, part: None  # type: ignore[method-assign]
    MultipartChecksumBuilder.build = lambda self: None  # type: ignore[method-assign]


def give(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes] | None:
    """Answer with an object or a range of it; None: moto is to answer, or to refuse."""
    parts = urlsplit(environ["REQUEST_URI"])
    query = dict(parse_qsl(parts.query))
    name, _, key = unquote(parts.path)[1:].partition("/")
    bucket = bucket_of(name)
    if environ["REQUEST_METHOD"] != "GET" or bucket is None or key not in bucket.keys:
        return None
    found = bucket.keys[key]
    size = found.contentsize
    first, last, status = 0, size - 1, "200 OK"
    headers = {
        "Content-Type": query.get("response-content-type", found.metadata.get("content-type", "")),
        "ETag": found.etag,
        "Accept-Ranges": "bytes",
    }
    asked = environ.get("HTTP_RANGE", "")
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
    if asked and wanted is None:
        return None
    if wanted is not None:
        first, last = int(wanted[1]), min(int(wanted[2] or last), last)
        if first > last:
            return None
        status = "206 Partial Content"
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    if "response-content-disposition" in query:
        headers["Content-Disposition"] = query["response-content-disposition"]
    headers["Content-Length"] = str(last + 1 - first)
    start(status, list(headers.items()))
    return _pieces(found, first, last + 1)


def _pieces(found: Any, start: int, end: int) -> Iterator[bytes]:
    for at in range(start, end, PIECE):
        with found.lock:
            found._value_buffer.seek(at)
            piece: bytes = found._value_buffer.read(min(PIECE, end - at))
        yield piece
