"""Endpoints of webhooks on PostgreSQL: who serves which, and how far it has come.

What a holder writes locks the endpoint's row first, so it can't be written beside another holder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..ports.webhooks import Backlog, Webhook
from .audit import MS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from ..ports.webhooks import NewBacklog, Report, WebhookState
    from .connections import Database

WEBHOOK: Final = f"""w.id::text, w.owner, w.username, w.url, w.events, w.secret, w.since,
    w.positions, w.former_secret, coalesce({MS.format("w.former_until")}, 0),
    {MS.format("w.created_at")}, w.state, w.reason, {MS.format("w.changed_at")}, w.replay_from,
    {MS.format("w.failing_since")}, {MS.format("w.last_success_at")},
    {MS.format("w.last_failure_at")}, w.last_failure, w.delivered, w.failed, w.given_up"""
"""The columns of `webhooks w` that make a `Webhook`."""

_LEASE: Final = "clock_timestamp() + $2 * interval '1 second'"
_CLAIM: Final = f"""
    UPDATE webhooks w SET holder = $1, held_until = {_LEASE} WHERE id IN (
        SELECT id FROM webhooks WHERE state = 'active' AND held_until <= now()
        ORDER BY held_until, id LIMIT $3 FOR UPDATE SKIP LOCKED)
    RETURNING {WEBHOOK}
"""
_RENEW: Final = f"""
    UPDATE webhooks w SET held_until = {_LEASE}
    WHERE holder = $1 AND state = 'active' AND held_until > clock_timestamp()
    RETURNING {WEBHOOK}
"""
_RELEASE: Final = """
    UPDATE webhooks SET holder = NULL, held_until = '-infinity' WHERE id = $1 AND holder = $2
"""
_HOLD: Final = """
    SELECT true FROM webhooks WHERE id = $1 AND holder = $2 AND held_until > clock_timestamp()
    FOR NO KEY UPDATE
"""
_BEHIND: Final = """
    SELECT key::text FROM webhook_backlogs WHERE webhook = $1 AND key = ANY ($2::uuid[])
"""
_ADVANCE: Final = "UPDATE webhooks SET positions = $2 WHERE id = $1"
_ADD: Final = """
    INSERT INTO webhook_backlogs AS b (webhook, key, file, after, upto, rises, attempts, due_at)
    SELECT $1, n.key, n.file, n.after, n.upto, n.rises, n.attempts,
        clock_timestamp() + n.delay * interval '1 second'
    FROM unnest($2::uuid[], $3::boolean[], $4::bigint[], $5::bigint[], $6::bigint[], $7::integer[],
                $8::float8[]) AS n (key, file, after, upto, rises, attempts, delay)
    ON CONFLICT (webhook, key) DO UPDATE SET upto = greatest(b.upto, EXCLUDED.upto),
        rises = least(b.rises, EXCLUDED.rises), version = b.version + 1
"""
_LOOK_BACK: Final = f"""
    {_ADD}, after = least(b.after, EXCLUDED.after), attempts = 0, due_at = clock_timestamp()
"""
_LOOKED_BACK: Final = "UPDATE webhooks SET replay_from = NULL WHERE id = $1 AND replay_from = $2"
_DUE: Final = """
    SELECT key::text, file, after, upto, rises, version, attempts FROM webhook_backlogs
    WHERE webhook = $1 AND due_at <= now() ORDER BY due_at, key LIMIT $2
"""
_NEXT_DUE: Final = """
    SELECT extract(epoch FROM min(due_at) - now())::float8 FROM webhook_backlogs
    WHERE webhook = $1 AND due_at > now()
"""
_FORGET: Final = """
    DELETE FROM webhook_backlogs WHERE webhook = $1 AND key = $2 AND version = $3 AND upto <= $4
        AND (rises IS NULL OR $5) RETURNING true
"""
_PUT_OFF: Final = """
    UPDATE webhook_backlogs SET attempts = $6,
        after = CASE WHEN after < $8 THEN after ELSE $4 END,  -- somebody wants to look back
        rises = CASE WHEN $5 AND version = $3 THEN NULL ELSE rises END,
        due_at = clock_timestamp() + $7 * interval '1 second'
    WHERE webhook = $1 AND key = $2
"""
_STOP: Final = """
    UPDATE webhooks SET state = $2, reason = $3, changed_at = clock_timestamp(), holder = NULL,
        held_until = '-infinity'
    WHERE id = $1
"""
_REPORT: Final = """
    UPDATE webhooks SET delivered = delivered + $2, failed = failed + $3, given_up = given_up + $4,
        last_success_at = CASE WHEN $2 > 0 THEN clock_timestamp() ELSE last_success_at END,
        last_failure_at = CASE WHEN $3 > 0 THEN clock_timestamp() ELSE last_failure_at END,
        last_failure = CASE WHEN $3 > 0 THEN $5 ELSE last_failure END,
        failing_since = CASE WHEN $6 THEN NULL WHEN $3 = 0 THEN failing_since
            WHEN $2 > 0 OR failing_since IS NULL THEN clock_timestamp() ELSE failing_since END
    WHERE id = $1
"""


class PostgresWebhookServing:
    """The part of `PostgresWebhooks` for the node that serves an endpoint."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, holder: str, *, lease: float, limit: int) -> list[Webhook]:
        """See `Webhooks.claim`."""
        rows = await self._database.write(lambda c: c.fetch(_CLAIM, holder, lease, limit))
        return [webhook_of(row) for row in rows]

    async def renew(self, holder: str, *, lease: float) -> list[Webhook]:
        """See `Webhooks.renew`."""
        rows = await self._database.write(lambda c: c.fetch(_RENEW, holder, lease))
        return [webhook_of(row) for row in rows]

    async def release(self, id_: str, holder: str) -> None:
        """See `Webhooks.release`."""
        await self._database.write(lambda c: c.execute(_RELEASE, id_, holder))

    async def behind(self, id_: str, keys: Collection[str]) -> set[str]:
        """See `Webhooks.behind`."""
        rows = await self._database.read(lambda c: c.fetch(_BEHIND, id_, list(keys)))
        return {row[0] for row in rows}

    async def advance(
        self,
        id_: str,
        holder: str,
        positions: bytes,
        backlogs: Sequence[NewBacklog],
        report: Report,
    ) -> bool:
        """See `Webhooks.advance`."""

        async def act(connection: Any) -> None:
            await connection.execute(_ADVANCE, id_, positions)
            if backlogs:
                await connection.execute(_ADD, id_, *_columns(backlogs))
            await _report(connection, id_, report)

        return await self._holding(id_, holder, act)

    async def look_back(
        self, id_: str, holder: str, backlogs: Sequence[NewBacklog], *, done: int | None
    ) -> bool:
        """See `Webhooks.look_back`."""

        async def act(connection: Any) -> None:
            if backlogs:
                await connection.execute(_LOOK_BACK, id_, *_columns(backlogs))
            if done is not None:
                await connection.execute(_LOOKED_BACK, id_, done)

        return await self._holding(id_, holder, act)

    async def due(self, id_: str, limit: int) -> tuple[list[Backlog], float | None]:
        """See `Webhooks.due`."""

        async def run(connection: Any) -> tuple[list[Any], float | None]:
            rows = await connection.fetch(_DUE, id_, limit)
            return rows, await connection.fetchval(_NEXT_DUE, id_)

        rows, later = await self._database.read(run)
        return [Backlog(*row) for row in rows], later

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
        told = (id_, backlog.key, backlog.version, after, told_rises)

        async def act(connection: Any) -> None:
            await _report(connection, id_, report)
            if not await connection.fetchval(_FORGET, *told):
                await connection.execute(_PUT_OFF, *told, attempts, delay, backlog.after)

        return await self._holding(id_, holder, act)

    async def stop(self, id_: str, holder: str, state: WebhookState, reason: str) -> bool:
        """See `Webhooks.stop`."""
        return await self._holding(id_, holder, lambda c: c.execute(_STOP, id_, state, reason))

    async def _holding(self, id_: str, holder: str, act: Callable[[Any], Awaitable[Any]]) -> bool:
        """Do this while `holder` has the endpoint."""

        async def run(connection: Any) -> bool:
            async with connection.transaction():
                held = await connection.fetchval(_HOLD, id_, holder)
                if held:
                    await act(connection)
                return bool(held)

        return await self._database.write(run)


async def _report(connection: Any, id_: str, report: Report) -> None:
    if report.delivered or report.failed or report.given_up:
        counts = (report.delivered, report.failed, report.given_up)
        await connection.execute(_REPORT, id_, *counts, report.failure, report.ended_well)


def _columns(backlogs: Sequence[NewBacklog]) -> tuple[list[Any], ...]:
    return (
        [each.key for each in backlogs],
        [each.file for each in backlogs],
        [each.after for each in backlogs],
        [each.upto for each in backlogs],
        [each.rises for each in backlogs],
        [each.attempts for each in backlogs],
        [each.delay for each in backlogs],
    )


def webhook_of(row: Any) -> Webhook:
    """A row of the columns `WEBHOOK`."""
    id_, owner, username, url, events, *rest = row
    return Webhook(id_, owner, username, url, tuple(events), *rest)
