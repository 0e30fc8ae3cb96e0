"""`Upkeep` in memory; an erasure takes two steps here, whatever their limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from msgspec.structs import replace

from chat4all_protocol.codec import encode_body, encode_meta
from chat4all_protocol.frames import MemberBody
from chat4all_protocol.ids import new_id

from ..ports.errors import Moved
from ..ports.leaving import Group, departures, successions
from ..ports.logical_shards import logical_shard
from ..ports.outbox import is_external
from ..ports.upkeep import Expired
from .conversations import MemoryConversations

if TYPE_CHECKING:
    from .log import Log


class MemoryUpkeep(MemoryConversations):
    """The part of `MemoryShard` that does it."""

    async def expire(self, limit: int, *, now: int | None = None) -> Expired:
        """See `Upkeep.expire`."""
        await trio.lowlevel.checkpoint()
        now = self._clock_ms() if now is None else now
        messages, room = 0, limit
        for log in self._logs.values():
            if log.retention is None or self._fenced(log.id):
                continue
            for event in log.events[log.expired : log.expired + room]:
                if event.ts > now - log.retention * 1000:
                    break
                room -= 1
                log.expired = event.seq
                if event.kind == "message" and not event.deleted:
                    log.bury(event.seq, now)
                    messages += 1
        return Expired(messages, more=room <= 0)

    async def erase_user(self, user: str, pseudonym: str, limit: int) -> bool:
        """See `Upkeep.erase_user`."""
        await trio.lowlevel.checkpoint()
        mine = [log for log in self._logs.values() if _names(log, user)]
        if any(self._fenced(log.id) for log in mine):
            raise Moved("a shard is on the move")
        groups = [
            Group(log.id, _successor(log, user))
            for log in mine
            if log.type == "group" and user in log.members
        ]
        if groups:
            for appends in (successions(user, groups), departures(user, groups)):
                self._decide(appends, [])
            return False
        self._journal = [
            (
                at,
                replace(
                    row, joined=[(id_, _other(name, user, pseudonym)) for id_, name in row.joined]
                ),
            )
            for at, row in self._journal
        ]
        self._beside = {
            id_: (rises, file, failure)
            for id_, (rises, file, failure) in self._beside.items()
            if all(rise.user != user for rise in rises)
            and (file is None or file.owner != user)
            and (failure is None or failure.user != user)
        }
        retired = {log.id for log in mine if log.type == "private"}
        self._outbox = [row for row in self._outbox if row.conversation not in retired]
        for log in mine:
            _rename(log, user, pseudonym, self._clock_ms())
            if log.type == "private":
                self._retire(log)
        return True

    def _retire(self, log: Log) -> None:
        """Go on under another id of the same logical shard."""
        del self._logs[log.id]
        shard = logical_shard(log.id)
        log.id = next(id_ for id_ in iter(new_id, None) if logical_shard(id_) == shard)
        log.events = [replace(event, conversation=log.id) for event in log.events]
        log.written = [replace(append, conversation=log.id) for append in log.written]
        self._logs[log.id] = log
        if log.members:
            self._write_journal([(log.id, 0)], [(log.id, name) for name in log.members])


def _other(name: str, user: str, pseudonym: str) -> str:
    return pseudonym if name == user else name


def _names(log: Log, user: str) -> bool:
    return (
        user in log.members
        or log.created_by == user
        or any(user in (each.sender, each.subject) for each in log.written)
    )


def _successor(log: Log, user: str) -> str | None:
    others = {name: member.role for name, member in log.members.items() if name != user}
    if log.members[user].role != "owner" or "owner" in others.values():
        return None
    return next(
        (name for name, role in others.items() if role == "admin"),
        next((name for name in others if not is_external(name)), None),
    )


def _rename(log: Log, user: str, pseudonym: str, now: int) -> None:
    log.members.pop(user, None)
    if log.created_by == user:
        log.created_by = pseudonym
    for index, append in enumerate(log.written):
        event = log.events[index]
        if append.sender == user and append.kind in ("message", "edit", "react"):
            log.revisions.pop(event.seq, None)
            event = replace(event, body=None, meta=None)
            append = replace(append, body=None, meta=None, digest=0)
            if append.kind != "react":
                at = event.deleted_at if event.deleted_at is not None else now
                event = replace(event, deleted=True, deleted_at=at)
        if append.subject == user:
            append = replace(append, subject=pseudonym, digest=0)
            if append.kind == "change":
                meta = encode_meta({"user": pseudonym, "role": append.role})
                event, append = replace(event, meta=meta), replace(append, meta=meta)
            else:
                body = encode_body(MemberBody(pseudonym, append.role))
                event, append = replace(event, body=body), replace(append, body=body)
        if append.sender == user:
            event, append = replace(event, sender=pseudonym), replace(append, sender=pseudonym)
        log.events[index], log.written[index] = event, append
    log.sent = {
        (append.sender, append.id): (seq, append.digest)
        for seq, append in enumerate(log.written, 1)
    }
