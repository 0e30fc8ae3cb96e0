"""Accounts on channels and what came in through them, on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..ports.audit import channel_subject
from ..ports.channel_accounts import AccountState, Backlog, Pending
from .audit import tell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..ports.audit import Actor
    from ..ports.channel_accounts import Incoming
    from .connections import Database

HELD: Final = """
    held AS MATERIALIZED (
        SELECT FROM channel_accounts
        WHERE account = $1 AND holder = $2 AND held_until > clock_timestamp() FOR SHARE
    )
"""
"""That the node `$2` holds the account `$1`, and does until the statement has ended."""
_HOLD: Final = """
    INSERT INTO channel_accounts AS a (account, holder, held_until)
    VALUES ($1, $2, clock_timestamp() + $3 * interval '1 second')
    ON CONFLICT (account) DO UPDATE SET holder = $2, held_until = EXCLUDED.held_until
    WHERE a.holder = $2 OR a.held_until <= clock_timestamp()
    RETURNING true
"""
# The row of the account is locked by then: nobody begins another one.
_TAKE_OVER: Final = """
    UPDATE deliveries SET state = 'unknown', changed_at = clock_timestamp(),
        step_states = step_states || 'unknown'::text, step_times = step_times || clock_timestamp()
    WHERE account = $1 AND state = 'sending'
"""
_LOCK: Final = "SELECT holder FROM channel_accounts WHERE account = $1 FOR UPDATE"
_LET_GO: Final = """
    UPDATE channel_accounts SET held_until = '-infinity' WHERE account = $1 AND holder = $2
"""
_TELL_STATE: Final = """
    UPDATE channel_accounts SET state = $3, detail = $4, told_at = clock_timestamp()
    WHERE account = $1 AND holder = $2 AND held_until > clock_timestamp()
"""
_STATES: Final = """
    SELECT account, CASE WHEN held_until > clock_timestamp() THEN holder END, state, detail,
        floor(extract(epoch FROM told_at) * 1000)::bigint
    FROM channel_accounts ORDER BY account COLLATE "C"
"""
_RECEIVE: Final = """
    WITH new AS (
        INSERT INTO channel_inbox (account, key, body)
        SELECT $1, i.key, i.body FROM unnest($2::text[], $3::bytea[])
            WITH ORDINALITY AS i (key, body, n) ORDER BY i.n
        ON CONFLICT (account, key) DO NOTHING RETURNING true
    )
    SELECT count(*) FROM new
"""
_NOTE_CURSOR: Final = """
    INSERT INTO channel_accounts (account, cursor) VALUES ($1, $2)
    ON CONFLICT (account) DO UPDATE SET cursor = EXCLUDED.cursor
"""
_PENDING: Final = """
    SELECT key, body, id, attempts FROM channel_inbox
    WHERE account = $1 AND body IS NOT NULL AND aside IS NULL AND id > $3 ORDER BY id LIMIT $2
"""
_WORKED: Final = f"""
    WITH {HELD}
    UPDATE channel_inbox SET body = NULL
    WHERE account = $1 AND id = ANY ($3::bigint[]) AND EXISTS (SELECT FROM held)
"""
_FAILED: Final = f"""
    WITH {HELD}
    UPDATE channel_inbox SET attempts = attempts + 1
    WHERE account = $1 AND id = $3 AND EXISTS (SELECT FROM held)
"""
_PUT_ASIDE: Final = f"""
    WITH {HELD}
    UPDATE channel_inbox SET aside = $4
    WHERE account = $1 AND id = $3 AND body IS NOT NULL AND EXISTS (SELECT FROM held)
"""
# Each side along its own index: what was worked on is far more.
_BACKLOGS: Final = """
    WITH pending AS (
        SELECT account, count(*) AS n FROM channel_inbox
        WHERE body IS NOT NULL AND aside IS NULL GROUP BY account
    ), asides AS (
        SELECT account, count(*) AS n, (array_agg(aside ORDER BY id DESC))[1] AS reason
        FROM channel_inbox WHERE aside IS NOT NULL GROUP BY account
    )
    SELECT account, coalesce(p.n, 0), coalesce(a.n, 0), a.reason
    FROM pending p FULL JOIN asides a USING (account) ORDER BY account COLLATE "C"
"""
_PUT_BACK: Final = """
    WITH back AS (
        UPDATE channel_inbox SET aside = NULL, attempts = 0
        WHERE account = $1 AND aside IS NOT NULL RETURNING true
    )
    SELECT count(*) FROM back
"""
_TRIM: Final = """
    WITH gone AS (
        DELETE FROM channel_inbox WHERE id IN (
            SELECT id FROM channel_inbox
            WHERE received_at < clock_timestamp() - $1 * interval '1 second'
                AND (body IS NULL OR aside IS NOT NULL)
            ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED)
        RETURNING true
    )
    SELECT count(*) FROM gone
"""


class PostgresChannelAccounts:
    """See `ChannelAccounts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def hold(self, account: str, holder: str, seconds: float) -> bool:
        """See `ChannelAccounts.hold`."""

        async def run(connection: Any) -> bool:
            async with connection.transaction():
                before = await connection.fetchval(_LOCK, account)
                if not await connection.fetchval(_HOLD, account, holder, seconds):
                    return False
                if before != holder:
                    await connection.execute(_TAKE_OVER, account)
                return True

        return await self._database.write(run)

    async def let_go(self, account: str, holder: str) -> None:
        """See `ChannelAccounts.let_go`."""
        await self._do(_LET_GO, account, holder)

    async def tell_state(self, account: str, holder: str, state: str, detail: str) -> None:
        """See `ChannelAccounts.tell_state`."""
        await self._do(_TELL_STATE, account, holder, state, detail)

    async def states(self) -> list[AccountState]:
        """See `ChannelAccounts.states`."""
        rows = await self._database.read(lambda connection: connection.fetch(_STATES))
        return [AccountState(*row) for row in rows]

    async def receive(
        self, account: str, events: Sequence[Incoming], cursor: str | None = None
    ) -> int:
        """See `ChannelAccounts.receive`."""
        keys, bodies = [each.key for each in events], [each.body for each in events]

        async def run(connection: Any) -> int:
            async with connection.transaction():
                new: int = await connection.fetchval(_RECEIVE, account, keys, bodies)
                if cursor is not None:
                    await connection.execute(_NOTE_CURSOR, account, cursor)
                return new

        return await self._database.write(run)

    async def cursor(self, account: str) -> str | None:
        """See `ChannelAccounts.cursor`."""
        query = "SELECT cursor FROM channel_accounts WHERE account = $1"
        found: str | None = await self._database.read(
            lambda connection: connection.fetchval(query, account)
        )
        return found

    async def pending(self, account: str, limit: int, after: int = 0) -> list[Pending]:
        """See `ChannelAccounts.pending`."""
        rows = await self._database.read(
            lambda connection: connection.fetch(_PENDING, account, limit, after)
        )
        return [Pending(*row) for row in rows]

    async def worked(self, account: str, holder: str, ids: Sequence[int]) -> None:
        """See `ChannelAccounts.worked`."""
        await self._do(_WORKED, account, holder, list(ids))

    async def failed(self, account: str, holder: str, id_: int) -> None:
        """See `ChannelAccounts.failed`."""
        await self._do(_FAILED, account, holder, id_)

    async def put_aside(self, account: str, holder: str, id_: int, reason: str) -> None:
        """See `ChannelAccounts.put_aside`."""
        await self._do(_PUT_ASIDE, account, holder, id_, reason)

    async def backlogs(self) -> list[Backlog]:
        """See `ChannelAccounts.backlogs`."""
        rows = await self._database.read(lambda connection: connection.fetch(_BACKLOGS))
        return [Backlog(*row) for row in rows]

    async def put_back(self, account: str, actor: Actor) -> int:
        """See `ChannelAccounts.put_back`."""

        async def run(connection: Any) -> int:
            async with connection.transaction():
                back: int = await connection.fetchval(_PUT_BACK, account)
                if back:
                    subject = channel_subject(account)
                    await tell(connection, "incoming.put_back", subject, actor, events=back)
                return back

        return await self._database.write(run)

    async def trim(self, keep: float, limit: int) -> int:
        """See `ChannelAccounts.trim`."""
        return await self._count(_TRIM, keep, limit)

    async def _do(self, query: str, *arguments: Any) -> None:
        await self._database.write(lambda connection: connection.execute(query, *arguments))

    async def _count(self, query: str, *arguments: Any) -> int:
        found: int = await self._database.write(
            lambda connection: connection.fetchval(query, *arguments)
        )
        return found
