"""Objects in memory, and the answers that a client gets at their addresses."""

from __future__ import annotations

import hmac
import re
import secrets
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import trio
from msgspec import Struct

from ..ports.errors import Unavailable
from ..ports.objects import Address, NoSuchObject, Part

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence

    from ..ports.objects import Shown

PIECE: Final = 1024 * 1024
"""Bytes of what is read at once."""


class Reply(Struct, frozen=True):
    """What somebody is answered at an address."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""


class _Upload(Struct, frozen=True):
    key: str
    parts: dict[int, bytes]


class MemoryObjects:
    """A store for nodes of one trio run; `down` is its fault. `request` is its clients' side."""

    def __init__(self, *, clock: Callable[[], float] = trio.current_time) -> None:
        self.down = False
        """Nothing works while it is true, and nobody is served at an address."""
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._objects: dict[str, bytes] = {}
        self._uploads: dict[str, _Upload] = {}

    @property
    def name(self) -> str:
        """See `ObjectStore.name`."""
        return "memory"

    @property
    def keys(self) -> set[str]:
        """Those under which anything is: an object, or a part of an upload that is not joined."""
        return {*self._objects, *(upload.key for upload in self._uploads.values())}

    async def begin(self, key: str, *, part_size: int, mime: str) -> str:
        """See `ObjectStore.begin`."""
        await self._reach()
        upload = secrets.token_hex(8)
        self._uploads[upload] = _Upload(key, {})
        return upload

    async def part_addresses(
        self, key: str, upload: str, parts: Sequence[tuple[int, int]], *, lifetime: float, base: str
    ) -> list[Address]:
        """See `ObjectStore.part_addresses`."""
        await self._reach()
        return [
            self._sign(
                "PUT",
                f"{base}/{key}/{number}",
                {"upload": upload, "size": str(size)},
                lifetime,
            )
            for number, size in parts
        ]

    async def put_part(self, key: str, upload: str, number: int, data: bytes) -> None:
        """See `ObjectStore.put_part`."""
        await self._reach()
        found = self._find(key, upload)
        if found is None:
            raise NoSuchObject(f"there is no such upload of {key}")
        found.parts[number] = data

    async def parts(self, key: str, upload: str) -> list[Part]:
        """See `ObjectStore.parts`."""
        await self._reach()
        found = self._find(key, upload)
        if found is None:
            raise NoSuchObject(f"there is no such upload of {key}")
        return [_part(number, data) for number, data in sorted(found.parts.items())]

    async def join(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        """See `ObjectStore.join`."""
        await self._reach()
        found = self._find(key, upload)
        if found is None:
            if key in self._objects:
                return
            raise NoSuchObject(f"there is no such upload of {key}")
        for part in parts:
            data = found.parts.get(part.number)
            if data is None or _part(part.number, data) != part:
                raise NoSuchObject(f"there is no such part {part.number} of {key}")
        self._objects[key] = b"".join(found.parts[part.number] for part in parts)
        del self._uploads[upload]

    @asynccontextmanager
    async def read(self, key: str, *, start: int = 0) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """See `ObjectStore.read`."""
        await self._reach()
        if key not in self._objects:
            raise NoSuchObject(f"there is no object {key}")
        pieces = self._pieces(key, start)
        try:
            yield pieces
        finally:
            await pieces.aclose()

    async def put(self, key: str, data: bytes, mime: str) -> None:
        """See `ObjectStore.put`."""
        await self._reach()
        self._objects[key] = data

    async def address(self, key: str, shown: Shown, *, lifetime: float, base: str) -> Address:
        """See `ObjectStore.address`."""
        await self._reach()
        return self._sign(
            "GET",
            f"{base}/{key}",
            {"disposition": shown.disposition, "mime": shown.mime},
            lifetime,
        )

    async def end_uploads(self, key: str) -> None:
        """See `ObjectStore.end_uploads`."""
        await self._reach()
        for upload in [name for name, each in self._uploads.items() if each.key == key]:
            del self._uploads[upload]

    async def remove(self, key: str) -> None:
        """See `ObjectStore.remove`."""
        await self.end_uploads(key)
        self._objects.pop(key, None)

    async def close(self) -> None:
        """Nothing to give up."""
        await trio.lowlevel.checkpoint()

    async def request(self, address: Address, data: bytes = b"") -> Reply:
        """Put or fetch, as a client does; a header `Range: bytes=FROM-TO` is known."""
        await trio.lowlevel.checkpoint()
        if self.down:
            return Reply(503)
        target = urlsplit(address.url)
        query = dict(parse_qsl(target.query, keep_blank_values=True))
        signature = query.pop("signature", "").encode()
        signed = self._signature(address.method, target.path, query).encode()
        if not hmac.compare_digest(signature, signed) or float(query["until"]) < self._clock():
            return Reply(403)
        key, _, number = target.path[1:].partition("/")
        if number:
            return self._take(key, int(number), query, data)
        return self._give(key, query, address.headers)

    def _take(self, key: str, number: int, query: Mapping[str, str], data: bytes) -> Reply:
        upload = self._find(key, query["upload"])
        if upload is None:
            return Reply(404)
        if len(data) != int(query["size"]):
            return Reply(400)
        upload.parts[number] = data
        return Reply(200)

    def _give(self, key: str, query: Mapping[str, str], asked: Mapping[str, str]) -> Reply:
        data = self._objects.get(key)
        if data is None:
            return Reply(404)
        headers = {
            "Content-Type": query["mime"],
            "Content-Disposition": query["disposition"],
        }
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.get("Range", ""))
        if wanted is None:
            return Reply(200, headers, data)
        first, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
        if first > last:
            return Reply(416, headers)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        return Reply(206, headers, data[first : last + 1])

    def _sign(self, method: str, url: str, query: dict[str, str], lifetime: float) -> Address:
        query["until"] = str(self._clock() + lifetime)
        query["signature"] = self._signature(method, urlsplit(url).path, query)
        return Address(method, f"{url}?{urlencode(query)}", {})

    def _signature(self, method: str, path: str, query: Mapping[str, str]) -> str:
        text = "\n".join([method, path, urlencode(query)])
        return hmac.new(self._secret, text.encode(), sha256).hexdigest()

    def _find(self, key: str, upload: str) -> _Upload | None:
        found = self._uploads.get(upload)
        return found if found is not None and found.key == key else None

    async def _pieces(self, key: str, start: int) -> AsyncGenerator[bytes, None]:
        data = self._objects[key]
        for at in range(start, len(data), PIECE):
            await self._reach()
            yield data[at : at + PIECE]

    async def _reach(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.down:
            raise Unavailable("the object store is down")


def _part(number: int, data: bytes) -> Part:
    return Part(number, len(data), sha256(data).hexdigest())
