"""What is to be sent through channels, in memory."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import trio
from msgspec import Struct, field, structs

from ..ports.audit import channel_subject
from ..ports.deliveries import (
    OPEN,
    RAISED_BY,
    Delivery,
    Progress,
    Sent,
    Step,
    by_account,
    delivery_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..ports.audit import Act, Actor
    from ..ports.deliveries import DeliveryState, Finish, NewDelivery, Told
    from .audit import MemoryAudit
    from .channel_accounts import MemoryChannelAccounts

_COUNTED = frozenset({"queued", "sending", "unknown", "sent", "failed"})


class _Row(Struct):
    new: NewDelivery
    id: int
    added_at: int
    changed_at: int
    due: int
    state: DeliveryState = "queued"
    attempts: int = 0
    message: str | None = None
    reason: str | None = None
    sent_at: int | None = None
    steps: list[Step] = field(default_factory=list)

    def enter(self, state: DeliveryState, now: int) -> None:
        self.state, self.changed_at = state, now
        if state not in OPEN:
            self.steps.append(Step(state, now))

    def view(self) -> Delivery:
        return Delivery(
            **structs.asdict(self.new),
            id=self.id,
            attempts=self.attempts,
            added_at=self.added_at,
        )

    def progress(self) -> Progress:
        new = self.new
        return Progress(
            self.id,
            new.account,
            new.address,
            new.conversation,
            new.seq,
            new.part,
            self.state,
            self.reason,
            self.attempts,
            list(self.steps),
        )


class MemoryDeliveries:
    """See `Deliveries`."""

    def __init__(
        self, accounts: MemoryChannelAccounts, audit: MemoryAudit, clock_ms: Callable[[], int]
    ) -> None:
        self._accounts = accounts
        self._audit = audit
        self._clock_ms = clock_ms
        self._rows: dict[int, _Row] = {}
        self._last = 0
        self._messages: dict[tuple[str, str, str], tuple[Sent, int]] = {}
        """By account, chat and message: and when it was noted."""
        accounts.taken_over = self._taken_over

    async def add(self, deliveries: Sequence[NewDelivery]) -> list[str]:
        """See `Deliveries.add`."""
        await trio.lowlevel.checkpoint()
        now, busy = self._clock_ms(), []
        known = {_place(row.new) for row in self._rows.values()}
        for new in deliveries:
            if _place(new) in known:
                continue
            known.add(_place(new))
            self._last += 1
            plain = structs.replace(new)
            self._rows[self._last] = _Row(plain, self._last, now, now, now)
            if new.account not in busy:
                busy.append(new.account)
        return busy

    async def due(self, account: str, limit: int) -> tuple[list[Delivery], float | None]:
        """See `Deliveries.due`."""
        await trio.lowlevel.checkpoint()
        now = self._clock_ms()
        first: dict[str, _Row] = {}
        for row in self._of(account):
            if row.state in OPEN:
                first.setdefault(row.new.chat, row)
        queued = [row for row in first.values() if row.state == "queued"]
        found = sorted((row for row in queued if row.due <= now), key=lambda row: row.id)
        later = [row.due - now for row in queued if row.due > now]
        wait = min(later) / 1000 if later else None
        return [row.view() for row in found[:limit]], wait

    async def begin(self, holder: str, account: str, ids: Sequence[int]) -> set[int]:
        """See `Deliveries.begin`."""
        await trio.lowlevel.checkpoint()
        if not self._accounts.held(account, holder):
            return set()
        return self._move(ids, {"queued"}, "sending", account)

    async def finish(self, holder: str, account: str, finished: Sequence[Finish]) -> None:
        """See `Deliveries.finish`."""
        await trio.lowlevel.checkpoint()
        if not self._accounts.held(account, holder):
            return
        now = self._clock_ms()
        for each in finished:
            row = self._rows.get(each.id)
            if row is None or row.new.account != account:
                continue
            self._note_message(row, each.message)
            if row.state != "sending":
                continue
            row.reason, row.attempts = each.reason, each.attempts
            row.due = now + int(each.delay * 1000)
            row.enter(each.state, now)
            if each.state == "sent":
                row.sent_at = now

    async def told(self, account: str, receipts: Sequence[Told]) -> list[Progress]:
        """See `Deliveries.told`."""
        await trio.lowlevel.checkpoint()
        changed: dict[int, _Row] = {}
        for receipt in receipts:
            for row in self._meant(account, receipt):
                if row.state not in RAISED_BY[receipt.state]:
                    continue
                if row.sent_at is None:
                    row.sent_at = self._clock_ms()
                row.enter(receipt.state, self._clock_ms())
                row.reason = receipt.reason
                changed[row.id] = row
        return [row.progress() for row in changed.values()]

    async def note_messages(self, messages: Sequence[Sent]) -> None:
        """See `Deliveries.note_messages`."""
        await trio.lowlevel.checkpoint()
        for each in messages:
            self._note(each)

    async def messages(self, account: str, chat: str, messages: Sequence[str]) -> dict[str, Sent]:
        """See `Deliveries.messages`."""
        await trio.lowlevel.checkpoint()
        found = {each: self._messages.get((account, chat, each)) for each in messages}
        return {name: each[0] for name, each in found.items() if each is not None}

    async def messages_of(self, conversation: str, seq: int) -> list[Sent]:
        """See `Deliveries.messages_of`."""
        await trio.lowlevel.checkpoint()
        found = [
            sent
            for sent, _ in self._messages.values()
            if (sent.conversation, sent.seq) == (conversation, seq)
        ]
        return sorted(found, key=lambda sent: (sent.account, sent.chat, sent.part))

    async def progress(self, conversation: str, seq: int) -> list[Progress]:
        """See `Deliveries.progress`."""
        await trio.lowlevel.checkpoint()
        return [
            row.progress()
            for row in self._rows.values()
            if (row.new.conversation, row.new.seq) == (conversation, seq)
        ]

    async def failures(self, conversation: str, since: int) -> list[Progress]:
        """See `Deliveries.failures`."""
        await trio.lowlevel.checkpoint()
        return [
            row.progress()
            for row in self._rows.values()
            if row.new.conversation == conversation
            and row.state == "failed"
            and row.changed_at >= since
        ]

    async def listed(
        self, states: Sequence[DeliveryState], *, account: str | None, after: int, limit: int
    ) -> list[Progress]:
        """See `Deliveries.listed`."""
        await trio.lowlevel.checkpoint()
        found = [
            row.progress()
            for row in self._rows.values()
            if row.state in states and row.id > after and account in (None, row.new.account)
        ]
        return found[:limit]

    async def counts(self) -> dict[tuple[str, DeliveryState], int]:
        """See `Deliveries.counts`."""
        await trio.lowlevel.checkpoint()
        rows = self._rows.values()
        return dict(Counter((row.new.account, row.state) for row in rows if row.state in _COUNTED))

    async def retry(self, ids: Sequence[int], actor: Actor) -> set[int]:
        """See `Deliveries.retry`."""
        await trio.lowlevel.checkpoint()
        moved = self._move(ids, {"failed", "unknown"}, "queued")
        for id_ in moved:
            row = self._rows[id_]
            row.attempts, row.due, row.reason = 0, self._clock_ms(), None
        self._tell("delivery.retried", moved, actor)
        return moved

    async def drop(self, ids: Sequence[int], actor: Actor) -> set[int]:
        """See `Deliveries.drop`."""
        await trio.lowlevel.checkpoint()
        moved = self._move(ids, {"queued", "failed", "unknown"}, "dropped")
        self._tell("delivery.dropped", moved, actor)
        return moved

    async def trim(self, keep: float, limit: int) -> int:
        """See `Deliveries.trim`."""
        await trio.lowlevel.checkpoint()
        before = self._clock_ms() - int(keep * 1000)
        old = [row for row in self._rows.values() if row.state not in OPEN]
        gone = [row.id for row in old if row.changed_at < before][:limit]
        for id_ in gone:
            del self._rows[id_]
        for place, (_, noted_at) in list(self._messages.items()):
            if noted_at < before:
                del self._messages[place]
        return len(gone)

    def move_chat(self, account: str, chat: str, now: str) -> None:
        """What was to go to a chat goes to another one."""
        for row in self._of(account):
            if row.new.chat == chat and row.state == "queued":
                row.new = structs.replace(row.new, chat=now)

    def _tell(self, act: Act, ids: set[int], actor: Actor) -> None:
        for account, mine in by_account((self._rows[id_].new.account, id_) for id_ in ids):
            self._audit.tell(act, channel_subject(account), actor, deliveries=mine)

    def _of(self, account: str) -> Iterable[_Row]:
        return [row for row in self._rows.values() if row.new.account == account]

    def _move(
        self,
        ids: Sequence[int],
        from_: set[DeliveryState],
        to: DeliveryState,
        account: str | None = None,
    ) -> set[int]:
        moved = set()
        for id_ in ids:
            row = self._rows.get(id_)
            if row is None or row.state not in from_ or account not in (None, row.new.account):
                continue
            row.enter(to, self._clock_ms())
            moved.add(id_)
        return moved

    def _taken_over(self, account: str) -> None:
        for row in self._of(account):
            if row.state == "sending":
                row.enter("unknown", self._clock_ms())

    def _meant(self, account: str, receipt: Told) -> list[_Row]:
        if receipt.upto is not None:
            return [
                row
                for row in self._of(account)
                if row.new.chat == receipt.chat
                and row.sent_at is not None
                and row.sent_at <= receipt.upto
            ]
        named = None if receipt.reference is None else delivery_of(receipt.reference)
        if named is not None and (row := self._rows.get(named)) is not None:
            if row.new.account != account:
                return []
            self._note_message(row, receipt.message)
            return [row]
        return [
            row
            for row in self._of(account)
            if receipt.message is not None
            and row.message == receipt.message
            and receipt.chat in (None, row.new.chat)
        ]

    def _note_message(self, row: _Row, message: str | None) -> None:
        if message is None or row.message is not None:
            return
        row.message, new = message, row.new
        self._note(
            Sent(
                new.account,
                new.chat,
                message,
                new.conversation,
                new.seq,
                new.address,
                new.part,
            )
        )

    def _note(self, sent: Sent) -> None:
        place = (sent.account, sent.chat, sent.message)
        self._messages.setdefault(place, (sent, self._clock_ms()))


def _place(new: NewDelivery) -> tuple[str, int, str, str, int]:
    return (new.conversation, new.seq, new.account, new.chat, new.part)
