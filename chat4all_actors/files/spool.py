"""Where a file that comes in is gathered: on the disk, under no name, until its size is known.

Nothing is left of it when it is closed, nor after a crash. Memory is bounded by a piece while it is
written, and by what is read while it is read.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

import trio

from chat4all_storage.background import Background
from chat4all_storage.ports.errors import Unavailable

from ..config import MIB
from .errors import NotTaken
from .kinds import HEAD

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterator
    from pathlib import Path
    from typing import BinaryIO

PIECE: Final = 1 * MIB
"""Bytes that are written at once: going to a thread and back costs less than that."""
THREADS: Final = 1


class Spooled:
    """A file that is being gathered."""

    def __init__(self, file: BinaryIO, threads: Background) -> None:
        self.size = 0
        """Bytes that have come."""
        self.head = b""
        """What it begins with."""
        self._file = file
        self._threads = threads
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> bytes:
        """The hash of what has come."""
        return self._digest.digest()

    async def fill(self, pieces: AsyncIterable[bytes], most: int) -> None:
        """Gather all pieces.

        Raises:
            NotTaken: they are more than `most` bytes.
            Unavailable: the disk does not take them.
        """
        waiting = bytearray()
        async for piece in pieces:
            self.size += len(piece)
            if self.size > most:
                raise NotTaken("too_large")
            waiting += piece
            if len(waiting) >= PIECE:
                await self._threads.run(self._write, bytes(waiting))
                waiting.clear()
        await self._threads.run(self._write, bytes(waiting))

    def _write(self, data: bytes) -> None:
        if len(self.head) < HEAD:
            self.head = (self.head + data)[:HEAD]
        self._digest.update(data)
        left = memoryview(data)
        with _told():
            while left:
                left = left[self._file.write(left) :]

    async def read(self, at: int, size: int) -> bytes:
        """So many bytes from there on; fewer at the end.

        Raises:
            Unavailable: the disk does not give them.
        """
        return await self._threads.run(self._read, at, size)

    def _read(self, at: int, size: int) -> bytes:
        with _told():
            self._file.seek(at)
            return self._file.read(size)


class Spool:
    """A directory in which files are gathered."""

    def __init__(self, directory: Path) -> None:
        """It is made when it is needed."""
        self._directory = directory
        self._threads = Background(THREADS, "spool")

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Spooled]:
        """A place for a file.

        Raises:
            Unavailable: there is none on this disk.
        """
        file = await self._threads.run(self._open)
        try:
            yield Spooled(file, self._threads)
        finally:
            with trio.CancelScope(
                shield=True
            ):  # giving back the room of a large file takes a while
                await self._threads.run(file.close)

    def _open(self) -> BinaryIO:
        with _told():
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            # Not buffered, as what is written comes in large pieces.
            return tempfile.TemporaryFile(dir=self._directory, buffering=0)


@contextmanager
def _told() -> Iterator[None]:
    """What the system says, in the words of stores: it passes, and is told to operators."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"files can't be gathered on the disk: {error.strerror}") from error
