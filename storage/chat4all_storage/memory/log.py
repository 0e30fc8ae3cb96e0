"""One conversation in memory: the rules of `ShardStore.commit`, one event at a time.

The same rules on PostgreSQL are `commit_batch` and `refusal` (migration 0013).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from msgspec import UNSET, Struct, field
from msgspec.structs import replace

from ..ports.events import Mark, Outcome, Status, StoredEvent
from ..ports.outbox import is_external
from ..ports.shard import Conversation, MemberInfo

if TYPE_CHECKING:
    from chat4all_protocol.frames import ConversationType

    from ..ports.events import Append, Rules

MANAGERS = ("owner", "admin")


def wall_clock_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Log(Struct):
    """A conversation."""

    id: str
    type: ConversationType
    title: str | None
    created_by: str
    created_at: int
    active_at: int
    members: dict[str, MemberInfo]
    metadata: bytes | None = None
    retention: int | None = None
    digest: int = 0
    trace: bytes | None = None
    events: list[StoredEvent] = field(default_factory=list)
    written: list[Append] = field(default_factory=list)
    """What each event was when it came: its subject, role and trace among others."""
    sent: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    """By (sender, id): the seq and the digest."""
    revisions: dict[int, list[tuple[int, bytes | None]]] = field(default_factory=dict)
    """By seq, the former bodies, each with the seq of the edit that replaced it."""
    expired: int = 0
    """Up to here retention has emptied all messages."""
    external: bool = False
    """Has, or had, external members, or an event that named an external channel."""

    def view(self) -> Conversation:
        """The conversation as it is told."""
        return Conversation(
            id=self.id,
            type=self.type,
            title=self.title,
            created_by=self.created_by,
            created_at=self.created_at,
            head=len(self.events),
            members=dict(self.members),
            metadata=self.metadata,
            retention=self.retention,
            digest=self.digest,
        )

    def append(self, append: Append, head: int, now: int, rules: Rules) -> Outcome:
        """Decide and store; `head` is where the conversation stood before the batch."""
        if (known := self.sent.get((append.sender, append.id))) is not None:
            seq, digest = known
            if digest != append.digest:
                return Outcome(Status.CONFLICT)
            return Outcome(Status.DUPLICATE, seq, self.events[seq - 1].ts)
        ts = max(self.active_at, now)
        if (status := self._refusal(append, head, ts, rules)) is not None:
            return Outcome(status)
        seq = len(self.events) + 1
        self.events.append(
            StoredEvent(
                conversation=append.conversation,
                seq=seq,
                id=append.id,
                sender=append.sender,
                kind=append.kind,
                ts=ts,
                body=append.body,
                reply_to=append.reply_to,
                target=append.target,
                meta=append.meta,
                channel=append.channel,
            )
        )
        self.written.append(append)
        self.sent[append.sender, append.id] = (seq, append.digest)
        self.active_at = ts
        self._take_effect(append, seq, ts)
        return Outcome(Status.STORED, seq, ts)

    def mark(self, mark: Mark, now: int) -> Mark | None:
        """Raise a member's watermarks; None for somebody who is no member."""
        member = self.members.get(mark.user)
        if member is None:
            return None
        head = len(self.events)
        recv = max(member.recv, min(max(mark.recv, mark.read), head))
        read = max(member.read, min(mark.read, head))
        self.members[mark.user] = replace(
            member,
            recv=recv,
            read=read,
            recv_at=now if recv > member.recv else member.recv_at,
            read_at=now if read > member.read else member.read_at,
        )
        return Mark(mark.conversation, mark.user, recv, read)

    # --- why not ------------------------------------------------------------------------------

    def _refusal(self, append: Append, head: int, now: int, rules: Rules) -> Status | None:
        sender = self.members.get(append.sender)
        if sender is None:
            return Status.NOT_MEMBER
        if append.reply_to is not None and not 1 <= append.reply_to <= head:
            return Status.BAD_REFERENCE
        if append.kind in ("edit", "delete", "react"):
            return self._refused_target(append, sender, head, now, rules)
        if append.kind in ("join", "leave", "change"):
            if self.type == "private":
                return Status.FORBIDDEN
            return self._refused_change(append, sender, rules)
        return None

    def _refused_target(
        self, append: Append, sender: MemberInfo, head: int, now: int, rules: Rules
    ) -> Status | None:
        target = append.target
        event = self.events[target - 1] if target and 1 <= target <= head else None
        if event is None or event.kind != "message":
            return Status.BAD_TARGET
        if append.kind == "react":
            return Status.TARGET_DELETED if event.deleted else None
        manages = self.type == "group" and sender.role in MANAGERS
        window = rules.edit_window
        if append.kind == "delete":
            window = 0.0 if manages else rules.delete_window
        if event.sender != append.sender and not (append.kind == "delete" and manages):
            return Status.FORBIDDEN
        if event.deleted:
            return Status.TARGET_DELETED
        if window and now - event.ts > window * 1000:
            return Status.TOO_LATE
        return None

    def _refused_change(self, append: Append, sender: MemberInfo, rules: Rules) -> Status | None:
        subject = self.members.get(append.subject) if append.subject is not None else None
        if append.kind == "join":
            if sender.role not in MANAGERS or (append.role != "member" and sender.role != "owner"):
                return Status.FORBIDDEN
            if subject is not None:
                return Status.ALREADY_MEMBER
            return Status.FULL if len(self.members) >= rules.member_limit else None
        if append.kind == "change" and append.subject is None:
            return None if sender.role in MANAGERS else Status.FORBIDDEN
        own = append.subject == append.sender
        needed = ("owner",) if append.kind == "change" else MANAGERS
        if sender.role not in needed and not (own and append.kind == "leave"):
            return Status.FORBIDDEN
        if subject is None:
            return Status.NO_SUCH_MEMBER
        last = subject.role == "owner" and self._owners() == 1
        if append.kind == "change":
            return Status.LAST_OWNER if last and append.role != "owner" else None
        if not own and sender.role == "admin" and subject.role != "member":
            return Status.FORBIDDEN
        return Status.LAST_OWNER if own and last and len(self.members) > 1 else None

    def _owners(self) -> int:
        return sum(member.role == "owner" for member in self.members.values())

    # --- what it does -------------------------------------------------------------------------

    def _take_effect(self, append: Append, seq: int, ts: int) -> None:
        if append.kind == "edit":
            assert append.target is not None
            event = self.events[append.target - 1]
            self.revisions.setdefault(event.seq, []).append((seq, event.body))
            self.events[event.seq - 1] = replace(event, body=append.body, edited_at=ts)
        elif append.kind == "delete":
            assert append.target is not None
            self.bury(append.target, ts)
        elif append.kind == "leave":
            assert append.subject is not None
            del self.members[append.subject]
        elif append.kind == "join":
            assert append.subject is not None
            assert append.role is not None
            self.external = self.external or is_external(append.subject)
            self.members[append.subject] = MemberInfo(append.role, recv=seq, read=seq, since=seq)
        elif append.kind == "change" and append.subject is not None:
            assert append.role is not None
            member = self.members[append.subject]
            self.members[append.subject] = replace(member, role=append.role)
        elif append.kind == "change" and append.change is not None:
            change = append.change
            if change.title is not UNSET:
                self.title = change.title
            if change.metadata is not UNSET:
                self.metadata = change.metadata
            if change.retention is not UNSET:
                self.retention = change.retention

    def bury(self, seq: int, at: int) -> None:
        """Leave nothing of a message but its place, nor of its edits."""
        self.revisions.pop(seq, None)
        for event in self.events:
            if event.seq == seq or (event.kind == "edit" and event.target == seq):
                self.events[event.seq - 1] = replace(
                    event, body=None, meta=None, deleted=True, deleted_at=at
                )
