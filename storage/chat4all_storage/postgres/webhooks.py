"""Endpoints of webhooks on PostgreSQL: what their owners do with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..ports.errors import Rejected
from ..ports.webhooks import TooManyWebhooks
from .audit import tell
from .webhook_serving import WEBHOOK, PostgresWebhookServing, webhook_of

if TYPE_CHECKING:
    from ..ports.audit import Actor
    from ..ports.webhooks import NewWebhook, Webhook

# Adding takes turns for each owner: what is counted is all there is.
_LOCK_OWNER: Final = "SELECT pg_advisory_xact_lock(x'6336'::integer, hashtext($1))"
_FIND: Final = f"SELECT {WEBHOOK} FROM webhooks w WHERE id = $1"
_FIND_OWN: Final = f"{_FIND} AND owner = $2"
_OF: Final = f"SELECT {WEBHOOK} FROM webhooks w WHERE owner = $1 ORDER BY created_at, id"
_ADD: Final = f"""
    INSERT INTO webhooks AS w (id, owner, username, url, events, secret, since, positions)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING {WEBHOOK}
"""
_ROTATE: Final = f"""
    UPDATE webhooks w SET secret = $3, former_secret = secret,
        former_until = clock_timestamp() + $4 * interval '1 second'
    WHERE id = $1 AND owner = $2 AND secret <> $3 RETURNING {WEBHOOK}
"""
_RESUME: Final = f"""
    UPDATE webhooks w SET state = 'active', reason = NULL, changed_at = clock_timestamp(),
        failing_since = NULL
    WHERE id = $1 AND owner = $2 AND state <> 'active' RETURNING {WEBHOOK}
"""
_ALL_DUE: Final = """
    UPDATE webhook_backlogs SET attempts = 0, due_at = clock_timestamp() WHERE webhook = $1
"""
_REPLAY: Final = f"""
    UPDATE webhooks w SET since = least(since, $3), replay_from = least(replay_from, $3)
    WHERE id = $1 AND owner = $2 RETURNING {WEBHOOK}
"""
_BACKLOG_COUNT: Final = """
    SELECT count(*) FROM (SELECT FROM webhook_backlogs WHERE webhook = $1 LIMIT $2) b
"""


class PostgresWebhooks(PostgresWebhookServing):
    """See `Webhooks`."""

    async def add(self, new: NewWebhook, actor: Actor, *, most: int) -> Webhook:
        """See `Webhooks.add`."""
        what = (new.url, list(new.events), new.secret, new.since, new.positions)
        told = (new.id, new.owner, new.username, *what)

        async def run(connection: Any) -> Any:
            async with connection.transaction():
                await connection.execute(_LOCK_OWNER, new.owner)
                if (row := await connection.fetchrow(_FIND, new.id)) is not None:
                    return row
                query = "SELECT count(*) FROM webhooks WHERE owner = $1"
                if await connection.fetchval(query, new.owner) >= most:
                    return None
                row = await connection.fetchrow(_ADD, *told)
                await tell(connection, "webhook.added", new.owner, actor, webhook=new.id)
                return row

        row = await self._database.write(run)
        if row is None:
            raise TooManyWebhooks(f"there are {most}")
        if (stands := webhook_of(row)).owner != new.owner:
            raise Rejected("another owner has an endpoint of this id")
        return stands

    async def find(self, id_: str, owner: str) -> Webhook | None:
        """See `Webhooks.find`."""
        row = await self._database.read(lambda c: c.fetchrow(_FIND_OWN, id_, owner))
        return None if row is None else webhook_of(row)

    async def of(self, owner: str) -> list[Webhook]:
        """See `Webhooks.of`."""
        rows = await self._database.read(lambda c: c.fetch(_OF, owner))
        return [webhook_of(row) for row in rows]

    async def remove(self, id_: str, owner: str, actor: Actor) -> bool:
        """See `Webhooks.remove`."""

        async def run(connection: Any) -> bool:
            query = "DELETE FROM webhooks WHERE id = $1 AND owner = $2 RETURNING true"
            async with connection.transaction():
                done = await connection.fetchval(query, id_, owner)
                if done:
                    await tell(connection, "webhook.removed", owner, actor, webhook=id_)
                return bool(done)

        return await self._database.write(run)

    async def rotate(
        self, id_: str, owner: str, secret: bytes, actor: Actor, *, keep: float
    ) -> Webhook | None:
        """See `Webhooks.rotate`."""

        async def run(connection: Any) -> Any:
            async with connection.transaction():
                row = await connection.fetchrow(_ROTATE, id_, owner, secret, keep)
                if row is not None:
                    await tell(connection, "webhook.rotated", owner, actor, webhook=id_)
                return row or await connection.fetchrow(_FIND_OWN, id_, owner)

        row = await self._database.write(run)
        return None if row is None else webhook_of(row)

    async def resume(self, id_: str, owner: str) -> Webhook | None:
        """See `Webhooks.resume`."""

        async def run(connection: Any) -> Any:
            async with connection.transaction():
                row = await connection.fetchrow(_RESUME, id_, owner)
                if row is not None:
                    await connection.execute(_ALL_DUE, id_)
                return row or await connection.fetchrow(_FIND_OWN, id_, owner)

        row = await self._database.write(run)
        return None if row is None else webhook_of(row)

    async def replay(self, id_: str, owner: str, since: int) -> Webhook | None:
        """See `Webhooks.replay`."""
        row = await self._database.write(lambda c: c.fetchrow(_REPLAY, id_, owner, since))
        return None if row is None else webhook_of(row)

    async def backlog_count(self, id_: str, most: int) -> int:
        """See `Webhooks.backlog_count`."""
        found: int = await self._database.read(lambda c: c.fetchval(_BACKLOG_COUNT, id_, most))
        return found
