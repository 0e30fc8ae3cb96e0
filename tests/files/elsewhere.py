"""Files that are somewhere else, and come in."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from chat4all_actors.files.intake import Incoming
from chat4all_protocol.ids import new_id

from .files_harness import TEXT, Place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_storage.ports.files import File

ANA = "whatsapp:+5511999998888"
PIECE = 64 * 1024


class Elsewhere:
    """Where a file can be fetched, as often as wanted."""

    def __init__(self, data: bytes = TEXT, *, breaks_off: Exception | None = None) -> None:
        self.data = data
        self.breaks_off = breaks_off
        self.opened = 0

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[AsyncIterator[bytes]]:
        self.opened += 1
        pieces = self._pieces()
        try:
            yield pieces
        finally:
            await pieces.aclose()

    async def _pieces(self) -> Any:
        for at in range(0, len(self.data), PIECE):
            await trio.lowlevel.checkpoint()
            yield self.data[at : at + PIECE]
        if self.breaks_off is not None:
            raise self.breaks_off


def incoming(id_: str | None = None, **what: Any) -> Incoming:
    told: dict[str, Any] = {
        "id": id_ or new_id(),
        "owner": ANA,
        "name": "a text.txt",
        "mime": "text/plain",
        "conversation": new_id(),
        "max_size": 100 * 2**20,
    }
    return Incoming(**(told | what))


async def content(place: Place, file: File) -> bytes:
    async with place.objects.read(file.key) as pieces:
        return b"".join([piece async for piece in pieces])
