"""Takes the body of a request to its place on the disk, in pieces that are all it holds of it.

A thread moves the bytes from the socket to the disk, as long as they come without a wait; only to
wait for more the task is woken. Both of its calls let others run, so the event loop is not held.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeAlias

import trio
from msgspec import Struct

from ..transport import TURN
from .errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from chat4all_storage.local.addresses import Upload
    from chat4all_storage.local.directory import PartFile

    from ..transport import InThread, Transport

    JudgeHead: TypeAlias = Callable[[bytes, str], str | None]

PIECE: Final = 512 * 1024
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

    @property
    def left(self) -> int:
        """Bytes that have not been read."""
        return self._size - self._read

    async def wait(self) -> None:
        """Wait until more has come.

        Raises:
            Refused: it comes too slowly.
        """
        if self._early:
            return
        began = trio.current_time()
        allowed = self._pace.grace + self._read / self._pace.rate - self._spent
        with trio.CancelScope(deadline=began + allowed) as patience:
            await self._transport.readable()
        if patience.cancelled_caught:
            raise Refused(408, "the body came too slowly")
        self._spent += trio.current_time() - began

    def read(self, buffer: memoryview) -> int:
        """In a thread: what has come, or comes at once; 0 if nothing does.

        Raises:
            Gone: its end will not come.
        """
        buffer = buffer[: self.left]
        if self._early:
            count: int | None = min(len(buffer), len(self._early))
            buffer[:count] = self._early[:count]
            self._early = self._early[count:]
        else:
            began = time.perf_counter()
            count = self._transport.drain(buffer)
            self._spent += time.perf_counter() - began
            if count == 0:
                raise Gone
        self._read += count or 0
        return count or 0


class _Piece:
    """Bytes on their way from the socket to the disk."""

    def __init__(self, body: PartBody, part: PartFile, size: int) -> None:
        self._body = body
        self._part = part
        self._buffer = memoryview(bytearray(min(PIECE, size)))
        self._filled = 0
        self._at = 0

    def begin(self) -> bytes | None:
        """In a thread: what the part begins with, once enough of it has come."""
        wanted = min(JUDGED, self._filled + self._body.left)
        filled = self._fill(wanted, time.perf_counter() + TURN)
        return bytes(self._buffer[:wanted]) if filled else None

    def _fill(self, wanted: int, until: float) -> bool:
        """Read what comes at once, until then; whether it is at least so much now."""
        body = self._body
        while self._filled < wanted:
            # Who sends a byte now and then would keep the thread, and no time limit would be seen.
            if not (count := body.read(self._buffer[self._filled :])):
                return False
            self._filled += count
            if time.perf_counter() >= until:
                break
        return self._filled >= wanted

    def move(self) -> bool:
        """In a thread: move what comes at once, but not for long; False when all is written."""
        until = time.perf_counter() + TURN
        while True:
            wanted = min(len(self._buffer), self._filled + self._body.left)
            if not self._fill(wanted, until):
                return True
            self._part.write(self._buffer[: self._filled], self._at)
            self._at += self._filled
            self._filled = 0
            if not self._body.left:
                return False
            if time.perf_counter() >= until:
                return True


async def take_part(
    body: PartBody,
    part: PartFile,
    right: Upload,
    judge: JudgeHead | None,
    *,
    move: InThread,
    sync: InThread,
) -> str:
    """Write the body to the place of its part; the part's tag, once it stands.

    Bytes are moved by `move`; `sync` calls what waits for the disk.

    Raises:
        Refused: it comes too slowly, or begins a file of a type that may not be.
        Gone: its end has not come.
    """
    piece = _Piece(body, part, right.size)
    if right.part == 1 and judge is not None:
        first: bytes | None = None
        while first is None:
            await body.wait()
            first = await move(piece.begin)
        _judge(judge, first, part.mime)
    more = True
    while more:
        if body.left:
            await body.wait()
        more = await move(piece.move)
    tag: str = await sync(part.finish)
    return tag


def _judge(judge: JudgeHead, first: bytes, mime: str) -> None:
    if judge(first, mime) is None:
        message = "the file is not of the type that was told, or of one that is not allowed"
        raise Refused(415, message, field="mime_type")
