"""How far conversations have come whose actor is gone: what a read of the store may have missed.

Between the moment at which a store looks at a conversation's head and the moment at which the
answer is used, the conversation may be woken, stored to, and end. A new actor that started from
that answer would take the events in between for passed. So while such a read is under way, the
heads of conversations that end are kept, and nothing is kept while there is none.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Stretch(Struct):
    """A stretch of time: the reads that began in it and are under way, and what was noted in it."""

    reads: int = 0
    heads: dict[str, int] = field(default_factory=dict)


class Heads:
    """Lower bounds of heads, for as long as a read that began earlier is under way.

    A read needs what was noted since it began. Two stretches bound what is kept even when there is
    never a moment without reads: the older one is dropped as soon as its reads have ended, and
    what was noted in it is older than any other read.
    """

    def __init__(self) -> None:
        self._older = _Stretch()
        self._newer = _Stretch()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Within this, heads are read from a store and used."""
        stretch = self._newer
        stretch.reads += 1
        try:
            yield
        finally:
            stretch.reads -= 1
            if not self._older.reads:
                self._older, self._newer = self._newer, _Stretch()
                if not self._older.reads:  # that was the last read of all
                    self._older = _Stretch()

    def note(self, conversation: str, seq: int) -> None:
        """Events of this conversation are stored up to `seq`."""
        if self._older.reads or self._newer.reads:
            heads = self._newer.heads
            heads[conversation] = max(heads.get(conversation, 0), seq)

    def of(self, conversation: str) -> int:
        """How far the conversation had come at least; 0 if nothing was noted."""
        return max(self._older.heads.get(conversation, 0), self._newer.heads.get(conversation, 0))

    def __len__(self) -> int:
        return len(self._older.heads) + len(self._newer.heads)
