"""A store that fails on demand: one node's handle of a `MemoryShard` that outlives the node."""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

import trio

from chat4all_storage.ports.errors import InDoubt, Rejected, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from chat4all_protocol.frames import ConversationType
    from chat4all_storage.memory.shard import MemoryShard
    from chat4all_storage.ports.changes import Activity, Changes, Failure
    from chat4all_storage.ports.events import Append, CommitResult, Mark, StoredEvent
    from chat4all_storage.ports.outbox import Leaving
    from chat4all_storage.ports.queries import (
        Carrier,
        Found,
        Listed,
        Place,
        Portion,
        Reaction,
        Receipt,
        Revision,
    )
    from chat4all_storage.ports.shard import Conversation, JournalRow, Page, Range, Replay, Resumed
    from chat4all_storage.ports.upkeep import Expired

T = TypeVar("T")

SLOW = 0.6
"""Seconds that a slow commit takes."""


class Fault(Enum):
    """What becomes of one commit."""

    UNAVAILABLE = "nothing is stored, and the log is told so"
    LOST = "nothing is stored, and the log is not told"
    STORED = "all is stored, and the log is not told"
    SLOW = "it takes its time, then stores"
    SLOW_ANSWER = "it stores, then takes its time"
    FATAL = "all is stored, the log is not told, and its next try is rejected for good"


class Database:
    """One database, and how well it is reached."""

    def __init__(self, inner: MemoryShard, complain: Callable[[str], None]) -> None:
        self.inner = inner
        self.complain = complain
        self.faults: deque[Fault] = deque()
        """Of the next commits."""
        self.down = False
        self.lag_before = 0.0
        """Seconds from a read's call until it looks at the data."""
        self.lag_after = 0.0
        """Seconds from there until it returns."""
        self._marks: dict[tuple[str, str], tuple[int, int]] = {}

    def heal(self) -> None:
        self.faults.clear()
        self.down = False
        self.lag_before = self.lag_after = 0.0

    def note_marks(self, marks: Sequence[Mark | None]) -> None:
        """Stored watermarks only ever grow (G11)."""
        for mark in marks:
            if mark is None:
                continue
            recv, read = self._marks.get((mark.conversation, mark.user), (0, 0))
            if mark.recv < recv or mark.read < read or mark.read > mark.recv:
                self.complain(f"G11: watermarks fell from {recv}, {read}: {mark}")
            self._marks[mark.conversation, mark.user] = (mark.recv, mark.read)


class FaultyShard:
    """A `ShardStore`; once `cut`, its node is dead and changes nothing any more."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.name = database.inner.name
        self.cut = False
        self._reject_next = False

    async def commit(self, appends: Sequence[Append], marks: Sequence[Mark]) -> CommitResult:
        database = self.database
        await self._reach()
        if self._reject_next:
            self._reject_next = False
            raise Rejected("the schema changed under way")
        fault = database.faults.popleft() if database.faults else None
        if fault is Fault.SLOW:
            await trio.sleep(SLOW)
            await self._reach()
        if fault is Fault.UNAVAILABLE:
            raise Unavailable("no connection")
        if fault is Fault.LOST:
            raise InDoubt("the connection broke")
        result = await database.inner.commit(appends, marks)
        database.note_marks(result.marks)
        if fault is Fault.SLOW_ANSWER:
            await trio.sleep(SLOW)
        if fault in (Fault.STORED, Fault.FATAL) or self.cut:
            self._reject_next = fault is Fault.FATAL
            raise InDoubt("the connection broke")
        return result

    async def history(self, ranges: Sequence[Range]) -> list[list[StoredEvent]]:
        return await self._read(lambda: self.database.inner.history(ranges))

    async def page(
        self, conversation: str, reader: str, *, after: int | None, before: int | None, limit: int
    ) -> Page | None:
        return await self._read(
            lambda: self.database.inner.page(
                conversation, reader, after=after, before=before, limit=limit
            )
        )

    async def resume(
        self, user: str, cursors: Mapping[str, int], *, details: int, replay: Replay
    ) -> Resumed:
        return await self._read(
            lambda: self.database.inner.resume(user, cursors, details=details, replay=replay)
        )

    async def conversation(self, conversation: str) -> Conversation | None:
        return await self._read(lambda: self.database.inner.conversation(conversation))

    async def create(
        self,
        conversation: str,
        type_: ConversationType,
        title: str | None,
        creator: str,
        roles: dict[str, str],
        *,
        metadata: bytes | None = None,
        digest: int = 0,
        trace: bytes | None = None,
    ) -> tuple[Conversation, bool]:
        return await self._read(
            lambda: self.database.inner.create(
                conversation,
                type_,
                title,
                creator,
                roles,
                metadata=metadata,
                digest=digest,
                trace=trace,
            )
        )

    async def expire(self, limit: int, *, now: int | None = None) -> Expired:
        return await self._read(lambda: self.database.inner.expire(limit, now=now))

    async def erase_user(self, user: str, pseudonym: str, limit: int) -> bool:
        return await self._read(lambda: self.database.inner.erase_user(user, pseudonym, limit))

    async def leaving(self, limit: int) -> list[Leaving]:
        return await self._read(lambda: self.database.inner.leaving(limit))

    async def routed(self, ids: Sequence[int]) -> None:
        return await self._read(lambda: self.database.inner.routed(ids))

    async def find(self, id_: str, reader: str) -> Portion[Found]:
        return await self._read(lambda: self.database.inner.find(id_, reader))

    async def listing(self, user: str, *, before: Place | None, limit: int) -> Portion[Listed]:
        return await self._read(
            lambda: self.database.inner.listing(user, before=before, limit=limit)
        )

    async def receipts(self, conversation: str, seq: int, reader: str) -> list[Receipt] | None:
        return await self._read(lambda: self.database.inner.receipts(conversation, seq, reader))

    async def reactions(self, conversation: str, seq: int, limit: int) -> list[Reaction]:
        return await self._read(lambda: self.database.inner.reactions(conversation, seq, limit))

    async def revisions(self, conversation: str, seq: int, reader: str) -> list[Revision] | None:
        return await self._read(lambda: self.database.inner.revisions(conversation, seq, reader))

    async def carrying(
        self, carriers: Sequence[Carrier], reader: str | None
    ) -> dict[Carrier, list[bytes]]:
        return await self._read(lambda: self.database.inner.carrying(carriers, reader))

    async def members(self, conversations: Sequence[str]) -> dict[str, tuple[int, list[str]]]:
        return await self._read(lambda: self.database.inner.members(conversations))

    async def acquainted(self, user: str, others: Collection[str]) -> set[str]:
        return await self._read(lambda: self.database.inner.acquainted(user, others))

    async def heads(self, conversations: Sequence[str]) -> dict[str, int]:
        return await self._read(lambda: self.database.inner.heads(conversations))

    async def conversations_of(self, users: Sequence[str]) -> list[tuple[str, str, int]]:
        return await self._read(lambda: self.database.inner.conversations_of(users))

    async def journal_end(self) -> int:
        return await self._read(self.database.inner.journal_end)

    async def journal(
        self, after: int, missing: Collection[int], *, lag: float, limit: int
    ) -> list[JournalRow]:
        return await self._read(
            lambda: self.database.inner.journal(after, missing, lag=lag, limit=limit)
        )

    async def changes(self, after: int, *, limit: int) -> Changes:
        return await self._read(lambda: self.database.inner.changes(after, limit=limit))

    async def active(
        self, since: int, user: str | None, *, after: str | None, limit: int
    ) -> tuple[list[Activity], frozenset[int]]:
        inner = self.database.inner
        return await self._read(lambda: inner.active(since, user, after=after, limit=limit))

    async def watch(self, seconds: float) -> None:
        await self._read(lambda: self.database.inner.watch(seconds))

    async def note_failure(self, failure: Failure) -> None:
        await self._read(lambda: self.database.inner.note_failure(failure))

    async def trim_journal(self, keep: float) -> int:
        return await self._read(lambda: self.database.inner.trim_journal(keep))

    async def close(self) -> None:
        await self.database.inner.close()

    async def _read(self, read: Callable[[], Awaitable[T]]) -> T:
        await self._reach()
        if self.database.lag_before:
            await trio.sleep(self.database.lag_before)
            await self._reach()
        result = await read()
        if self.database.lag_after:
            await trio.sleep(self.database.lag_after)
        return result

    async def _reach(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.cut or self.database.down:
            raise Unavailable("no route to the database")
