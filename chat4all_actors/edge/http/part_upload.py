"""Takes the body of a request to its place on the disk, in pieces that are all it holds of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import trio
from msgspec import Struct

from .errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from chat4all_storage.local.addresses import Upload
    from chat4all_storage.local.directory import PartFile

    from ..transport import InThread, Transport

    JudgeHead: TypeAlias = Callable[[bytes, str], str | None]

PIECE: Final = 256 * 1024
"""Bytes that are written at once; the kernel holds what comes meanwhile."""
JUDGED: Final = 8192
"""Bytes by which a file is judged."""


class Gone(Exception):
    """The client has left before it said everything."""


class Pace(Struct, frozen=True):
    """How slowly a body may come: seconds at first, and then bytes a second."""

    grace: float
    rate: int


class PartBody:
    """One body on its way."""

    def __init__(self, transport: Transport, received: bytes, size: int, pace: Pace) -> None:
        """`received` has come of it, or of what follows it."""
        self._transport = transport
        self._early = memoryview(received)
        self._size = size
        self._pace = pace
        self._read = 0
        self._spent = 0.0
        """Seconds waited for the client; those that the disk takes do not count."""

    @property
    def behind(self) -> bytes:
        """What has come of the next request, once all of this one has."""
        return bytes(self._early)

    async def fill(self, buffer: memoryview) -> int:
        """Fill the buffer, as far as the body goes.

        It ends in no time when everything has come, as the buffer is small: no checkpoint.

        Raises:
            Refused: it comes too slowly.
            Gone: its end has not come.
        """
        wanted = min(len(buffer), self._size - self._read)
        filled = min(wanted, len(self._early))
        buffer[:filled] = self._early[:filled]
        self._early = self._early[filled:]
        self._read += filled
        while filled < wanted:
            began = trio.current_time()
            allowed = self._pace.grace + self._read / self._pace.rate - self._spent
            count = 0
            with trio.CancelScope(deadline=began + allowed) as patience:
                count = await self._transport.receive_into(buffer[filled:wanted])
            if patience.cancelled_caught:
                raise Refused(408, "the body came too slowly")
            if not count:
                raise Gone
            self._spent += trio.current_time() - began
            filled += count
            self._read += count
        return filled


async def take_part(
    body: PartBody, part: PartFile, right: Upload, in_thread: InThread, judge: JudgeHead | None
) -> str:
    """Write the body to the place of its part; the part's tag, once it stands.

    Raises:
        Refused: it comes too slowly, or begins a file of a type that may not be.
        Gone: its end has not come.
    """
    buffer = memoryview(bytearray(min(PIECE, right.size)))
    at = 0
    while at < right.size:
        filled = await body.fill(buffer)
        if not at and right.part == 1 and judge is not None:
            _judge(judge, bytes(buffer[: min(filled, JUDGED)]), part.mime)
        await in_thread(part.write, buffer[:filled], at)
        at += filled
    return await in_thread(part.finish)


def _judge(judge: JudgeHead, first: bytes, mime: str) -> None:
    if judge(first, mime) is None:
        message = "the file is not of the type that was told, or of one that is not allowed"
        raise Refused(415, message, field="mime_type")
