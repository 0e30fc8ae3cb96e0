"""What waits to be written, in order and within bounds: for a flush, or for a shard on the move."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from ..ports.events import Mark
from .entries import LogFull, MarkEntry

if TYPE_CHECKING:
    from collections.abc import Callable

    from .entries import Entry, Returned

MAX_FLUSH_ENTRIES: Final = 1000
MAX_FLUSH_BYTES: Final = 4 * 1024 * 1024
MAX_FLUSH_MARKS: Final = 1000


class Queue:
    """Entries and marks that wait."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self.entries: deque[Entry[Any]] = deque()
        self.size = 0
        """Bytes of the entries."""
        self.marks: dict[tuple[str, str], MarkEntry] = {}
        """By conversation and user."""
        self._max_entries = max_entries
        self._max_bytes = max_bytes

    def put(self, entry: Entry[Any]) -> None:
        """Put an entry behind the others.

        Raises:
            LogFull: too much is waiting.
        """
        size = entry.size
        if len(self.entries) >= self._max_entries or self.size + size > self._max_bytes:
            raise LogFull(f"{len(self.entries)} entries of {self.size} bytes wait")
        self.entries.append(entry)
        self.size += size

    def put_again(self, entry: Entry[Any]) -> None:
        """The same for an entry that was within bounds in another queue."""
        self.entries.append(entry)
        self.size += entry.size

    def put_in_front(self, entries: list[Entry[Any]], marks: list[MarkEntry]) -> None:
        """Let what came before all that waits, and was within bounds elsewhere, wait before it."""
        self.entries.extendleft(reversed(entries))
        self.size += sum(entry.size for entry in entries)
        for each in marks:
            key = (each.mark.conversation, each.mark.user)
            later = self.marks.get(key)
            self.marks[key] = each if later is None else _joined(each, later.mark, later.owner)

    def put_mark(self, mark: Mark, owner: Callable[[Mark], None]) -> None:
        """Let a mark wait; with one of the same member that waits already it becomes one.

        The later `owner` is told. When too many wait it is dropped.
        """
        key = (mark.conversation, mark.user)
        if (waiting := self.marks.get(key)) is not None:
            self.marks[key] = _joined(waiting, mark, owner)
        elif len(self.marks) < self._max_entries:
            self.marks[key] = MarkEntry(mark, owner)

    def take_entries(self) -> list[Entry[Any]]:
        """The next flush, in order.

        A flush holds a (conversation, sender, id) once, one edit or deletion of a message and no
        reaction to it after that, and nothing of a conversation after a change of it or its
        members: so the statement decides each entry by what stood before it. Such an entry, and
        what follows it in its conversation, stays in front of the queue, in order.
        """
        taken: list[Entry[Any]] = []
        kept: list[Entry[Any]] = []
        seen: set[tuple[str, str, str | int | None]] = set()
        closed: set[str] = set()
        size = 0
        while (
            self.entries
            and len(taken) < MAX_FLUSH_ENTRIES
            and len(kept) < MAX_FLUSH_ENTRIES
            and size < MAX_FLUSH_BYTES
        ):
            entry = self.entries.popleft()
            append = entry.append
            key = (append.conversation, append.sender, append.id)
            if append.conversation in closed or key in seen:
                closed.add(append.conversation)
                kept.append(entry)
                continue
            if append.kind in ("edit", "delete", "react"):
                target = (append.conversation, "target", append.target)
                if target in seen:
                    closed.add(append.conversation)
                    kept.append(entry)
                    continue
                if append.kind != "react":
                    seen.add(target)
            seen.add(key)
            if append.kind in ("join", "leave", "change"):
                closed.add(append.conversation)
            taken.append(entry)
            size += entry.size
        self.entries.extendleft(reversed(kept))
        self.size -= size
        return taken

    def take_marks(self) -> list[MarkEntry]:
        """The marks of the next flush."""
        if len(self.marks) <= MAX_FLUSH_MARKS:
            taken, self.marks = list(self.marks.values()), {}
            return taken
        keys = list(self.marks)[:MAX_FLUSH_MARKS]
        return [self.marks.pop(key) for key in keys]

    def take_certain(self, *, held_before: float = math.inf) -> list[Entry[Any]]:
        """All entries that were surely not stored, and were not first held later than that.

        Those in doubt stay: only a store can answer them.
        """
        taken: list[Entry[Any]] = []
        kept: deque[Entry[Any]] = deque()
        for entry in self.entries:
            since = -math.inf if entry.held_since is None else entry.held_since
            (kept if entry.doubtful or since >= held_before else taken).append(entry)
        self.entries = kept
        self.size = sum(entry.size for entry in kept)
        return taken

    def give_back(self, returned: Returned) -> None:
        """Let `returned` have what waits here of its logical shards."""
        kept, marks = returned.sort_out(self.entries, self.marks.values())
        self.entries = deque(kept)
        self.size = sum(entry.size for entry in kept)
        self.marks = {(each.mark.conversation, each.mark.user): each for each in marks}


def _joined(earlier: MarkEntry, mark: Mark, owner: Callable[[Mark], None]) -> MarkEntry:
    """Two marks of a member as one, whose owner is that of the later one."""
    recv, read = max(earlier.mark.recv, mark.recv), max(earlier.mark.read, mark.read)
    return MarkEntry(Mark(mark.conversation, mark.user, recv, read), owner)
