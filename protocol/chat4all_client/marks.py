"""Watermarks to be told to the server: the latest of each conversation, not too often.

`recv` and `read` have no answer, so they are told again on each new connection unless `ready`
shows that the server knows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from chat4all_protocol.frames import Read, Recv

if TYPE_CHECKING:
    from chat4all_protocol.frames import ConvState

INTERVAL: Final = 1.0
"""Seconds between two marks of one conversation."""


class _Mark(Struct):
    recv: int = 0
    read: int = 0
    told_recv: int = 0
    told_read: int = 0
    not_before: float = 0.0


class Marks:
    """The user's watermarks as this client knows them."""

    def __init__(self) -> None:
        self._marks: dict[str, _Mark] = {}
        self._due: dict[str, None] = {}

    def received(self, conv: str, seq: int) -> None:
        """This device holds everything up to `seq`."""
        mark = self._marks.setdefault(conv, _Mark())
        if seq > max(mark.recv, mark.read):
            mark.recv = seq
            self._due[conv] = None

    def read(self, conv: str, seq: int) -> None:
        """The user has read up to `seq`."""
        mark = self._marks.setdefault(conv, _Mark())
        if seq > mark.read:
            mark.read = seq
            self._due[conv] = None

    def take(self, now: float, *, all_: bool = False) -> list[Recv | Read]:
        """The frames to send now; with `all_` also those that would wait for their interval."""
        frames: list[Recv | Read] = []
        for conv in list(self._due):
            mark = self._marks[conv]
            if mark.not_before > now and not all_:
                continue
            del self._due[conv]
            mark.not_before = now + INTERVAL
            if mark.read > mark.told_read:
                frames.append(Read(conv=conv, seq=mark.read))
                mark.told_read = mark.read
                mark.told_recv = max(mark.told_recv, mark.read)
            if mark.recv > mark.told_recv:
                frames.append(Recv(conv=conv, seq=mark.recv))
                mark.told_recv = mark.recv
        return frames

    def next_time(self) -> float:
        """When `take` has something to give."""
        return min((self._marks[conv].not_before for conv in self._due), default=float("inf"))

    def connected(self, listed: list[ConvState]) -> None:
        """A new connection: tell again what the server may not have heard."""
        for mark in self._marks.values():
            mark.told_recv = mark.told_read = 0
        for state in listed:
            if (known := self._marks.get(state.conv)) is not None:
                known.told_recv, known.told_read = state.recv, state.read
        for conv, mark in self._marks.items():
            if mark.read > mark.told_read or mark.recv > mark.told_recv:
                self._due[conv] = None
