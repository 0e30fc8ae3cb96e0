"""Files over memory stores, on a test's clock."""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from chat4all_actors.config import Settings
from chat4all_actors.files.checking import Checking
from chat4all_actors.files.files import Files
from chat4all_actors.files.images import Images
from chat4all_actors.files.kinds import Kinds
from chat4all_protocol.ids import new_id
from chat4all_storage.memory.files import MemoryFiles
from chat4all_storage.memory.objects import MemoryObjects
from chat4all_storage.ports.files import NewFile
from chat4all_storage.storage import Storage, memory_storage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_actors.files.clamd import Clamd
    from chat4all_actors.files.service import UploadStatus
    from chat4all_storage.ports.files import File

EPOCH = 1_700_000_000.0
BASE = "http://here"
TEXT = b"a text of some length, as people write them\n" * 100
CHUNK = 5 * 2**20
"""Bytes of a part in these tests."""


def now() -> float:
    """Seconds since the epoch."""
    return EPOCH + trio.current_time()


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class Place:
    """The stores, and a node's share in the files."""

    def __init__(self, storage: Storage | None = None, **settings: Any) -> None:
        self.storage = storage or memory_storage(clock_ms=lambda: int(now() * 1000))
        assert isinstance(self.storage.files, MemoryFiles)
        assert isinstance(self.storage.objects, MemoryObjects)
        self.catalogue: MemoryFiles = self.storage.files
        self.objects: MemoryObjects = self.storage.objects
        self.settings = Settings(**({"file_chunk_size": CHUNK, "image_max_bytes": 0} | settings))
        self.told: list[File] = []
        self.files = Files(
            self.settings, self.storage, holder=new_id(), told=self.told.append, clock=now
        )

    def checking(self, scanner: Clamd | None = None) -> Checking:
        """The check alone."""
        return Checking(
            self.objects, Kinds(self.settings.file_types), Images(self.settings), scanner
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Place]:
        """Checks and sweeps run within the block."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.files.run)
            yield self
            nursery.cancel_scope.cancel()

    async def initiate(self, data: bytes = TEXT, user: str = "ana", **what: Any) -> UploadStatus:
        """Begin an upload of these bytes."""
        told: dict[str, Any] = {
            "name": "a file.txt",
            "size": len(data),
            "mime": "text/plain",
            "conversation": None,
        }
        return await self.files.initiate(
            user, what.pop("id_", None) or new_id(), base=BASE, **(told | what)
        )

    async def put(self, status: UploadStatus, data: bytes = TEXT) -> None:
        """Put every part that is missing, as a client does."""
        for part in status.addresses:
            start = (part.part - 1) * status.file.chunk_size
            piece = data[start : start + status.file.chunk_size]
            assert (await self.objects.request(part.address, piece)).status == 200

    async def uploaded(self, data: bytes = TEXT, user: str = "ana", **what: Any) -> File:
        """An upload whose parts are there."""
        status = await self.initiate(data, user, **what)
        await self.put(status, data)
        return status.file

    async def ready(self, data: bytes = TEXT, user: str = "ana", **what: Any) -> File:
        """A file that was uploaded and checked."""
        file = await self.uploaded(data, user, **what)
        return await self.files.complete(user, file.id, sha256(data))

    async def stands(self, id_: str) -> File:
        """How the directory has it."""
        file = await self.catalogue.find(id_)
        assert file is not None
        return file


def new_file(data: bytes = TEXT, **what: Any) -> NewFile:
    """A file as the directory is told of it."""
    told: dict[str, Any] = {
        "id": new_id(),
        "owner": "ana",
        "name": "a file.txt",
        "size": len(data),
        "mime": "text/plain",
        "conversation": None,
        "key": f"key-{new_id()}",
        "chunk_size": CHUNK,
    }
    return NewFile(**(told | what))
