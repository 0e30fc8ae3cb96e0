"""Where the application stands: kept by the application, or in a file over restarts.

A cursor moves past an event when the application asks for the next one (or calls
`Client.settle()`): an application that ends while it handles an event gets it again after a
restart (at least once). Within one client nothing comes twice.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Protocol

import msgspec
import trio
from msgspec import Struct


class Cursors(Struct, frozen=True):
    """Positions of all conversations, those with the latest activity last."""

    positions: dict[str, int]
    """By conversation, the `seq` up to which the application has handled the events."""
    complete: bool = False
    """Every conversation of the user has a position: one without is new."""


class CursorStore(Protocol):
    """Keeps cursors. Calls never overlap."""

    async def load(self) -> Cursors | None:
        """What was saved last; None if nothing ever was."""
        ...

    async def save(self, cursors: Cursors) -> None:
        """Keep `cursors` in place of what was kept before."""
        ...


class MemoryCursors:
    """Cursors that live as long as this object: hand it to one client after another."""

    def __init__(self) -> None:
        self._kept: Cursors | None = None

    async def load(self) -> Cursors | None:
        """See `CursorStore`."""
        return self._kept

    async def save(self, cursors: Cursors) -> None:
        """See `CursorStore`."""
        self._kept = cursors


class CursorFile:
    """Cursors in a JSON file of one user and device, replaced as a whole at each change.

    With `fsync` a change survives a loss of power as well, for a disk write each.
    """

    def __init__(self, path: str | os.PathLike[str], *, fsync: bool = False) -> None:
        self._path = Path(path)
        self._fsync = fsync

    async def load(self) -> Cursors | None:
        """See `CursorStore`.

        Raises:
            OSError: the file can't be read.
            ValueError: it holds something else.
        """
        return await trio.to_thread.run_sync(self._read)

    async def save(self, cursors: Cursors) -> None:
        """See `CursorStore`.

        Raises:
            OSError: the file can't be written.
        """
        await trio.to_thread.run_sync(self._write, msgspec.json.encode(cursors))

    def _read(self) -> Cursors | None:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return msgspec.json.decode(data, type=Cursors)
        except msgspec.DecodeError as error:
            raise ValueError(f"{self._path} is no cursor file: {error}") from error

    def _write(self, data: bytes) -> None:
        handle, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            with open(handle, "wb") as file:
                file.write(data)
                if self._fsync:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(temporary, self._path)
        except BaseException:
            os.unlink(temporary)
            raise
        if self._fsync:
            directory = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
