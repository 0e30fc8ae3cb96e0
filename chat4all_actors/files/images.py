"""Dimensions and thumbnails of images, by a process for each (`image_process.py`).

An image that can't be read, or takes more memory, time or pixels than it may, has neither: the file
stays what it is.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import trio
from msgspec import Struct

from chat4all_storage.ports.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from ..config import Settings

logger = logging.getLogger(__name__)

READABLE: Final = frozenset(
    f"image/{name}" for name in ("jpeg", "png", "gif", "webp", "bmp", "tiff", "avif", "apng")
)
_PROGRAM: Final = Path(__file__).with_name("image_process.py")
_MAX_THUMBNAIL: Final = 2 * 1024 * 1024
"""Bytes of an answer: more than any thumbnail has."""


class Picture(Struct, frozen=True):
    """What is known of an image."""

    width: int
    height: int
    thumbnail: bytes
    """A JPEG."""


class _Told(Struct):
    width: int
    height: int
    thumbnail: int


class Images:
    """Looks at images, a few at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turns = trio.CapacityLimiter(settings.max_image_processes)

    def readable(self, mime: str, size: int) -> bool:
        """Whether files of this type and of so many bytes are looked at."""
        return mime in READABLE and size <= self._settings.image_max_bytes

    async def look(self, pieces: AsyncIterable[bytes]) -> Picture | None:
        """What is known of an image with these bytes; None: it can't be read.

        Raises:
            StorageError: its bytes can't be read.
        """
        settings = self._settings
        limits = (
            settings.thumbnail_size,
            settings.image_max_pixels,
            settings.image_memory,
            int(settings.image_timeout) + 1,
        )
        async with self._turns:
            with trio.move_on_after(settings.image_timeout):
                return await _run([sys.executable, "-I", str(_PROGRAM), *map(str, limits)], pieces)
        logger.info("an image was given up: it took too long")
        return None


async def _run(command: list[str], pieces: AsyncIterable[bytes]) -> Picture | None:
    process = await trio.lowlevel.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    answer = bytearray()
    words = bytearray()
    lost: StorageError | None = None
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_collect, process.stdout, answer, _MAX_THUMBNAIL)
            nursery.start_soon(_collect, process.stderr, words, 4096)
            try:
                await _feed(process.stdin, pieces)
            except StorageError as error:
                lost = error
                process.kill()
        if lost is not None:
            raise lost
        status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            with trio.CancelScope(shield=True):  # it is dead already
                await process.wait()
    if status != 0:
        said = words.decode("ascii", "replace").strip()[-100:]
        logger.info("an image can't be read: status %d %s", status, said)
        return None
    line, _, thumbnail = bytes(answer).partition(b"\n")
    told = msgspec.json.decode(line, type=_Told)
    if len(thumbnail) != told.thumbnail:
        logger.info("an image can't be read: its thumbnail is too large")
        return None
    return Picture(told.width, told.height, thumbnail)


async def _feed(stdin: trio.abc.SendStream, pieces: AsyncIterable[bytes]) -> None:
    async with stdin:
        try:
            async for piece in pieces:
                await stdin.send_all(piece)
        except trio.BrokenResourceError:
            return  # it has seen enough, or is dead: its status tells


async def _collect(stream: trio.abc.ReceiveStream, into: bytearray, most: int) -> None:
    async with stream:
        async for piece in stream:
            if len(into) < most:
                into += piece
