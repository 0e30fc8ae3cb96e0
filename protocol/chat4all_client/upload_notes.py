"""Which uploads were begun and not finished, in a file, so that they go on after a restart."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import trio
from msgspec import Struct

if TYPE_CHECKING:
    from .local_file import LocalFile

KEPT: Final = 7 * 24 * 3600.0
"""Seconds: no server keeps an upload for longer."""


class _Begun(Struct, frozen=True):
    file_id: str
    size: int
    mtime_ns: int
    at: float
    """Seconds since the epoch."""


class UploadNotes:
    """Uploads of one user at one server, by the path of the file.

    Two processes that note something at the same moment may lose one of the notes, and that
    upload begins anew then.
    """

    def __init__(self, path: str | os.PathLike[str], owner: str) -> None:
        """In the JSON file `path`; `owner` says which user at which server."""
        self._path = Path(path)
        self._owner = owner

    async def find(self, file: LocalFile) -> str | None:
        """The id of the upload of this version of the file, if one was begun."""
        begun = (await trio.to_thread.run_sync(self._read)).get(self._key(file))
        if begun is None or (begun.size, begun.mtime_ns) != file.version:
            return None
        return begun.file_id

    async def keep(self, file: LocalFile, file_id: str) -> None:
        """Note that it is being uploaded."""
        begun = _Begun(file_id, *file.version, time.time())
        await trio.to_thread.run_sync(self._change, self._key(file), begun)

    async def forget(self, file: LocalFile) -> None:
        """It is uploaded, or can't be."""
        await trio.to_thread.run_sync(self._change, self._key(file), None)

    def _key(self, file: LocalFile) -> str:
        return f"{self._owner} {os.path.realpath(file.path)}"

    def _read(self) -> dict[str, _Begun]:
        try:
            noted = msgspec.json.decode(self._path.read_bytes(), type=dict[str, _Begun])
        except (FileNotFoundError, msgspec.DecodeError):
            return {}
        return {key: begun for key, begun in noted.items() if time.time() - begun.at < KEPT}

    def _change(self, key: str, begun: _Begun | None) -> None:
        noted = self._read()
        noted.pop(key, None)
        if begun is not None:
            noted[key] = begun
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(handle, "wb") as out:
            out.write(msgspec.json.encode(noted))
        os.replace(fresh, self._path)
