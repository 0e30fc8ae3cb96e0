"""Files to send, from memory."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator


class MemoryUpload:
    """An `Upload` of these bytes."""

    def __init__(
        self,
        content: bytes,
        *,
        name: str = "file.bin",
        mime: str = "application/octet-stream",
        size: int | None = None,
        piece: int = 64 * 1024,
        fails: Exception | None = None,
    ) -> None:
        """`size` may be told wrong; `piece` is in bytes; `fails` is raised after the last one."""
        self.name = name
        self.mime = mime
        self.size = len(content) if size is None else size
        self.opened = 0
        """How often it was."""
        self._content = content
        self._piece = piece
        self._fails = fails

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """Its bytes, from the beginning."""
        self.opened += 1
        pieces = self._pieces()
        try:
            yield pieces
        finally:
            await pieces.aclose()

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        for start in range(0, len(self._content), self._piece):
            yield self._content[start : start + self._piece]
        if self._fails is not None:
            raise self._fails
