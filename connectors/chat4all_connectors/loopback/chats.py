"""What is kept in memory: the messages of a chat, the bytes of files, and events nobody has polled.

All of it is bounded; what is oldest goes first.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

import trio
from msgspec import Struct

from chat4all_connectors.capabilities import MediaKind  # noqa: TC001 - decoding needs it

if TYPE_CHECKING:
    from chat4all_connectors.incoming import Event


class Unknown(Exception):
    """Nobody and nothing there has such a name."""


class SentFile(Struct, frozen=True, kw_only=True):
    """A file in a message."""

    ref: str
    """For `Files.get`."""
    kind: MediaKind
    mime: str
    name: str
    size: int
    """Bytes."""


class Line(Struct, kw_only=True):
    """A message in a chat, as everybody there sees it now."""

    id: str
    sender: str
    """A person, or `stage.US`."""
    at: int
    """Milliseconds since the epoch."""
    text: str
    file: SentFile | None = None
    reply_to: str | None = None
    reference: str = ""
    edited: bool = False
    reactions: dict[str, str] = {}
    """By who reacted."""
    read: bool = False
    """By whoever did not send it."""


class Chat:
    """With one person, or a group."""

    def __init__(self, members: list[str], title: str | None, kept: int) -> None:
        self.members = members
        self.title = title
        self.lines: deque[Line] = deque(maxlen=kept)
        self.blocked = False
        self.moved_to: str | None = None
        self.wrote_at: float | None = None
        """When one of its people wrote last, in seconds since the epoch."""
        self.typed_at: float | None = None
        """When it was shown last that somebody on our side types."""

    def line(self, id: str) -> Line:
        """One message.

        Raises:
            Unknown: it is not there, or not any more.
        """
        for line in self.lines:
            if line.id == id:
                return line
        raise Unknown(f"message {id}")


class Files:
    """The bytes of files, up to so many of all together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._files: OrderedDict[str, bytes] = OrderedDict()
        self._numbers = itertools.count(1)

    def keep(self, content: bytes) -> str:
        """Keep one; gives its name."""
        ref = f"file-{next(self._numbers)}"
        self._files[ref] = content
        self._size += len(content)
        while self._size > self._most:
            _, oldest = self._files.popitem(last=False)
            self._size -= len(oldest)
        return ref

    def get(self, ref: str) -> bytes:
        """One by its name.

        Raises:
            Unknown: it was given up.
        """
        if ref not in self._files:
            raise Unknown(ref)
        return self._files[ref]


class Feed:
    """Events in their order, until somebody says that they are stored."""

    def __init__(self, run: str, most: int) -> None:
        """`run` tells its numbers from those of an earlier one, which somebody may still have."""
        self._run = run
        self._events: deque[tuple[int, Event]] = deque(maxlen=most)
        self._numbers = itertools.count(1)
        self._came = trio.Event()

    def put(self, event: Event) -> None:
        """After those that are there."""
        self._events.append((next(self._numbers), event))
        self._came.set()

    async def after(self, cursor: str | None) -> tuple[list[Event], str]:
        """Wait for some after this cursor, up to which all are forgotten; and the last one's."""
        run, _, number = (cursor or "").partition(":")
        if run == self._run:
            while self._events and self._events[0][0] <= int(number):
                self._events.popleft()
        if not self._events:
            self._came = trio.Event()
            await self._came.wait()
        return [event for _, event in self._events], f"{self._run}:{self._events[-1][0]}"
