"""Signed addresses: what a client may do at one of them, and until when.

The right is in the address itself: an HMAC over everything that it says. So no node has to ask
another one, or a database, before it takes a part or hands out an object.
"""

from __future__ import annotations

import base64
import hmac
import re
import time
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import parse_qsl, urlencode

import msgspec
from msgspec import Struct

from ..ports.objects import Address, Shown

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX: Final = "/files/"
_PATH: Final = re.compile(r"/files/(?P<key>[A-Za-z0-9_-]{1,128})(?:/(?P<part>[1-9][0-9]{0,8}))?")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,15}")
_encode: Final = msgspec.msgpack.Encoder().encode


class Forbidden(Exception):
    """The address was changed, or its time is over."""


class Upload(Struct, frozen=True):
    """A part may be put."""

    key: str
    upload: str
    part: int
    size: int
    """Bytes: exactly so many."""
    until: int
    """Seconds since the epoch."""


class Download(Struct, frozen=True):
    """An object may be fetched."""

    key: str
    shown: Shown
    until: int


Right: TypeAlias = Upload | Download


def methods_of(path: str) -> tuple[str, ...]:
    """What can be done at this path at all: nothing where there is no such path."""
    match = _PATH.fullmatch(path)
    if match is None:
        return ()
    return ("PUT",) if match["part"] else ("GET", "HEAD")


class Addresses:
    """Makes addresses, and judges what comes back."""

    def __init__(
        self, sign: Callable[[bytes], bytes], clock: Callable[[], float] = time.time
    ) -> None:
        """`sign` makes a MAC with a key that is used for nothing else; `clock` is the epoch's."""
        self._sign = sign
        self._clock = clock

    def upload(
        self, key: str, upload: str, part: int, size: int, *, lifetime: float, base: str
    ) -> Address:
        """Where this part is put."""
        until = int(self._clock() + lifetime)
        query = {
            "upload": upload,
            "size": size,
            "until": until,
            "signature": self._upload_signature(Upload(key, upload, part, size, until)),
        }
        url = f"{base.rstrip('/')}{PREFIX}{key}/{part}?{urlencode(query)}"
        return Address("PUT", url, {})

    def download(self, key: str, shown: Shown, *, lifetime: float, base: str) -> Address:
        """Where this object is fetched."""
        until = int(self._clock() + lifetime)
        query = {
            "name": shown.name,
            "type": shown.mime,
            "until": until,
            "signature": self._download_signature(Download(key, shown, until)),
        }
        return Address("GET", f"{base.rstrip('/')}{PREFIX}{key}?{urlencode(query)}", {})

    def judge(self, path: str, query: str) -> Right:
        """What the address allows now, whose path is one of those that `methods_of` knows.

        Raises:
            Forbidden: nothing.
        """
        match = _PATH.fullmatch(path)
        told = _fields(query)
        if match is None or told is None or _NUMBER.fullmatch(told.get("until", "")) is None:
            raise Forbidden("the address is not one that was given out")
        key, until = match["key"], int(told["until"])
        right: Right
        if match["part"] is not None:
            if told.keys() != {"upload", "size", "until", "signature"}:
                raise Forbidden("the address is not one that was given out")
            if _NUMBER.fullmatch(told["size"]) is None:
                raise Forbidden("the address is not one that was given out")
            part, size = int(match["part"]), int(told["size"])
            right = Upload(key, told["upload"], part, size, until)
            signature = self._upload_signature(right)
        else:
            if told.keys() != {"name", "type", "until", "signature"}:
                raise Forbidden("the address is not one that was given out")
            right = Download(key, Shown(told["name"], told["type"]), until)
            signature = self._download_signature(right)
        # As text: two texts may stand for the same bytes in base64, and only one was given out.
        if not hmac.compare_digest(signature.encode(), told["signature"].encode()):
            raise Forbidden("the address is not one that was given out")
        if self._clock() >= until:
            raise Forbidden("the address has expired: ask for a new one")
        return right

    def remaining(self, right: Right) -> int:
        """Whole seconds for which it may still be used."""
        return max(0, int(right.until - self._clock()))

    def _upload_signature(self, right: Upload) -> str:
        said = ("PUT", right.key, right.upload, right.part, right.size, right.until)
        return self._signature(said)

    def _download_signature(self, right: Download) -> str:
        said = ("GET", right.key, right.shown.name, right.shown.mime, right.until)
        return self._signature(said)

    def _signature(self, said: tuple[str | int, ...]) -> str:
        # MessagePack tells where each value ends, so no two sayings have the same bytes.
        return base64.urlsafe_b64encode(self._sign(_encode(said))).rstrip(b"=").decode()


def _fields(query: str) -> dict[str, str] | None:
    """The fields of a query, each of which is there once; else None."""
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=8
        )
    except ValueError:
        return None
    told = dict(pairs)
    return told if len(told) == len(pairs) else None
