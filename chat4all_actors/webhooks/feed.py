"""The pull feed: the events that a webhook would be told, a page at a time.

A cursor has the position in each journal, and nothing is kept of it here. It may be in the midst of
a row: a page ends where it is full.
"""

from __future__ import annotations

import base64
import binascii
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import msgspec
import trio
from msgspec import Struct
from msgspec.structs import replace

from chat4all_storage.ports.errors import StorageError, Unavailable

from .positions import Position, Positions, here
from .source import Circle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chat4all_storage.storage import Storage

    from ..config import Settings
    from .events import Event
    from .source import Audience, Placed, Source
    from .tail import Tail

ROWS: Final = 50
"""That are read together."""
LOOKS: Final = 20
"""Such reads of one request: who is told little of much gets an empty page, and goes on."""
AGAIN: Final = 1.0
"""Seconds after which who waits looks again, whatever it has heard."""
EVENT_BYTES: Final = 1024
"""About what an event takes beside what it says."""


class BadCursor(ValueError):
    """It is none that was told here."""


class CursorLost(Exception):
    """What follows the cursor is not kept any more."""


class Cursor(Struct, frozen=True, array_like=True):
    """Where a reader stands."""

    positions: Positions
    since: int
    """What happened before is not told: milliseconds since the epoch."""


class Page(Struct, frozen=True):
    """Events, and where to go on."""

    events: list[Event]
    cursor: str
    more: bool
    """There may be more at once."""


_DECODER: Final = msgspec.msgpack.Decoder(Cursor)


def encode(cursor: Cursor) -> str:
    """As a reader is told it."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(cursor)).rstrip(b"=").decode()


def decode(text: str) -> Cursor:
    """What a reader has brought.

    Raises:
        BadCursor: it is none.
    """
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return _DECODER.decode(data)
    except (binascii.Error, msgspec.DecodeError, ValueError):
        raise BadCursor("this is no cursor of this feed") from None


class Feed:
    """Of a node."""

    def __init__(
        self, settings: Settings, storage: Storage, source: Source, tails: Sequence[Tail]
    ) -> None:
        self._settings = settings
        self._storage = storage
        self._source = source
        self._tails = tails
        self._waiting = 0

    async def page(
        self, audience: Audience, cursor: Cursor | None, *, limit: int, wait: float
    ) -> Page:
        """What follows the cursor, or for now only where the feed ends.

        While there is nothing it waits for so many seconds, unless too many do.

        Raises:
            CursorLost: the cursor is too old.
            StorageError: nothing can be read for now.
        """
        with ExitStack() as reading:
            for tail in self._tails:
                reading.enter_context(tail.reading())
            if cursor is None:
                for tail in self._tails:
                    await tail.prepare()
                positions, now = await here(self._tails)
                if now is None or len(positions) < len(self._tails):
                    raise Unavailable("a database can't be read for now")
                return Page([], encode(Cursor(positions, now)), more=False)
            audience = replace(audience, since=cursor.since)
            return await self._wait(audience, cursor, limit, wait)

    async def _wait(self, audience: Audience, cursor: Cursor, limit: int, wait: float) -> Page:
        circle = Circle(self._storage, audience.user)
        await circle.load()
        until = trio.current_time() + wait
        page = await self._read(audience, circle, cursor, limit)
        while (left := until - trio.current_time()) > 0 and not (page.events or page.more):
            if self._waiting >= self._settings.max_feed_waits:
                break
            self._waiting += 1
            try:
                with trio.move_on_after(min(left, AGAIN)):
                    await _news(self._tails)
            finally:
                self._waiting -= 1
            page = await self._read(audience, circle, decode(page.cursor), limit)
        return page

    async def _read(self, audience: Audience, circle: Circle, cursor: Cursor, limit: int) -> Page:
        reading = _Reading(audience, circle, limit, self._settings.max_page)
        positions = dict(cursor.positions)
        failed: StorageError | None = None
        for tail in sorted(self._tails, key=lambda tail: _at(positions, tail)):
            try:
                await self._read_one(tail, positions, reading)
            except StorageError as error:
                failed = error  # the others go on
        if failed is not None and not reading.events:
            raise failed
        return Page(reading.events, encode(replace(cursor, positions=positions)), reading.more)

    async def _read_one(self, tail: Tail, positions: Positions, reading: _Reading) -> None:
        name, now = tail.store.name, await tail.now()
        # A database that is new since then has been told nothing of: all it has is read.
        position = positions.get(name, Position(0, now))
        if position.lost(now, self._settings.journal_kept):
            raise CursorLost
        while not reading.full:
            if reading.looks >= LOOKS:
                reading.more = True
                break
            reading.looks += 1
            found = await tail.after(position.row, limit=ROWS)
            placed, _ = await self._source.of_rows(found.rows, reading.audience, reading.circle, {})
            ids = [position.row, *(row.id for row in found.rows)]
            at = {row.id: row.at for row in found.rows}
            for each in placed:
                if position.entry >= 0 and _told(position, ids, each):
                    continue
                if not reading.take(each.event):
                    position = positions.get(name, position)
                    break
                before = ids[ids.index(each.row) - 1]
                positions[name] = Position(before, at[each.row], each.entry, each.event.seq)
            else:
                row = ids[-1]
                kept = (position.entry, position.seq) if row == position.row else (-1, -1)
                position = positions[name] = Position(row, found.at, *kept)
                if not found.more:
                    break


class _Reading:
    """What one page has so far."""

    def __init__(self, audience: Audience, circle: Circle, limit: int, size: int) -> None:
        self.audience = audience
        self.circle = circle
        self.events: list[Event] = []
        self.more = False
        self.looks = 0
        self._limit = limit
        self._room = size

    @property
    def full(self) -> bool:
        """Whether nothing more goes in."""
        return self.more

    def take(self, event: Event) -> bool:
        """Put it into the page; False: it is for the next one. One always fits."""
        size = EVENT_BYTES
        if event.stored is not None:
            size += len(event.stored.body or b"") + len(event.stored.meta or b"")
        if self.events and (len(self.events) >= self._limit or size > self._room):
            self.more = True
            return False
        self._room -= size
        self.events.append(event)
        return True


def _told(position: Position, ids: Sequence[int], placed: Placed) -> bool:
    """Whether it is in the part of its row that was told before."""
    if len(ids) < 2 or placed.row != ids[1] or ids[0] != position.row:
        return False
    return (placed.entry, placed.event.seq) <= (position.entry, position.seq)


def _at(positions: Positions, tail: Tail) -> int:
    position = positions.get(tail.store.name)
    return 0 if position is None else position.at


async def _news(tails: Sequence[Tail]) -> None:
    """Wait until one of them has further rows."""
    async with trio.open_nursery() as nursery:

        async def first(tail: Tail) -> None:
            await tail.news()
            nursery.cancel_scope.cancel()

        for tail in tails:
            nursery.start_soon(first, tail)
