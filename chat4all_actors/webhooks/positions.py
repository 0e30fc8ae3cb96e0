"""How far somebody has come in the journals of all databases, and in which moment that was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from chat4all_storage.ports.errors import StorageError

from .tail import BEYOND_ALL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .tail import Tail

MARGIN: Final = 60_000
"""Milliseconds: rows are trimmed, and become visible, not quite in the order of their times."""


class Position(Struct, frozen=True, array_like=True):
    """In one journal."""

    row: int
    """The last one that was told whole."""
    at: int
    """All that was committed before this time was told: milliseconds of the database's clock."""
    entry: int = -1
    """Of the next row, the last entry that was begun; -1: none."""
    seq: int = -1
    """Of that entry, the last number that was told."""

    def lost(self, now: int, kept: float) -> bool:
        """Whether rows may have been trimmed that were not told; `kept` is in seconds."""
        return self.at < now - kept * 1000 + MARGIN


Positions = dict[str, Position]
"""By the names of databases."""

_DECODER: Final = msgspec.json.Decoder(Positions)


def encode(positions: Mapping[str, Position]) -> bytes:
    """As they are stored."""
    return msgspec.json.encode(positions)


def decode(data: bytes) -> Positions:
    """What was stored; empty if nothing was, or it can't be read any more."""
    try:
        return _DECODER.decode(data) if data else {}
    except msgspec.DecodeError:
        return {}


async def here(tails: Sequence[Tail]) -> tuple[Positions, int | None]:
    """The ends of all journals that can be read now, and the time there: the earliest of them."""
    found: Positions = {}
    for tail in tails:
        try:
            now = (await tail.store.changes(BEYOND_ALL, limit=1)).at
            found[tail.store.name] = Position(await tail.store.journal_end(), now)
        except StorageError:
            continue  # what is not known now is looked for in the logs later
    return found, min((each.at for each in found.values()), default=None)
