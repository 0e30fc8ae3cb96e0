"""A download on the disk before it is whole: `PATH.part`, and a note of what it holds.

A crash leaves both, and the same download goes on with them. The note is written after the bytes;
should a power cut have reversed that, the checksum shows it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    import hashlib
    from pathlib import Path

READ: Final = 256 * 1024
"""Bytes read at once."""


class Note(Struct):
    """Which pieces of which file are there."""

    file_id: str
    size: int
    checksum: str
    step: int
    """Bytes of a piece."""
    etag: str | None = None
    """What the store calls this version of the bytes."""
    whole: list[int] = []
    """Pieces that are there, from 0."""

    def is_of(self, other: Note) -> bool:
        """Whether both are about the same bytes."""
        return (self.file_id, self.size, self.checksum) == (
            other.file_id,
            other.size,
            other.checksum,
        )

    def missing(self) -> list[int]:
        """Pieces that are not."""
        return sorted(set(range(-(-self.size // self.step))) - set(self.whole))

    def place(self, piece: int) -> tuple[int, int]:
        """Its first byte, and the one after its last."""
        return piece * self.step, min((piece + 1) * self.step, self.size)


class PartFile:
    """The two files beside `path`. Calls block."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(f"{path.name}.part")
        self._note = path.with_name(f"{path.name}.part.json")

    def note(self) -> Note | None:
        """What an earlier download noted, if there is one."""
        try:
            note = msgspec.json.decode(self._note.read_bytes(), type=Note)
            return note if self.part.stat().st_size == note.size else None
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def path_is_free(self) -> bool:
        """Whether nothing has this name."""
        return not os.path.lexists(self.path)

    def is_free(self) -> bool:
        """Whether nothing has this name, and no download is going to."""
        return not any(os.path.lexists(path) for path in (self.path, self.part, self._note))

    def begin(self, note: Note) -> None:
        """Make room for a file, in place of what there is of another one."""
        self.discard()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        handle = os.open(self.part, flags, 0o666)
        try:
            os.truncate(handle, note.size)
        finally:
            os.close(handle)
        self.keep(note)

    def write(self, at: int, data: bytes | bytearray) -> None:
        """Write bytes to their place."""
        with open(self.part, "r+b", buffering=0) as file:
            file.seek(at)
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]

    def hash(self, digest: hashlib._Hash, start: int, end: int) -> None:
        """Add these bytes to a hash."""
        buffer = memoryview(bytearray(min(READ, end - start)))
        with open(self.part, "rb", buffering=0) as file:
            file.seek(start)
            while start < end:
                count = file.readinto(buffer[: end - start])
                if not count:
                    raise EOFError(f"{self.part} was cut")
                digest.update(buffer[:count])
                start += count

    def keep(self, note: Note) -> None:
        """Note what is there."""
        fresh = self._note.with_name(f"{self._note.name}.new")
        fresh.write_bytes(msgspec.json.encode(note))
        os.replace(fresh, self._note)

    def publish(self) -> None:
        """Give the file its name.

        Raises:
            FileExistsError: something else got it meanwhile.
        """
        try:
            os.link(self.part, self.path)
        except FileExistsError:
            raise
        except OSError:  # not every file system has links
            if os.path.lexists(self.path):
                raise FileExistsError(f"{self.path} is there already") from None
            os.rename(self.part, self.path)
        self.discard()

    def discard(self) -> None:
        """Leave nothing but the whole file, if there is one."""
        for path in (self._note, self.part):
            with suppress(FileNotFoundError):
                path.unlink()
