"""Where the bytes of files are: the port.

An object is written in parts and appears whole, by `join`. Clients put parts and fetch objects by
signed addresses, without asking us again: straight from S3, or from the node that serves a
directory. A key is random, made of letters, digits, `-` and `_`, and is used for one object ever.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import quote

from msgspec import Struct

from .errors import StorageError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

# What a client could take for a path, or that can't be seen.
_UNWANTED: Final = re.compile(r"[\x00-\x1f\x7f-\x9f/\\\u2028-\u202e\u2066-\u2069]")
_NO_FALLBACK: Final = re.compile(r"[^ !#$&'()+,\-.0-9;=@A-Z\[\]^_`a-z{}~]")


class NoSuchObject(StorageError):
    """There is no object, or no upload, of that name (any more)."""


class Part(Struct, frozen=True):
    """A part that the store has whole."""

    number: int
    """From 1."""
    size: int
    tag: str
    """What the store calls these bytes."""


class Address(Struct, frozen=True):
    """What a client sends, as it is, to put a part or to fetch an object."""

    method: str
    url: str
    headers: Mapping[str, str]


class Shown(Struct, frozen=True):
    """How an object is to be handed out."""

    name: str
    """For `Content-Disposition: attachment`."""
    mime: str

    @property
    def disposition(self) -> str:
        """`Content-Disposition` of what is to be kept, never shown in place (RFC 6266 and 8187)."""
        name = _UNWANTED.sub("_", self.name)
        fallback = _NO_FALLBACK.sub("_", name)
        return f"attachment; filename=\"{fallback}\"; filename*=UTF-8''{quote(name, safe='')}"


class ObjectStore(Protocol):
    """Every method raises `Unavailable` when the store can't be reached in time.

    What it was to do may have been done then. `Rejected` is a defect: the store is not what was
    configured, or does not let us use it.

    *Idempotence.* Each may be repeated. *Durability.* What `put` or `join` returned for stands.
    *Visibility.* Of an object that was not joined nothing can be read.
    """

    @property
    def name(self) -> str:
        """Of what kind and where, for people."""
        ...

    async def begin(self, key: str, *, part_size: int, mime: str) -> str:
        """Begin an upload of this key in parts; its name. A second one is another upload.

        Args:
            part_size: bytes of every part but the last, which may be smaller: who knows it can
                write each part to its place.
            mime: what the uploader says that it is.
        """
        ...

    async def part_addresses(
        self, key: str, upload: str, parts: Sequence[tuple[int, int]], *, lifetime: float, base: str
    ) -> list[Address]:
        """Where a client puts each of the parts (number, bytes), for `lifetime` seconds.

        A part with more or fewer bytes is refused there, or is seen in `parts`. `base` is where
        the client finds this server (`https://host`), for a store that is served by us.
        """
        ...

    async def put_part(self, key: str, upload: str, number: int, data: bytes) -> None:
        """Put a part that this server has itself, as a client does at its address.

        Args:
            number: from 1.
            data: as many bytes as `begin` was told; fewer, but at least one, in the last part.

        Raises:
            NoSuchObject: there is no such upload; it may have been joined.
        """
        ...

    async def parts(self, key: str, upload: str) -> list[Part]:
        """Those that came whole, by number; of a part that came twice the last.

        Raises:
            NoSuchObject: there is no such upload; it may have been joined.
        """
        ...

    async def join(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        """Make the object of these parts, whose numbers are 1, 2, 3, …; or find it made.

        Raises:
            NoSuchObject: neither the upload nor the object is there, or a part is not.
        """
        ...

    def read(
        self, key: str, *, start: int = 0
    ) -> AbstractAsyncContextManager[AsyncGenerator[bytes, None]]:
        """The bytes from `start` on, in pieces of at most 1 MiB; memory is bounded by that.

        Raises:
            NoSuchObject: there is no such object.
        """
        ...

    async def put(self, key: str, data: bytes, mime: str) -> None:
        """Store a small object whole."""
        ...

    async def address(self, key: str, shown: Shown, *, lifetime: float, base: str) -> Address:
        """Where a client fetches the object, whole or by range, for `lifetime` seconds."""
        ...

    async def end_uploads(self, key: str) -> None:
        """Remove every upload of this key, if there are any; the object stays.

        A crash may have left one that nobody knows, beside the one that was joined.
        """
        ...

    async def remove(self, key: str) -> None:
        """Remove the object and every upload of this key, if there are any."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
