"""`Queries` in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_protocol.codec import decode_meta

from ..ports.logical_shards import logical_shard
from ..ports.queries import (
    LAST_WITHIN,
    MEMBERS_LISTED,
    Found,
    Listed,
    Portion,
    Reaction,
    Receipt,
    Revision,
    receipt,
)
from ..ports.shard import UNREAD_LIMIT
from .conversations import MemoryConversations

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..ports.queries import Carrier, Place
    from .log import Log


class MemoryQueries(MemoryConversations):
    """The part of `MemoryShard` that answers them."""

    async def find(self, id_: str, reader: str) -> Portion[Found]:
        """See `Queries.find`."""
        await trio.lowlevel.checkpoint()
        found = [
            Found(event, log.type, log.members[reader].role)
            for log in self._served()
            if reader in log.members
            for event in log.events
            if event.id == id_
        ]
        return Portion(found, frozenset(self.moved_shards))

    async def listing(self, user: str, *, before: Place | None, limit: int) -> Portion[Listed]:
        """See `Queries.listing`."""
        await trio.lowlevel.checkpoint()
        logs = [log for log in self._served() if user in log.members]
        if before is not None:
            logs = [log for log in logs if (-log.active_at, log.id) > (-before[0], before[1])]
        logs.sort(key=lambda log: (-log.active_at, log.id))
        items = [_listed(log, user) for log in logs[:limit]]
        return Portion(items, frozenset(self.moved_shards))

    async def receipts(self, conversation: str, seq: int, reader: str) -> list[Receipt] | None:
        """See `Queries.receipts`."""
        log = await self._of(conversation, seq, reader)
        if log is None:
            return None
        return [
            receipt(name, seq, each.recv, each.read, each.recv_at, each.read_at)
            for name, each in log.members.items()
            if name != log.events[seq - 1].sender and each.since < seq
        ]

    async def revisions(self, conversation: str, seq: int, reader: str) -> list[Revision] | None:
        """See `Queries.revisions`."""
        log = await self._of(conversation, seq, reader)
        if log is None:
            return None
        return [
            Revision(edit, log.events[edit - 1].ts, body)
            for edit, body in log.revisions.get(seq, ())
        ]

    async def reactions(self, conversation: str, seq: int, limit: int) -> list[Reaction]:
        """See `Queries.reactions`."""
        await trio.lowlevel.checkpoint()
        self._check_served(conversation)
        log = self._logs.get(conversation)
        standing: dict[tuple[str, str], Reaction] = {}
        for event in log.events if log is not None else ():
            if event.kind == "react" and event.target == seq and event.meta is not None:
                meta = decode_meta(event.meta)
                key = (event.sender, meta["emoji"])
                standing.pop(key, None)  # what is put again is the last
                if meta["on"]:
                    standing[key] = Reaction(event.seq, *key)
        return list(standing.values())[-limit:]

    async def carrying(
        self, carriers: Sequence[Carrier], reader: str | None
    ) -> dict[Carrier, list[bytes]]:
        """See `Queries.carrying`."""
        await trio.lowlevel.checkpoint()
        self._check_served(*(conversation for conversation, _ in carriers))
        found = {carrier: list(self._carried(*carrier, reader)) for carrier in carriers}
        return {carrier: bodies for carrier, bodies in found.items() if bodies}

    def _carried(self, conversation: str, id_: str, reader: str | None) -> Iterator[bytes]:
        shard = logical_shard(conversation)
        for log in self._served():
            if logical_shard(log.id) != shard or (reader is not None and reader not in log.members):
                continue
            for event in log.events:
                if event.id != id_ or event.kind not in ("message", "edit"):
                    continue
                message = event
                if event.kind == "edit":
                    assert event.target is not None
                    message = log.events[event.target - 1]
                if message.body is not None:
                    yield message.body

    async def _of(self, conversation: str, seq: int, reader: str) -> Log | None:
        await trio.lowlevel.checkpoint()
        self._check_served(conversation)
        log = self._logs.get(conversation)
        if log is None or reader not in log.members or not 1 <= seq <= len(log.events):
            return None
        return log


def unread(log: Log, user: str) -> int:
    """Messages of others that this member has not read."""
    count = sum(
        event.sender != user and event.kind == "message" and not event.deleted
        for event in log.events[log.members[user].read :]
    )
    return min(count, UNREAD_LIMIT)


def _listed(log: Log, user: str) -> Listed:
    mine = log.members[user]
    messages = (
        event
        for event in reversed(log.events[-LAST_WITHIN:])
        if event.kind == "message" and not event.deleted
    )
    listed = list(log.members.items())[:MEMBERS_LISTED]
    return Listed(
        conversation=log.id,
        type=log.type,
        title=log.title,
        metadata=log.metadata,
        retention=log.retention,
        created_by=log.created_by,
        created_at=log.created_at,
        active_at=log.active_at,
        head=len(log.events),
        role=mine.role,
        recv=mine.recv,
        read=mine.read,
        since=mine.since,
        unread=unread(log, user),
        members={name: member.role for name, member in listed},
        member_count=len(log.members),
        last=next(messages, None),
    )
