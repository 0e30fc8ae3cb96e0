"""What is on its way into a log, and how its owner learns what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from msgspec import Struct

from ..ports.errors import Rejected, Unavailable
from ..ports.events import Append, Mark, Outcome
from ..ports.logical_shards import logical_shard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..ports.errors import StorageError

T = TypeVar("T")


class LogFull(Exception):
    """The log holds as much as it may: nothing was taken."""


class Refused(Struct, frozen=True):
    """An append that was surely not stored: for now, or for good (a defect)."""

    error: Unavailable | Rejected


Answer: TypeAlias = Outcome | Refused


class Entry(Struct, Generic[T], eq=False):
    """One append on its way, and who wants to know what becomes of it."""

    append: Append
    owner: Callable[[list[tuple[Entry[T], Answer]]], None]
    """Called once per flush with the answers to all of the owner's entries in it, in order.

    It must not raise: that is a fault, and ends the log.
    """
    context: T
    doubtful: bool = False
    """Whether it may have been stored: it is never refused then, only a store can answer it."""
    held_since: float | None = None
    """When it was first held back because its logical shard was on the move."""

    @property
    def shard(self) -> int:
        """The logical shard of its conversation."""
        return logical_shard(self.append.conversation)

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return 200 + len(self.append.body or b"") + len(self.append.meta or b"")


class MarkEntry(Struct, eq=False):
    """Watermarks on their way, and who wants to know where they then stand."""

    mark: Mark
    owner: Callable[[Mark], None]

    @property
    def shard(self) -> int:
        """The logical shard of its conversation."""
        return logical_shard(self.mark.conversation)


class Returned(Struct):
    """What a log gives back of logical shards that are not to be written to its database."""

    shards: set[int]
    entries: list[Entry[Any]]
    """In the order in which they were submitted. Nothing of these shards is left in the log."""
    marks: list[MarkEntry]

    def sort_out(
        self, entries: Iterable[Entry[Any]], marks: Iterable[MarkEntry]
    ) -> tuple[list[Entry[Any]], list[MarkEntry]]:
        """Take what is of the shards; what is not remains."""
        rest: list[Entry[Any]] = []
        for entry in entries:
            (self.entries if entry.shard in self.shards else rest).append(entry)
        rest_marks: list[MarkEntry] = []
        for mark in marks:
            (self.marks if mark.shard in self.shards else rest_marks).append(mark)
        return rest, rest_marks


def refusals(entries: Iterable[Entry[Any]], error: StorageError) -> list[tuple[Entry[Any], Answer]]:
    """The answers to what was surely not stored; of what is in doubt nothing can be told."""
    if not isinstance(error, Unavailable | Rejected):
        error = Unavailable("the database is out of reach")
    return [(entry, Refused(error)) for entry in entries if not entry.doubtful]


def refuse(entries: Iterable[Entry[Any]], error: StorageError) -> None:
    """Tell the owners at once that these were surely not stored, as `refusals` has it."""
    for owner, mine in by_owner(refusals(entries, error)).items():
        owner(mine)


def by_owner(
    answers: Sequence[tuple[Entry[Any], Answer]],
) -> dict[Any, list[tuple[Entry[Any], Answer]]]:
    """The answers to each owner's entries, in order."""
    found: dict[Any, list[tuple[Entry[Any], Answer]]] = {}
    for each in answers:
        found.setdefault(each[0].owner, []).append(each)
    return found
