"""The stores in memory: the executable specification, and the ground for simulations.

Nothing here awaits anything but a checkpoint, so every call is atomic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from msgspec.structs import replace

from ..ports.errors import Moved
from ..ports.events import (
    Append,
    CommitResult,
    Mark,
    StoredEvent,
    event_size,
)
from ..ports.logical_shards import logical_shard
from ..ports.outbox import is_external
from ..ports.shard import Conversation, JournalRow, MemberInfo, Membership, Page, Range, Resumed
from .changes import MemoryChanges
from .log import Log
from .outbox import MemoryOutbox
from .queries import MemoryQueries, unread
from .upkeep import MemoryUpkeep

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from chat4all_protocol.frames import ConversationType

    from ..ports.shard import Replay


class MemoryShard(MemoryOutbox, MemoryQueries, MemoryChanges, MemoryUpkeep):
    """A `ShardStore` in memory."""

    async def commit(self, appends: Sequence[Append], marks: Sequence[Mark]) -> CommitResult:
        """See `ShardStore.commit`."""
        await trio.lowlevel.checkpoint()
        return self._decide(appends, marks)

    async def history(self, ranges: Sequence[Range]) -> list[list[StoredEvent]]:
        """See `ShardStore.history`."""
        await trio.lowlevel.checkpoint()
        self._check_served(*(wanted.conversation for wanted in ranges))
        return [
            _slice(log.events, wanted.after, min(wanted.upto, wanted.after + wanted.limit))
            if (log := self._logs.get(wanted.conversation)) is not None
            else []
            for wanted in ranges
        ]

    async def page(
        self, conversation: str, reader: str, *, after: int | None, before: int | None, limit: int
    ) -> Page | None:
        """See `ShardStore.page`."""
        await trio.lowlevel.checkpoint()
        self._check_served(conversation)
        log = self._logs.get(conversation)
        if log is None or reader not in log.members:
            return None
        head = len(log.events)
        if after is not None:
            return Page(_slice(log.events, after, after + limit), head)
        end = head if before is None else min(before - 1, head)
        return Page(_slice(log.events, end - limit, end), head)

    async def resume(
        self, user: str, cursors: Mapping[str, int], *, details: int, replay: Replay
    ) -> Resumed:
        """See `ShardStore.resume`."""
        await trio.lowlevel.checkpoint()
        logs = [
            log
            for log in self._logs.values()
            if user in log.members and logical_shard(log.id) not in self.moved_shards
        ]
        logs.sort(key=lambda log: (-log.active_at, log.id))
        return Resumed(
            [self._membership(log, user, detailed=rank < details) for rank, log in enumerate(logs)],
            self._missed(logs, cursors, replay),
            frozenset(self.moved_shards),
        )

    def _missed(
        self, logs: list[Log], cursors: Mapping[str, int], replay: Replay
    ) -> dict[str, list[StoredEvent]]:
        found: dict[str, list[StoredEvent]] = {}
        count = size = 0
        for log in logs:
            missed = log.events[cursors.get(log.id, len(log.events)) :]
            if not 0 < len(missed) <= replay.each or count >= replay.events:
                continue
            count += len(missed)
            for event in missed:
                size += event_size(event)
                if size <= replay.size:
                    found.setdefault(log.id, []).append(event)
        return found

    def _membership(self, log: Log, user: str, *, detailed: bool) -> Membership:
        member = log.members[user]
        mine = Membership(
            conversation=log.id,
            type=log.type,
            title=log.title,
            head=len(log.events),
            active_at=log.active_at,
            recv=member.recv,
            read=member.read,
        )
        if not detailed:
            return mine
        peers = (name for name in log.members if name != user)
        return replace(
            mine,
            unread=unread(log, user),
            peer=next(peers, None) if log.type == "private" else None,
        )

    async def conversation(self, conversation: str) -> Conversation | None:
        """See `ShardStore.conversation`."""
        await trio.lowlevel.checkpoint()
        self._check_served(conversation)
        log = self._logs.get(conversation)
        return None if log is None else log.view()

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
        """See `ShardStore.create`."""
        await trio.lowlevel.checkpoint()
        if self._fenced(conversation):
            raise Moved("the shard is on the move")
        if (log := self._logs.get(conversation)) is not None:
            return log.view(), False
        now = self._clock_ms()
        log = Log(
            id=conversation,
            type=type_,
            title=title,
            created_by=creator,
            created_at=now,
            active_at=now,
            members={name: MemberInfo(role, recv=0, read=0) for name, role in roles.items()},
            metadata=metadata,
            digest=digest,
            trace=trace,
            external=any(map(is_external, roles)),
        )
        self._logs[conversation] = log
        self._write_journal([(conversation, 0)], [(conversation, name) for name in roles])
        return log.view(), True

    async def members(self, conversations: Sequence[str]) -> dict[str, tuple[int, list[str]]]:
        """See `ShardStore.members`."""
        await trio.lowlevel.checkpoint()
        self._check_served(*conversations)
        return {
            id_: (len(log.events), list(log.members))
            for id_ in conversations
            if (log := self._logs.get(id_)) is not None
        }

    async def acquainted(self, user: str, others: Collection[str]) -> set[str]:
        """See `ShardStore.acquainted`."""
        await trio.lowlevel.checkpoint()
        found: set[str] = set()
        for log in self._served():
            if user in log.members:
                found.update(name for name in others if name in log.members)
        return found

    async def heads(self, conversations: Sequence[str]) -> dict[str, int]:
        """See `ShardStore.heads`."""
        await trio.lowlevel.checkpoint()
        wanted = set(conversations)
        return {log.id: len(log.events) for log in self._served() if log.id in wanted}

    async def conversations_of(self, users: Sequence[str]) -> list[tuple[str, str, int]]:
        """See `ShardStore.conversations_of`."""
        await trio.lowlevel.checkpoint()
        return [
            (log.id, name, log.members[name].recv)
            for log in self._served()
            for name in users
            if name in log.members
        ]

    async def journal_end(self) -> int:
        """See `ShardStore.journal_end`."""
        await trio.lowlevel.checkpoint()
        return self._journal_ids

    async def journal(
        self, after: int, missing: Collection[int], *, lag: float, limit: int
    ) -> list[JournalRow]:
        """See `ShardStore.journal`."""
        await trio.lowlevel.checkpoint()
        before = self._clock_ms() - lag * 1000
        found = [
            row
            for at, row in self._journal
            if at <= before and (row.id > after or row.id in missing)
        ]
        return found[:limit]

    async def trim_journal(self, keep: float) -> int:
        """See `ShardStore.trim_journal`."""
        await trio.lowlevel.checkpoint()
        before = self._clock_ms() - keep * 1000
        kept = [(at, row) for at, row in self._journal if at >= before]
        removed, self._journal = len(self._journal) - len(kept), kept
        ids = {row.id for _, row in kept}
        self._beside = {id_: each for id_, each in self._beside.items() if id_ in ids}
        return removed

    async def close(self) -> None:
        """Nothing to give up."""
        await trio.lowlevel.checkpoint()


def _slice(events: list[StoredEvent], after: int, upto: int) -> list[StoredEvent]:
    """Those with `after < seq <= upto`: bounds below zero are no positions from the end."""
    return events[max(after, 0) : max(upto, 0)]
