"""Which bytes of an object are asked for (RFC 9110, sections 13 and 14): one range, or all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from .errors import Refused

if TYPE_CHECKING:
    from .head import RequestHead

_RANGE: Final = re.compile(rb"bytes[ \t]*=[ \t]*(?P<first>[0-9]{0,18})-(?P<last>[0-9]{0,18})")


def range_of(head: RequestHead, size: int, tag: str) -> tuple[int, int] | None:
    """The first byte that is asked for, and the one after the last; None: all of `size` bytes.

    All is answered to several ranges, to what is no range at all, and to who wants to go on with
    bytes of another tag.

    Raises:
        Refused: 416, there are no such bytes.
    """
    ranges = head.get_all(b"range")
    match = _RANGE.fullmatch(ranges[0]) if len(ranges) == 1 and head.method == "GET" else None
    if match is None or not (match["first"] or match["last"]):
        return None
    condition = head.get(b"if-range")
    if condition is not None and condition != tag.encode():
        return None
    if not match["first"]:
        start, end = max(0, size - int(match["last"])), size
    else:
        start = int(match["first"])
        end = min(int(match["last"]) + 1, size) if match["last"] else size
        if match["last"] and int(match["last"]) < start:
            return None  # no range by its grammar
    if start >= end:
        message = f"the file has {size} bytes"
        raise Refused(416, message, field="range", headers={"Content-Range": f"bytes */{size}"})
    return start, end


def is_known(head: RequestHead, tag: str) -> bool:
    """Whether the client has what has this tag (`If-None-Match`)."""
    return any(
        known == b"*" or known.removeprefix(b"W/") == tag.encode()
        for known in head.get_list(b"if-none-match")
    )
