"""A file on the disk that is uploaded: read by parts, hashed as a whole, held to be the same."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from .errors import FileChanged

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from io import FileIO

PIECE: Final = 256 * 1024
"""Bytes read and sent at once."""
HASHED: Final = 8 * 1024 * 1024
"""Bytes hashed between two looks whether to go on."""


class Version(NamedTuple):
    """What shows that a file has been changed."""

    size: int
    mtime_ns: int


class LocalFile:
    """A file in one version."""

    def __init__(self, path: Path, version: Version) -> None:
        """For `look_at`."""
        self.path = path
        self.version = version

    @property
    def size(self) -> int:
        """Bytes."""
        return self.version.size

    async def pieces(self, start: int, size: int) -> AsyncGenerator[bytes, None]:
        """So many bytes from `start` on.

        Raises:
            FileChanged: it has fewer by now.
            OSError: it can't be read.
        """
        with await trio.to_thread.run_sync(_opened, self.path) as file:
            file.seek(start)
            while size:
                data = await trio.to_thread.run_sync(file.read, min(PIECE, size))
                if not data:
                    raise self.changed()
                size -= len(data)
                yield data

    async def checksum(self) -> str:
        """`sha256:` and the hash of all bytes.

        Raises:
            OSError: it can't be read.
        """
        digest = hashlib.sha256()
        buffer = memoryview(bytearray(PIECE))
        with await trio.to_thread.run_sync(_opened, self.path) as file:

            def step() -> bool:
                for _ in range(HASHED // PIECE):
                    count = file.readinto(buffer)
                    if not count:
                        return False
                    digest.update(buffer[:count])
                return True

            while await trio.to_thread.run_sync(step):
                pass
        return f"sha256:{digest.hexdigest()}"

    async def hold(self) -> None:
        """See that it is still what it was.

        Raises:
            FileChanged: it is not.
            OSError: it is gone.
        """
        if (await look_at(self.path)).version != self.version:
            raise self.changed()

    def changed(self) -> FileChanged:
        """It is another version by now."""
        return FileChanged(f"{self.path.name} was changed while it was uploaded")


async def look_at(path: str | os.PathLike[str]) -> LocalFile:
    """The file as it is now.

    Raises:
        ValueError: it is empty, or no file.
        OSError: it is not there.
    """
    path = Path(path)
    found = await trio.to_thread.run_sync(os.stat, path)
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{path.name} is no file")
    if not found.st_size:
        raise ValueError(f"{path.name} is empty: there is nothing to upload")
    return LocalFile(path, Version(found.st_size, found.st_mtime_ns))


def _opened(path: Path) -> FileIO:
    return open(path, "rb", buffering=0)
