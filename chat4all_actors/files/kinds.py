"""What a file is: by what its bytes begin with, not by what it is called.

A type that has signatures must show one of them; what the bytes are has to be allowed, and to be of
the family (`image`, `video`, …) that was told. Text is what has no signature and no control
characters. What nothing is known of passes only as a type that has no signature either.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import filetype

if TYPE_CHECKING:
    from collections.abc import Sequence

HEAD: Final = 8192
"""Bytes that are looked at: as many as `filetype` does."""
MIME_PATTERN: Final = (
    r"\A[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}\Z"
)
"""Of a type, without parameters."""
UNKNOWN: Final = "application/octet-stream"
_TEXT: Final = "text/plain"
_SAME: Final = {
    "application/x-zip-compressed": "application/zip",
    "application/x-gzip": "application/gzip",
    "audio/flac": "audio/x-flac",
    "audio/m4a": "audio/mp4",
    "audio/mp3": "audio/mpeg",
    "audio/wav": "audio/x-wav",
    "audio/wave": "audio/x-wav",
    "audio/x-m4a": "audio/mp4",
    "image/heif": "image/heic",
    "image/jpg": "image/jpeg",
    "image/x-ms-bmp": "image/bmp",
    "text/rtf": "application/rtf",
    "video/x-matroska": "video/webm",
}
"""Other names of the same, and containers that one signature can't tell apart."""
_CONTAINERS: Final = {
    "application/zip": ("application/",),
    "video/webm": ("audio/webm", "video/webm"),
    "video/mp4": ("audio/mp4", "video/"),
    "video/quicktime": ("video/",),
    "audio/ogg": ("audio/", "video/ogg", "application/ogg"),
    "audio/mp4": ("audio/", "video/mp4"),
}
"""What may be inside of what: the bytes tell the container, and the client what is in it."""
_SIGNED: Final = frozenset(kind.mime for kind in filetype.types) - {UNKNOWN}
_WRITTEN: Final = frozenset({"application/json", "application/xml"})
"""Text by another name."""
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
_CONTROLS: Final = bytes(set(range(32)) - set(b"\t\n\r\f\x1b"))


class Kinds:
    """The types that may be uploaded."""

    def __init__(self, allowed: Sequence[str]) -> None:
        """`allowed` are types, or their beginnings with `*`."""
        self._allowed = tuple(allowed)

    def allows(self, mime: str) -> bool:
        """Whether files of this type may be uploaded at all."""
        return any(fnmatchcase(mime, pattern) for pattern in self._allowed)

    def judge(self, head: bytes, told: str) -> str | None:
        """What a file is that begins with `head` and was told to be `told`; None: it is refused.

        Args:
            head: its first `HEAD` bytes, or all of it if it has fewer.
        """
        told = _SAME.get(told, told)
        found = sniff(head)
        if found is None:
            # A type whose files show what they are, and this one does not.
            shows = told in _SIGNED or told.startswith("text/") or told in _WRITTEN
            return None if shows or not self.allows(told) else told
        if found == _TEXT:
            if told in _SIGNED or not self.allows(told):
                return None
            return _TEXT if told == UNKNOWN and self.allows(_TEXT) else told
        if not self.allows(found) or not self._fits(found, told):
            return None
        within = _CONTAINERS.get(found, ())
        inside = told != UNKNOWN and told.startswith(within) if within else False
        return told if inside and self.allows(told) else found

    def settle(self, head: bytes, told: str | None) -> str | None:
        """What a file is taken as that begins with `head`, whatever it was told to be, if anything.

        Of those who send from elsewhere nobody can be asked again: what is told counts as far as
        the bytes bear it out, else they alone. None: such a file is not taken.
        """
        for claim in (_plain(told or ""), sniff(head), UNKNOWN):
            if claim is not None and (settled := self.judge(head, claim)) is not None:
                return settled
        return None

    def _fits(self, found: str, told: str) -> bool:
        """Whether a client that has this may have told that."""
        if told == UNKNOWN:
            return True
        if told.startswith(_CONTAINERS.get(found, ("\0",))):
            return True
        return found.partition("/")[0] == told.partition("/")[0]


def _plain(told: str) -> str | None:
    """A type without its parameters; None: it is none."""
    plain = told.partition(";")[0].strip().lower()
    return plain if re.fullmatch(MIME_PATTERN, plain) else None


def sniff(head: bytes) -> str | None:
    """The type by signature, `text/plain`, or None when nothing is known of these bytes."""
    found = filetype.guess_mime(head[:HEAD])
    if found is not None:
        return _SAME.get(found, str(found))
    if head[:4] == b"\x1aE\xdf\xa3":  # EBML, whose type stands at no fixed place
        return "video/webm"
    return _TEXT if _is_text(head[:HEAD]) else None


def _is_text(head: bytes) -> bool:
    """Whether it may be text, in whatever encoding: UTF-16 begins with its mark."""
    return head.startswith(_UTF_16) or (bool(head) and head.translate(None, _CONTROLS) == head)
