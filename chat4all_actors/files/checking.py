"""What a complete upload is found to be: its bytes are read once, and nothing is kept of them.

The parts become an object; its bytes go through SHA-256, their beginning tells the type, and the
scanner, if there is one, sees all of them. Only then an image is looked at.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, Protocol

import trio
from msgspec import Struct

from chat4all_storage.background import Background
from chat4all_storage.ports.errors import StorageError
from chat4all_storage.ports.files import Verdict
from chat4all_storage.ports.objects import NoSuchObject

from ..config import KIB
from .clamd import ScannerAway
from .kinds import HEAD

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chat4all_storage.ports.files import CheckFailure, File
    from chat4all_storage.ports.objects import ObjectStore

    from .clamd import Clamd, Finding, Scan
    from .images import Images, Picture
    from .kinds import Kinds

logger = logging.getLogger(__name__)

KEY_BYTES: Final = 24
"""Random bytes of a key: nobody guesses one."""
WORTH_A_THREAD: Final = 64 * KIB
"""Bytes whose hash takes longer, 0.1 ms, than going to a thread and back."""
THUMBNAIL_TYPE: Final = "image/jpeg"


def new_key() -> str:
    """A key for an object: random, and URL-safe."""
    return secrets.token_urlsafe(KEY_BYTES)


class Digest(Protocol):
    """What a hash is made with, as those of `hashlib`."""

    def update(self, data: bytes, /) -> None:
        """Go on with these bytes."""


class _Read(Struct):
    """What one reading of all bytes has shown."""

    size: int = 0
    head: bytes = b""
    sha256: bytes = b""
    finding: Finding | None = None
    """None: nothing scans, or nobody could."""


class Checking:
    """Finds out what files are."""

    def __init__(
        self, objects: ObjectStore, kinds: Kinds, images: Images, scanner: Clamd | None
    ) -> None:
        self._objects = objects
        self._kinds = kinds
        self._images = images
        self._scanner = scanner
        self._background = Background(1, "hashing")

    async def check(self, file: File, note_thumbnail: Callable[[str], Awaitable[bool]]) -> Verdict:
        """Judge a file whose parts are all there, or whose object is.

        `note_thumbnail(key)` is told where a thumbnail is going to be, before it is put there.

        Raises:
            StorageError: the store can't be used for now; the same again is safe.
        """
        try:
            await self._join(file)
            read = await self._read(file.key)
            await self._objects.end_uploads(file.key)  # one that a crash has left, too
        except NoSuchObject:
            return Verdict("rejected", "size")  # its bytes are not there any more
        mime = self._kinds.judge(read.head, file.mime)
        if (failure := self._failure(file, read, mime)) is not None:
            return Verdict("rejected", failure)
        assert mime is not None
        picture = await self._look(file.key, mime, file.size)
        width = height = thumbnail = None
        if picture is not None:
            width, height = picture.width, picture.height
            thumbnail = file.thumbnail or new_key()  # where a former check has put it
            if await note_thumbnail(thumbnail):
                if file.thumbnail is not None:
                    await self._objects.end_uploads(thumbnail)  # it may have died at it
                await self._objects.put(thumbnail, picture.thumbnail, THUMBNAIL_TYPE)
        scanned = self._scanner is None or read.finding == "clean"
        reason: CheckFailure | None = None
        if not scanned:
            reason = "too_large_to_scan" if read.finding == "too_large" else "unscanned"
        return Verdict(
            "ready" if scanned else "quarantined",
            reason,
            mime=mime,
            width=width,
            height=height,
            thumbnail=thumbnail,
        )

    @staticmethod
    def _failure(file: File, read: _Read, mime: str | None) -> CheckFailure | None:
        if read.size != file.size:
            return "size"
        if read.sha256 != file.sha256:
            return "checksum"
        if mime is None:
            return "type"
        return "infected" if read.finding == "infected" else None

    async def _join(self, file: File) -> None:
        if file.upload is None:
            raise NoSuchObject("the upload never began")
        try:
            parts = await self._objects.parts(file.key, file.upload)
        except NoSuchObject:
            return  # joined before: reading tells
        await self._objects.join(file.key, file.upload, parts)

    async def _read(self, key: str) -> _Read:
        found = _Read()
        digest = hashlib.sha256()
        lost: StorageError | None = None
        # While a piece is hashed the next one is read: both take about as long.
        ahead, hashed = trio.open_memory_channel[bytes](1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_hash_all, hashed, digest, self._background)
            async with ahead:
                try:
                    await self._pass_on(key, found, ahead)
                except StorageError as error:
                    lost = error
        if lost is not None:
            raise lost
        found.sha256 = digest.digest()
        return found

    async def _pass_on(self, key: str, found: _Read, ahead: trio.MemorySendChannel[bytes]) -> None:
        """Read all bytes: to be hashed, and to be scanned."""
        async with AsyncExitStack() as stack:
            scan = await self._begin_scan(stack)
            pieces = await stack.enter_async_context(self._objects.read(key))
            async for piece in pieces:
                if len(found.head) < HEAD:
                    found.head = (found.head + piece)[:HEAD]
                found.size += len(piece)
                await ahead.send(piece)
                if scan is not None:
                    scan = await _scan_piece(scan, piece)
            if scan is not None:
                try:
                    found.finding = await scan.finding()
                except ScannerAway as error:
                    logger.warning("a file is not scanned: %s", error)

    async def _begin_scan(self, stack: AsyncExitStack) -> Scan | None:
        if self._scanner is None:
            return None
        try:
            return await stack.enter_async_context(self._scanner.scan())
        except ScannerAway as error:
            logger.warning("a file is not scanned: %s", error)
            return None

    async def _look(self, key: str, mime: str, size: int) -> Picture | None:
        if not self._images.readable(mime, size):
            return None
        async with self._objects.read(key) as pieces:
            return await self._images.look(pieces)


async def _hash_all(
    pieces: trio.MemoryReceiveChannel[bytes], digest: Digest, background: Background
) -> None:
    async with pieces:
        async for piece in pieces:
            if len(piece) < WORTH_A_THREAD:
                digest.update(piece)
            else:
                await background.run(digest.update, piece)


async def _scan_piece(scan: Scan, piece: bytes) -> Scan | None:
    try:
        await scan.write(piece)
    except ScannerAway as error:
        logger.warning("a file is not scanned: %s", error)
        return None
    return scan
