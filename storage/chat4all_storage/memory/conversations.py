"""What a shard in memory holds, how it is written, and what of it is served."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from ..ports.changes import Failure, ReadyFile, Rise
from ..ports.errors import Moved
from ..ports.events import (
    DEFAULT_RULES,
    Append,
    CommitResult,
    Mark,
    Outcome,
    Status,
)
from ..ports.logical_shards import logical_shard
from ..ports.outbox import INTERNAL_ONLY, LEAVING_KINDS, names_external
from ..ports.shard import JournalRow
from .log import Log, wall_clock_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..ports.events import Rules


class OutboxRow(Struct, frozen=True):
    """An event that may have to leave."""

    id: int
    conversation: str
    seq: int
    channels: tuple[str, ...] | None


class MemoryConversations:
    """The ground of `MemoryShard`: its parts are classes on top of this one."""

    def __init__(
        self,
        name: str = "memory",
        *,
        rules: Rules = DEFAULT_RULES,
        clock_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self.name = name
        self._rules = rules
        self._clock_ms = clock_ms
        self._logs: dict[str, Log] = {}
        self._journal: list[tuple[int, JournalRow]] = []
        """When each row was written, and the row."""
        self._journal_ids = 0
        self._beside: dict[int, tuple[list[Rise], ReadyFile | None, Failure | None]] = {}
        """What rows have beside heads, by their ids."""
        self._watched_until = 0
        self._outbox: list[OutboxRow] = []
        self._outbox_ids = 0
        self.moved_shards: set[int] = set()
        """Logical shards that are not served here."""
        self.frozen_shards: set[int] = set()
        """Logical shards that are served, but not written."""

    def _decide(self, appends: Sequence[Append], marks: Sequence[Mark]) -> CommitResult:
        """See `ShardStore.commit`."""
        # References are judged by the heads as they stood before the batch.
        touched = {append.conversation for append in appends}
        heads = {id_: len(log.events) for id_ in touched if (log := self._logs.get(id_))}
        now = self._clock_ms()  # the same for all
        external = {id_ for id_ in heads if self._logs[id_].external}
        outcomes = [self._append(append, heads, now) for append in appends]
        self._note_leaving(appends, outcomes, external)
        self._note_stored(appends, outcomes)
        conversations = [each.conversation for each in appends]
        conversations += [each.conversation for each in marks]
        fenced = frozenset(logical_shard(id_) for id_ in conversations if self._fenced(id_))
        before = [self._watermarks(mark) for mark in marks]
        stand = [self._mark(mark) for mark in marks]
        self._note_rises(before, stand)
        return CommitResult(outcomes, stand, fenced)

    def _append(self, append: Append, heads: dict[str, int], now: int) -> Outcome:
        if self._fenced(append.conversation):
            return Outcome(Status.MOVED)
        log = self._logs.get(append.conversation)
        if log is None:
            return Outcome(Status.NOT_MEMBER)
        return log.append(append, heads[log.id], now, self._rules)

    def _note_stored(self, appends: Sequence[Append], outcomes: Sequence[Outcome]) -> None:
        heads: dict[str, int] = {}
        joined: list[tuple[str, str]] = []
        for append, outcome in zip(appends, outcomes, strict=True):
            if outcome.status is Status.STORED:
                heads[append.conversation] = outcome.seq
                if append.kind == "join" and append.subject is not None:
                    joined.append((append.conversation, append.subject))
        if heads:
            self._write_journal(list(heads.items()), joined)

    def _note_leaving(
        self, appends: Sequence[Append], outcomes: Sequence[Outcome], external: set[str]
    ) -> None:
        for append, outcome in zip(appends, outcomes, strict=True):
            if outcome.status is not Status.STORED or append.kind not in LEAVING_KINDS:
                continue
            named = names_external(append.channels)
            if named:
                self._logs[append.conversation].external = True
            if named or append.conversation in external:
                self._outbox_ids += 1
                chosen = append.channels if named or append.channels is None else INTERNAL_ONLY
                self._outbox.append(
                    OutboxRow(self._outbox_ids, append.conversation, outcome.seq, chosen)
                )

    def _write_journal(
        self,
        heads: list[tuple[str, int]],
        joined: list[tuple[str, str]],
        *,
        rises: list[Rise] | None = None,
        file: ReadyFile | None = None,
        failure: Failure | None = None,
    ) -> None:
        self._journal_ids += 1
        self._journal.append((self._clock_ms(), JournalRow(self._journal_ids, heads, joined)))
        if rises or file is not None or failure is not None:
            self._beside[self._journal_ids] = (rises or [], file, failure)

    def _watched(self) -> bool:
        return self._watched_until > self._clock_ms()

    def _watermarks(self, mark: Mark) -> tuple[int, int]:
        log = self._logs.get(mark.conversation)
        member = None if log is None else log.members.get(mark.user)
        return (0, 0) if member is None else (member.recv, member.read)

    def _note_rises(self, before: list[tuple[int, int]], stand: list[Mark | None]) -> None:
        rises = [
            Rise(
                now.conversation,
                now.user,
                now.recv if now.recv > recv else None,
                now.read if now.read > read else None,
            )
            for (recv, read), now in zip(before, stand, strict=True)
            if now is not None and (now.recv, now.read) != (recv, read)
        ]
        if rises and self._watched():
            self._write_journal([], [], rises=rises)

    def note_ready(self, file: str, owner: str) -> None:
        """A file became ready, in the directory that is beside this store."""
        if self._watched():
            self._write_journal([], [], file=ReadyFile(file, owner))

    def _mark(self, mark: Mark) -> Mark | None:
        if self._fenced(mark.conversation):
            return None
        log = self._logs.get(mark.conversation)
        return None if log is None else log.mark(mark, self._clock_ms())

    def _served(self) -> list[Log]:
        return [
            log for log in self._logs.values() if logical_shard(log.id) not in self.moved_shards
        ]

    def _fenced(self, conversation: str) -> bool:
        return logical_shard(conversation) in self.moved_shards | self.frozen_shards

    def _check_served(self, *conversations: str) -> None:
        if moved := self.moved_shards.intersection(map(logical_shard, conversations)):
            raise Moved(f"shard {min(moved)} is not served here")
