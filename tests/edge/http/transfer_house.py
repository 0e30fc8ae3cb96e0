"""A door with a local store, and a client that puts and fetches by hand."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import trio

from chat4all_storage.local.objects import LocalObjects
from chat4all_storage.ports.objects import Shown
from tests.edge.apps import Client, Recorder
from tests.edge.house import House, house
from tests.storage.ports.local_place import sign

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PART = 600_000
"""Bytes of a part: more than two pieces."""
PDF = Shown("report.pdf", "application/pdf")


class TransferHouse:
    """The store, its door and what clients say to it."""

    def __init__(self, here: House, store: LocalObjects, app: Recorder) -> None:
        self.here = here
        self.store = store
        self.app = app
        self.name = ""

    async def client(self, data: bytes = b"") -> Client:
        return Client(await self.here.connect(data))

    async def begin(self) -> None:
        self.name = await self.store.begin("key", part_size=PART, mime="application/pdf")

    async def target(self, part: int = 1, size: int = PART, lifetime: float = 600) -> str:
        """Where a part is put."""
        (address,) = await self.store.part_addresses(
            "key", self.name, [(part, size)], lifetime=lifetime, base="http://x"
        )
        return target_of(address.url)

    async def download(self, shown: Shown = PDF, lifetime: float = 600) -> str:
        """Where the object is fetched."""
        address = await self.store.address("key", shown, lifetime=lifetime, base="http://x")
        return target_of(address.url)

    async def parts(self) -> list[int]:
        return [part.number for part in await self.store.parts("key", self.name)]

    async def joined(self) -> bytes:
        """The object of what has come."""
        await self.store.join("key", self.name, await self.store.parts("key", self.name))
        return await self.read()

    async def read(self) -> bytes:
        async with self.store.read("key") as pieces:
            return b"".join([piece async for piece in pieces])

    async def idle(self) -> None:
        """Wait until no transfer is under way."""
        assert self.here.transfers is not None
        while self.here.transfers.under_way:
            await trio.lowlevel.checkpoint()


def target_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def head(target: str, *lines: str, method: str = "PUT", size: int | None = PART) -> bytes:
    """A head without its body."""
    fields = ["Host: x", *lines]
    if size is not None:
        fields.append(f"Content-Length: {size}")
    return "\r\n".join([f"{method} {target} HTTP/1.1", *fields, "", ""]).encode()


@asynccontextmanager
async def transfer_house(root: Path, **options: Any) -> AsyncIterator[TransferHouse]:
    store, app = LocalObjects(root / "files", sign), Recorder()
    async with house(objects=store, app=app, **options) as here:
        made = TransferHouse(here, store, app)
        await made.begin()
        yield made
