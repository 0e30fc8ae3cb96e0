"""Accounts on channels and what came in through them, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from msgspec import Struct, field

from ..ports.audit import channel_subject
from ..ports.channel_accounts import AccountState, Backlog, Pending

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..ports.audit import Actor
    from ..ports.channel_accounts import Incoming
    from .audit import MemoryAudit


class _Received(Struct):
    id: int
    at: int
    body: bytes | None
    aside: str | None = None
    attempts: int = 0


class _Account(Struct):
    holder: str | None = None
    held_until: int = 0
    state: str = "unknown"
    detail: str = ""
    told_at: int = 0
    cursor: str | None = None
    inbox: dict[str, _Received] = field(default_factory=dict)
    """By key, in the order in which it came."""


class MemoryChannelAccounts:
    """See `ChannelAccounts`."""

    def __init__(self, audit: MemoryAudit, clock_ms: Callable[[], int]) -> None:
        self._audit = audit
        self._clock_ms = clock_ms
        self._accounts: dict[str, _Account] = {}
        self._received = 0
        self.taken_over: Callable[[str], None] = lambda _: None
        """Called with an account that another node held before."""

    def held(self, account: str, holder: str) -> bool:
        """Whether this node holds it now."""
        row = self._accounts.get(account)
        return row is not None and row.holder == holder and row.held_until > self._clock_ms()

    async def hold(self, account: str, holder: str, seconds: float) -> bool:
        """See `ChannelAccounts.hold`."""
        await trio.lowlevel.checkpoint()
        row, now = self._row(account), self._clock_ms()
        if row.holder not in (holder, None) and row.held_until > now:
            return False
        if row.holder != holder:
            row.holder = holder
            self.taken_over(account)
        row.held_until = now + int(seconds * 1000)
        return True

    async def let_go(self, account: str, holder: str) -> None:
        """See `ChannelAccounts.let_go`."""
        await trio.lowlevel.checkpoint()
        row = self._row(account)
        if row.holder == holder:
            row.held_until = 0

    async def tell_state(self, account: str, holder: str, state: str, detail: str) -> None:
        """See `ChannelAccounts.tell_state`."""
        await trio.lowlevel.checkpoint()
        if self.held(account, holder):
            row = self._accounts[account]
            row.state, row.detail, row.told_at = state, detail, self._clock_ms()

    async def states(self) -> list[AccountState]:
        """See `ChannelAccounts.states`."""
        await trio.lowlevel.checkpoint()
        now = self._clock_ms()
        return [
            AccountState(
                account,
                row.holder if row.held_until > now else None,
                row.state,
                row.detail,
                row.told_at,
            )
            for account, row in sorted(self._accounts.items())
        ]

    async def receive(
        self, account: str, events: Sequence[Incoming], cursor: str | None = None
    ) -> int:
        """See `ChannelAccounts.receive`."""
        await trio.lowlevel.checkpoint()
        row, new = self._row(account), 0
        for event in events:
            if event.key not in row.inbox:
                self._received += 1
                new += 1
                row.inbox[event.key] = _Received(self._received, self._clock_ms(), event.body)
        if cursor is not None:
            row.cursor = cursor
        return new

    async def cursor(self, account: str) -> str | None:
        """See `ChannelAccounts.cursor`."""
        await trio.lowlevel.checkpoint()
        return self._row(account).cursor

    async def pending(self, account: str, limit: int, after: int = 0) -> list[Pending]:
        """See `ChannelAccounts.pending`."""
        await trio.lowlevel.checkpoint()
        found = [
            Pending(key, each.body, each.id, each.attempts)
            for key, each in self._row(account).inbox.items()
            if each.body is not None and each.aside is None and each.id > after
        ]
        return found[:limit]

    async def worked(self, account: str, holder: str, ids: Sequence[int]) -> None:
        """See `ChannelAccounts.worked`."""
        await trio.lowlevel.checkpoint()
        for each in self._mine(account, holder, ids):
            each.body = None

    async def failed(self, account: str, holder: str, id_: int) -> None:
        """See `ChannelAccounts.failed`."""
        await trio.lowlevel.checkpoint()
        for each in self._mine(account, holder, [id_]):
            each.attempts += 1

    async def put_aside(self, account: str, holder: str, id_: int, reason: str) -> None:
        """See `ChannelAccounts.put_aside`."""
        await trio.lowlevel.checkpoint()
        for each in self._mine(account, holder, [id_]):
            if each.body is not None:
                each.aside = reason

    async def backlogs(self) -> list[Backlog]:
        """See `ChannelAccounts.backlogs`."""
        await trio.lowlevel.checkpoint()
        found = []
        for account, row in sorted(self._accounts.items()):
            reasons = [each.aside for each in row.inbox.values() if each.body is not None]
            if reasons:
                aside = [reason for reason in reasons if reason is not None]
                last = aside[-1] if aside else None
                found.append(Backlog(account, len(reasons) - len(aside), len(aside), last))
        return found

    async def put_back(self, account: str, actor: Actor) -> int:
        """See `ChannelAccounts.put_back`."""
        await trio.lowlevel.checkpoint()
        row = self._accounts.get(account)
        aside = [each for each in row.inbox.values() if each.aside is not None] if row else []
        for each in aside:
            each.aside, each.attempts = None, 0
        if aside:
            self._audit.tell(
                "incoming.put_back", channel_subject(account), actor, events=len(aside)
            )
        return len(aside)

    async def trim(self, keep: float, limit: int) -> int:
        """See `ChannelAccounts.trim`."""
        await trio.lowlevel.checkpoint()
        before, removed = self._clock_ms() - int(keep * 1000), 0
        for row in self._accounts.values():
            for key, each in list(row.inbox.items()):
                done = each.body is None or each.aside is not None
                if done and each.at < before and removed < limit:
                    del row.inbox[key]
                    removed += 1
        return removed

    def _row(self, account: str) -> _Account:
        return self._accounts.setdefault(account, _Account(told_at=self._clock_ms()))

    def _mine(self, account: str, holder: str, ids: Sequence[int]) -> list[_Received]:
        if not self.held(account, holder):
            return []
        return [each for each in self._accounts[account].inbox.values() if each.id in ids]
