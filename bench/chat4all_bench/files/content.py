"""The bytes of a file: they follow from a seed, and any part of them is there without the rest."""

from __future__ import annotations

import functools
import hashlib
import random
from typing import Final

PIECE: Final = 2**20
_STAMP: Final = 32
"""Bytes at the beginning of each piece in which it differs from all others."""
_MARK: Final = b"bench\0"
"""It is neither text nor the beginning of a type that is known."""


class Content:
    """A file that was never anywhere: nothing is held but a block that all files share."""

    def __init__(self, seed: int, size: int) -> None:
        """`size` is in bytes, at least 1."""
        self.size = size
        self._seed = seed
        self._rest = memoryview(_block())[_STAMP:]

    def pieces(self, start: int, size: int) -> list[memoryview]:
        """So many bytes from there on, in views: nothing is copied."""
        found: list[memoryview] = []
        at, end = start, min(start + size, self.size)
        while at < end:
            number, within = divmod(at, PIECE)
            left = end - at
            for view in (memoryview(self._stamp(number)), self._rest):
                part = view[within : within + left]
                if part:
                    found.append(part)
                within, left = max(0, within - len(view)), left - len(part)
            at = min(end, (number + 1) * PIECE)
        return found

    def digest(self) -> bytes:
        """SHA-256 of all of it."""
        whole = hashlib.sha256()
        for at in range(0, self.size, PIECE):
            for piece in self.pieces(at, PIECE):
                whole.update(piece)
        return whole.digest()

    def _stamp(self, number: int) -> bytes:
        told = _MARK + self._seed.to_bytes(8, "big") + number.to_bytes(8, "big")
        return told.ljust(_STAMP, b"\xff")


@functools.cache
def _block() -> bytes:
    return random.Random(0).randbytes(PIECE)
