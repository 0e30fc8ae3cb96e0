"""Endpoints of webhooks in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
from msgspec import Struct, field, structs

from ..ports.errors import Rejected
from ..ports.webhooks import Backlog, TooManyWebhooks, Webhook

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ..ports.audit import Actor
    from ..ports.webhooks import NewBacklog, NewWebhook, Report, WebhookState
    from .audit import MemoryAudit


class _Row(Struct):
    """An endpoint, with who serves it, and what it was not told in its turn."""

    webhook: Webhook
    holder: str | None = None
    held_until: int = 0
    backlogs: dict[str, Backlog] = field(default_factory=dict)
    due: dict[str, int] = field(default_factory=dict)
    """When each of them is."""

    def set(self, **changes: Any) -> None:
        self.webhook = structs.replace(self.webhook, **changes)


class MemoryWebhooks:
    """See `Webhooks`."""

    def __init__(self, audit: MemoryAudit, clock_ms: Callable[[], int]) -> None:
        self._audit = audit
        self._clock_ms = clock_ms
        self._rows: dict[str, _Row] = {}

    async def add(self, new: NewWebhook, actor: Actor, *, most: int) -> Webhook:
        """See `Webhooks.add`."""
        await trio.lowlevel.checkpoint()
        if (row := self._rows.get(new.id)) is not None:
            if row.webhook.owner != new.owner:
                raise Rejected("another owner has an endpoint of this id")
            return row.webhook
        if sum(each.webhook.owner == new.owner for each in self._rows.values()) >= most:
            raise TooManyWebhooks(f"there are {most}")
        now = self._clock_ms()
        made = Webhook(**structs.asdict(new), created_at=now, changed_at=now)
        self._rows[new.id] = _Row(made)
        self._audit.tell("webhook.added", new.owner, actor, webhook=new.id)
        return made

    async def find(self, id_: str, owner: str) -> Webhook | None:
        """See `Webhooks.find`."""
        row = await self._owned(id_, owner)
        return None if row is None else row.webhook

    async def of(self, owner: str) -> list[Webhook]:
        """See `Webhooks.of`."""
        await trio.lowlevel.checkpoint()
        return [row.webhook for row in self._rows.values() if row.webhook.owner == owner]

    async def remove(self, id_: str, owner: str, actor: Actor) -> bool:
        """See `Webhooks.remove`."""
        if await self._owned(id_, owner) is None:
            return False
        del self._rows[id_]
        self._audit.tell("webhook.removed", owner, actor, webhook=id_)
        return True

    async def rotate(
        self, id_: str, owner: str, secret: bytes, actor: Actor, *, keep: float
    ) -> Webhook | None:
        """See `Webhooks.rotate`."""
        row = await self._owned(id_, owner)
        if row is None:
            return None
        if row.webhook.secret != secret:
            former, until = row.webhook.secret, self._clock_ms() + int(keep * 1000)
            row.set(secret=secret, former_secret=former, former_until=until)
            self._audit.tell("webhook.rotated", owner, actor, webhook=id_)
        return row.webhook

    async def resume(self, id_: str, owner: str) -> Webhook | None:
        """See `Webhooks.resume`."""
        row = await self._owned(id_, owner)
        if row is None:
            return None
        if row.webhook.state != "active":
            row.set(state="active", reason=None, changed_at=self._clock_ms(), failing_since=None)
            for key, backlog in row.backlogs.items():
                row.backlogs[key] = structs.replace(backlog, attempts=0)
                row.due[key] = self._clock_ms()
        return row.webhook

    async def replay(self, id_: str, owner: str, since: int) -> Webhook | None:
        """See `Webhooks.replay`."""
        row = await self._owned(id_, owner)
        if row is None:
            return None
        looking = row.webhook.replay_from
        row.set(
            since=min(row.webhook.since, since),
            replay_from=since if looking is None else min(looking, since),
        )
        return row.webhook

    async def backlog_count(self, id_: str, most: int) -> int:
        """See `Webhooks.backlog_count`."""
        await trio.lowlevel.checkpoint()
        row = self._rows.get(id_)
        return 0 if row is None else min(len(row.backlogs), most)

    def forget(self, owner: str) -> None:
        """The owner is gone."""
        self._rows = {id_: row for id_, row in self._rows.items() if row.webhook.owner != owner}

    async def _owned(self, id_: str, owner: str) -> _Row | None:
        await trio.lowlevel.checkpoint()
        row = self._rows.get(id_)
        return row if row is not None and row.webhook.owner == owner else None

    # --- of the node that serves it -----------------------------------------------------------

    async def claim(self, holder: str, *, lease: float, limit: int) -> list[Webhook]:
        """See `Webhooks.claim`."""
        await trio.lowlevel.checkpoint()
        now = self._clock_ms()
        free = [
            row
            for row in self._rows.values()
            if row.webhook.state == "active" and row.held_until <= now
        ]
        for row in free[:limit]:
            row.holder, row.held_until = holder, now + int(lease * 1000)
        return [row.webhook for row in free[:limit]]

    async def renew(self, holder: str, *, lease: float) -> list[Webhook]:
        """See `Webhooks.renew`."""
        await trio.lowlevel.checkpoint()
        now = self._clock_ms()
        held = [
            row
            for row in self._rows.values()
            if row.webhook.state == "active" and row.holder == holder and row.held_until > now
        ]
        for row in held:
            row.held_until = now + int(lease * 1000)
        return [row.webhook for row in held]

    async def release(self, id_: str, holder: str) -> None:
        """See `Webhooks.release`."""
        if (row := await self._held(id_, holder)) is not None:
            row.holder, row.held_until = None, 0

    async def _held(self, id_: str, holder: str) -> _Row | None:
        await trio.lowlevel.checkpoint()
        row = self._rows.get(id_)
        held = row is not None and row.holder == holder and row.held_until > self._clock_ms()
        return row if held else None

    async def behind(self, id_: str, keys: Collection[str]) -> set[str]:
        """See `Webhooks.behind`."""
        await trio.lowlevel.checkpoint()
        row = self._rows.get(id_)
        return set() if row is None else row.backlogs.keys() & set(keys)

    async def advance(
        self,
        id_: str,
        holder: str,
        positions: bytes,
        backlogs: Sequence[NewBacklog],
        report: Report,
    ) -> bool:
        """See `Webhooks.advance`."""
        row = await self._held(id_, holder)
        if row is None:
            return False
        row.set(positions=positions)
        for new in backlogs:
            self._lengthen(row, new)
        self._report(row, report)
        return True

    def _lengthen(self, row: _Row, new: NewBacklog) -> None:
        known = row.backlogs.get(new.key)
        if known is None:
            row.backlogs[new.key] = Backlog(
                new.key, new.file, new.after, new.upto, new.rises, 1, new.attempts
            )
            row.due[new.key] = self._clock_ms() + int(new.delay * 1000)
            return
        row.backlogs[new.key] = structs.replace(
            known,
            upto=max(known.upto, new.upto),
            rises=_earlier(known.rises, new.rises),
            version=known.version + 1,
        )

    async def look_back(
        self, id_: str, holder: str, backlogs: Sequence[NewBacklog], *, done: int | None
    ) -> bool:
        """See `Webhooks.look_back`."""
        row = await self._held(id_, holder)
        if row is None:
            return False
        for new in backlogs:
            self._lengthen(row, new)
            long = row.backlogs[new.key]
            after = min(long.after, new.after)
            row.backlogs[new.key] = structs.replace(long, after=after, attempts=0)
            row.due[new.key] = self._clock_ms()
        if done is not None and row.webhook.replay_from == done:
            row.set(replay_from=None)
        return True

    async def due(self, id_: str, limit: int) -> tuple[list[Backlog], float | None]:
        """See `Webhooks.due`."""
        await trio.lowlevel.checkpoint()
        row = self._rows.get(id_)
        if row is None:
            return [], None
        now = self._clock_ms()
        keys = sorted(row.due, key=lambda key: (row.due[key], key))
        found = [row.backlogs[key] for key in keys if row.due[key] <= now]
        later = [row.due[key] for key in keys if row.due[key] > now]
        return found[:limit], (later[0] - now) / 1000 if later else None

    async def settle(
        self,
        id_: str,
        holder: str,
        backlog: Backlog,
        report: Report,
        *,
        after: int,
        told_rises: bool,
        attempts: int,
        delay: float,
    ) -> bool:
        """See `Webhooks.settle`."""
        row = await self._held(id_, holder)
        if row is None:
            return False
        self._report(row, report)
        now = row.backlogs.get(backlog.key)
        if now is None:
            return True
        same = now.version == backlog.version
        rises = None if told_rises and same else now.rises
        if same and after >= now.upto and rises is None:
            del row.backlogs[backlog.key], row.due[backlog.key]
        else:
            looked_back = now.after < backlog.after
            row.backlogs[backlog.key] = structs.replace(
                now, after=now.after if looked_back else after, rises=rises, attempts=attempts
            )
            row.due[backlog.key] = self._clock_ms() + int(delay * 1000)
        return True

    async def stop(self, id_: str, holder: str, state: WebhookState, reason: str) -> bool:
        """See `Webhooks.stop`."""
        row = await self._held(id_, holder)
        if row is None:
            return False
        row.set(state=state, reason=reason, changed_at=self._clock_ms())
        row.holder, row.held_until = None, 0
        return True

    def _report(self, row: _Row, report: Report) -> None:
        known, now = row.webhook, self._clock_ms()
        failing = known.failing_since
        if report.ended_well:
            failing = None
        elif report.failed:
            failing = now if report.delivered or failing is None else failing
        row.set(
            delivered=known.delivered + report.delivered,
            failed=known.failed + report.failed,
            given_up=known.given_up + report.given_up,
            last_success_at=now if report.delivered else known.last_success_at,
            last_failure_at=now if report.failed else known.last_failure_at,
            last_failure=report.failure if report.failed else known.last_failure,
            failing_since=failing,
        )


def _earlier(one: int | None, other: int | None) -> int | None:
    return min((each for each in (one, other) if each is not None), default=None)
