"""An object store in a directory of this machine, whose nodes serve it over HTTP themselves.

What a client does at an address is served by `chat4all_actors/edge/http/transfers.py`: it asks
`addresses` what is allowed, and puts and reads the bytes by `open_part` and `open`.
"""

from __future__ import annotations

import os
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from ..background import Background
from .addresses import Addresses
from .directory import About, ObjectDirectory, ObjectFile, PartFile

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
    from pathlib import Path

    from ..ports.objects import Address, Part, Shown

T = TypeVar("T")

PIECE: Final = 1024 * 1024
"""Bytes read or written at once for the server itself."""
DISK_THREADS: Final = 2
"""Calls under way at once that wait for the disk: more of them make those who commit wait."""


def movers() -> int:
    """Threads that move bytes: one for every two processors, the others are for those who talk."""
    return max(1, (os.cpu_count() or 1) // 2)


class LocalObjects:
    """An `ObjectStore`."""

    def __init__(
        self,
        root: Path,
        sign: Callable[[bytes], bytes],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`sign` and `clock` are those of the `Addresses`; `root` is made when it is needed."""
        self.addresses = Addresses(sign, clock)
        self._directory = ObjectDirectory(root)
        self._disk = Background(DISK_THREADS, "disk")
        self._movers = Background(movers(), "movers")

    @property
    def name(self) -> str:
        """Of what kind and where, for people."""
        return f"directory {self._directory.root}"

    async def begin(self, key: str, *, part_size: int, mime: str) -> str:
        """See the port."""
        return await self.run(self._directory.begin, key, About(part_size, mime))

    async def part_addresses(
        self, key: str, upload: str, parts: Sequence[tuple[int, int]], *, lifetime: float, base: str
    ) -> list[Address]:
        """See the port."""
        return [
            self.addresses.upload(key, upload, number, size, lifetime=lifetime, base=base)
            for number, size in parts
        ]

    async def put_part(self, key: str, upload: str, number: int, data: bytes) -> None:
        """See the port."""
        async with self.open_part(key, upload, number, len(data)) as part:
            # In pieces, as a thread can't be broken off, and others wait for it.
            for at in range(0, len(data), PIECE):
                await self.move(part.write, memoryview(data)[at : at + PIECE], at)
            await self.run(part.finish)

    async def parts(self, key: str, upload: str) -> list[Part]:
        """See the port."""
        return await self.run(self._directory.parts, key, upload)

    async def join(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        """See the port."""
        await self.run(self._directory.join, key, upload, parts)

    @asynccontextmanager
    async def read(self, key: str, *, start: int = 0) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """See the port."""
        async with self.open(key) as file:
            pieces = self._pieces(file, start)
            try:
                yield pieces
            finally:
                await pieces.aclose()

    async def _pieces(self, file: ObjectFile, at: int) -> AsyncGenerator[bytes, None]:
        while at < file.size:
            piece = await self.move(os.pread, file.fd, PIECE, at)
            if not piece:
                return
            yield piece
            at += len(piece)

    async def put(self, key: str, data: bytes, mime: str) -> None:
        """See the port; what is handed out as which type is in the address."""
        await self.run(self._directory.put, key, data)

    async def address(self, key: str, shown: Shown, *, lifetime: float, base: str) -> Address:
        """See the port."""
        return self.addresses.download(key, shown, lifetime=lifetime, base=base)

    async def end_uploads(self, key: str) -> None:
        """See the port."""
        await self.run(self._directory.end_uploads, key)

    async def remove(self, key: str) -> None:
        """See the port."""
        await self.run(self._directory.remove, key)

    async def close(self) -> None:
        """Nothing is kept open."""

    # --- for those who serve it

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Run what waits for the disk, in a thread that gives way; see `Background.run`."""
        return await self._disk.run(function, *arguments)

    async def move(self, function: Callable[..., T], *arguments: object) -> T:
        """Run what copies bytes, in a thread that gives way; see `Background.run`."""
        return await self._movers.run(function, *arguments)

    @asynccontextmanager
    async def open(self, key: str) -> AsyncIterator[ObjectFile]:
        """An object's file.

        Raises:
            NoSuchObject: there is no such object.
        """
        file = await self.run(self._directory.open, key)
        try:
            yield file
        finally:
            os.close(file.fd)

    @asynccontextmanager
    async def open_part(
        self, key: str, upload: str, number: int, size: int
    ) -> AsyncIterator[PartFile]:
        """The place of a part, to be written by `move`.

        Raises:
            NoSuchObject: there is no such upload (any more).
            Rejected: it takes no part of this size.
        """
        part = await self.run(self._directory.open_part, key, upload, number, size)
        try:
            yield part
        finally:
            with trio.CancelScope(shield=True):
                await self.run(part.close)  # on a network's disk it may wait
