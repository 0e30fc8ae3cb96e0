"""What is to be sent through channels, on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..ports.audit import channel_subject
from ..ports.deliveries import (
    RAISED_BY,
    Delivery,
    Progress,
    Sent,
    Step,
    by_account,
    delivery_of,
)
from ..ports.events import KINDS
from .audit import tell
from .channel_accounts import HELD

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..ports.audit import Act, Actor
    from ..ports.deliveries import DeliveryState, Finish, NewDelivery, Told
    from .connections import Database

_KIND_NUMBERS: Final = {kind: number for number, kind in enumerate(KINDS)}

_ADD: Final = """
    WITH new AS (
        INSERT INTO deliveries (account, chat, address, conversation, seq, kind, target, part)
        SELECT account, chat, address, conversation, seq, kind, target, part
        FROM unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::bigint[], $6::smallint[],
                    $7::bigint[], $8::integer[])
            WITH ORDINALITY AS g (account, chat, address, conversation, seq, kind, target, part, n)
        ORDER BY n
        ON CONFLICT (conversation, seq, account, chat, part) DO NOTHING RETURNING id, account
    )
    SELECT account FROM new GROUP BY account ORDER BY min(id)
"""
# From the first of a chat to that of the next one: so it costs chats, not what waits in them.
_DUE: Final = """
    WITH RECURSIVE chats AS (
        SELECT min(chat) AS chat FROM deliveries
        WHERE account = $1 AND state IN ('queued', 'sending')
        UNION ALL
        SELECT (SELECT min(chat) FROM deliveries
            WHERE account = $1 AND state IN ('queued', 'sending') AND chat > c.chat)
        FROM chats c WHERE c.chat IS NOT NULL
    ), queued AS (
        SELECT f.* FROM chats c CROSS JOIN LATERAL (
            SELECT * FROM deliveries
            WHERE account = $1 AND state IN ('queued', 'sending') AND chat = c.chat
            ORDER BY id LIMIT 1
        ) f WHERE f.state = 'queued'
    ), later AS (
        SELECT extract(epoch FROM min(due_at) - clock_timestamp())::float8 AS seconds FROM queued
        WHERE due_at > clock_timestamp()
    )
    SELECT later.seconds, q.id, q.chat, q.address, q.conversation, q.seq, q.kind, q.target, q.part,
        q.attempts, floor(extract(epoch FROM q.added_at) * 1000)::bigint
    FROM later LEFT JOIN LATERAL (
        SELECT * FROM queued WHERE due_at <= clock_timestamp() ORDER BY id LIMIT $2
    ) q ON true
"""
_BEGIN: Final = f"""
    WITH {HELD}
    UPDATE deliveries SET state = 'sending', changed_at = clock_timestamp()
    WHERE account = $1 AND id = ANY ($3::bigint[]) AND state = 'queued'
        AND EXISTS (SELECT FROM held)
    RETURNING id
"""
_NOTE_PLACES: Final = """
    INSERT INTO channel_messages (account, chat, message, conversation, seq, address, part)
    SELECT account, chat, message, conversation, seq, address, part FROM noted
    ON CONFLICT (account, chat, message) DO NOTHING
"""
_FINISH: Final = f"""
    WITH {HELD}, given AS (
        SELECT * FROM unnest($3::bigint[], $4::text[], $5::float8[], $6::integer[], $7::text[],
                             $8::text[])
            AS g (id, state, delay, attempts, reason, message)
    ), done AS (
        UPDATE deliveries d SET state = g.state, attempts = g.attempts, reason = g.reason,
            due_at = clock_timestamp() + g.delay * interval '1 second',
            message = coalesce(d.message, g.message), changed_at = clock_timestamp(),
            sent_at = CASE WHEN g.state = 'sent' THEN clock_timestamp() END,
            step_states = CASE WHEN g.state = 'queued' THEN d.step_states
                ELSE d.step_states || g.state END,
            step_times = CASE WHEN g.state = 'queued' THEN d.step_times
                ELSE d.step_times || clock_timestamp() END
        FROM given g
        WHERE d.id = g.id AND d.account = $1 AND d.state = 'sending' AND EXISTS (SELECT FROM held)
        RETURNING d.*
    ), told AS (
        UPDATE deliveries d SET message = coalesce(d.message, g.message)
        FROM given g
        WHERE d.id = g.id AND d.account = $1 AND d.state <> 'sending' AND g.message IS NOT NULL
            AND EXISTS (SELECT FROM held)
        RETURNING d.*
    ), noted AS (
        SELECT * FROM done WHERE message IS NOT NULL UNION ALL SELECT * FROM told
    )
    {_NOTE_PLACES}
"""
_PROGRESS: Final = """
    d.id, d.account, d.address, d.conversation, d.seq, d.part, d.state, d.reason, d.attempts,
    d.step_states, ARRAY(SELECT floor(extract(epoch FROM t) * 1000)::bigint
        FROM unnest(d.step_times) WITH ORDINALITY AS s (t, n) ORDER BY n)
"""
_RAISE: Final = f"""
    UPDATE deliveries d SET state = $3, reason = $4, changed_at = clock_timestamp(),
        sent_at = coalesce(d.sent_at, clock_timestamp()),
        step_states = d.step_states || $3::text, step_times = d.step_times || clock_timestamp()
    WHERE d.account = $1 AND d.state = ANY ($2::text[]) AND {{which}}
    RETURNING {_PROGRESS}
"""
_RAISE_BY_ID: Final = _RAISE.format(which="d.id = $5")
_RAISE_BY_MESSAGE: Final = _RAISE.format(
    which="d.message = $5 AND ($6::text IS NULL OR d.chat = $6)"
)
_RAISE_UP_TO: Final = _RAISE.format(
    which="d.chat = $5 AND d.sent_at <= to_timestamp($6::float8 / 1000)"
)
_SETTLE: Final = f"""
    WITH noted AS (
        UPDATE deliveries SET message = $3 WHERE account = $1 AND id = $2 AND message IS NULL
        RETURNING *
    )
    {_NOTE_PLACES}
"""
_NOTE: Final = """
    INSERT INTO channel_messages (account, chat, message, conversation, seq, address, part)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::bigint[], $6::text[],
                         $7::integer[])
    ON CONFLICT (account, chat, message) DO NOTHING
"""
_SENT: Final = "account, chat, message, conversation, seq, address, part"
_MESSAGES: Final = f"""
    SELECT {_SENT} FROM channel_messages
    WHERE account = $1 AND chat = $2 AND message = ANY ($3::text[])
"""
_MESSAGES_OF: Final = f"""
    SELECT {_SENT} FROM channel_messages WHERE conversation = $1 AND seq = $2
    ORDER BY account COLLATE "C", chat COLLATE "C", part
"""
_OF_EVENT: Final = f"""
    SELECT {_PROGRESS} FROM deliveries d WHERE conversation = $1 AND seq = $2 ORDER BY id
"""
_FAILURES: Final = f"""
    SELECT {_PROGRESS} FROM deliveries d
    WHERE conversation = $1 AND state = 'failed' AND changed_at >= to_timestamp($2::float8 / 1000)
    ORDER BY id
"""
_LISTED: Final = f"""
    SELECT {_PROGRESS} FROM deliveries d
    WHERE state = ANY ($1::text[]) AND ($2::text IS NULL OR account = $2) AND id > $3
    ORDER BY id LIMIT $4
"""
_COUNTS: Final = """
    SELECT account, state, count(*) FROM deliveries
    WHERE state IN ('queued', 'sending', 'unknown', 'sent', 'failed') GROUP BY account, state
"""
_RETRY: Final = """
    UPDATE deliveries SET state = 'queued', attempts = 0, reason = NULL,
        due_at = clock_timestamp(), changed_at = clock_timestamp()
    WHERE id = ANY ($1::bigint[]) AND state IN ('failed', 'unknown')
    RETURNING account, id
"""
_DROP: Final = """
    UPDATE deliveries SET state = 'dropped', changed_at = clock_timestamp(),
        step_states = step_states || 'dropped'::text, step_times = step_times || clock_timestamp()
    WHERE id = ANY ($1::bigint[]) AND state IN ('queued', 'failed', 'unknown')
    RETURNING account, id
"""
_TRIM: Final = """
    WITH gone AS (
        DELETE FROM deliveries WHERE id IN (
            SELECT id FROM deliveries
            WHERE state NOT IN ('queued', 'sending')
                AND changed_at < clock_timestamp() - $1 * interval '1 second'
            ORDER BY changed_at LIMIT $2 FOR UPDATE SKIP LOCKED)
        RETURNING true
    ), places AS (
        DELETE FROM channel_messages WHERE (account, chat, message) IN (
            SELECT account, chat, message FROM channel_messages
            WHERE noted_at < clock_timestamp() - $1 * interval '1 second'
            ORDER BY noted_at LIMIT $2 FOR UPDATE SKIP LOCKED)
    )
    SELECT count(*) FROM gone
"""


class PostgresDeliveries:
    """See `Deliveries`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, deliveries: Sequence[NewDelivery]) -> list[str]:
        """See `Deliveries.add`."""
        columns = [
            [each.account for each in deliveries],
            [each.chat for each in deliveries],
            [each.address for each in deliveries],
            [each.conversation for each in deliveries],
            [each.seq for each in deliveries],
            [_KIND_NUMBERS[each.kind] for each in deliveries],
            [each.target for each in deliveries],
            [each.part for each in deliveries],
        ]
        rows = await self._write(_ADD, *columns)
        return [row[0] for row in rows]

    async def due(self, account: str, limit: int) -> tuple[list[Delivery], float | None]:
        """See `Deliveries.due`."""
        rows = await self._read(_DUE, account, limit)
        found = [
            Delivery(
                account=account,
                id=id_,
                chat=chat,
                address=address,
                conversation=str(conversation),
                seq=seq,
                kind=KINDS[kind],
                target=target,
                part=part,
                attempts=attempts,
                added_at=added_at,
            )
            for (
                _,
                id_,
                chat,
                address,
                conversation,
                seq,
                kind,
                target,
                part,
                attempts,
                added_at,
            ) in rows
            if id_ is not None
        ]
        return found, rows[0][0]

    async def begin(self, holder: str, account: str, ids: Sequence[int]) -> set[int]:
        """See `Deliveries.begin`."""
        rows = await self._write(_BEGIN, account, holder, list(ids))
        return {row[0] for row in rows}

    async def finish(self, holder: str, account: str, finished: Sequence[Finish]) -> None:
        """See `Deliveries.finish`."""
        await self._write(
            _FINISH,
            account,
            holder,
            [each.id for each in finished],
            [each.state for each in finished],
            [each.delay for each in finished],
            [each.attempts for each in finished],
            [each.reason for each in finished],
            [each.message for each in finished],
        )

    async def told(self, account: str, receipts: Sequence[Told]) -> list[Progress]:
        """See `Deliveries.told`."""

        async def run(connection: Any) -> list[Any]:
            found: list[Any] = []
            async with connection.transaction():
                for receipt in receipts:
                    found += await _told(connection, account, receipt)
            return found

        changed = {row[0]: row for row in await self._database.write(run)}
        return _progress(changed.values())

    async def note_messages(self, messages: Sequence[Sent]) -> None:
        """See `Deliveries.note_messages`."""
        await self._write(
            _NOTE,
            [each.account for each in messages],
            [each.chat for each in messages],
            [each.message for each in messages],
            [each.conversation for each in messages],
            [each.seq for each in messages],
            [each.address for each in messages],
            [each.part for each in messages],
        )

    async def messages(self, account: str, chat: str, messages: Sequence[str]) -> dict[str, Sent]:
        """See `Deliveries.messages`."""
        rows = await self._read(_MESSAGES, account, chat, list(messages))
        return {sent.message: sent for sent in map(_sent, rows)}

    async def messages_of(self, conversation: str, seq: int) -> list[Sent]:
        """See `Deliveries.messages_of`."""
        return [_sent(row) for row in await self._read(_MESSAGES_OF, conversation, seq)]

    async def progress(self, conversation: str, seq: int) -> list[Progress]:
        """See `Deliveries.progress`."""
        return _progress(await self._read(_OF_EVENT, conversation, seq))

    async def failures(self, conversation: str, since: int) -> list[Progress]:
        """See `Deliveries.failures`."""
        return _progress(await self._read(_FAILURES, conversation, since))

    async def listed(
        self, states: Sequence[DeliveryState], *, account: str | None, after: int, limit: int
    ) -> list[Progress]:
        """See `Deliveries.listed`."""
        return _progress(await self._read(_LISTED, list(states), account, after, limit))

    async def counts(self) -> dict[tuple[str, DeliveryState], int]:
        """See `Deliveries.counts`."""
        return {(account, state): n for account, state, n in await self._read(_COUNTS)}

    async def retry(self, ids: Sequence[int], actor: Actor) -> set[int]:
        """See `Deliveries.retry`."""
        return await self._decide("delivery.retried", _RETRY, ids, actor)

    async def drop(self, ids: Sequence[int], actor: Actor) -> set[int]:
        """See `Deliveries.drop`."""
        return await self._decide("delivery.dropped", _DROP, ids, actor)

    async def _decide(self, act: Act, query: str, ids: Sequence[int], actor: Actor) -> set[int]:
        async def run(connection: Any) -> set[int]:
            async with connection.transaction():
                rows = await connection.fetch(query, list(ids))
                for account, mine in by_account((row[0], row[1]) for row in rows):
                    await tell(connection, act, channel_subject(account), actor, deliveries=mine)
                return {row[1] for row in rows}

        return await self._database.write(run)

    async def trim(self, keep: float, limit: int) -> int:
        """See `Deliveries.trim`."""
        ((removed,),) = await self._write(_TRIM, keep, limit)
        count: int = removed
        return count

    async def _read(self, query: str, *arguments: Any) -> list[Any]:
        return await self._database.read(lambda connection: connection.fetch(query, *arguments))

    async def _write(self, query: str, *arguments: Any) -> list[Any]:
        return await self._database.write(lambda connection: connection.fetch(query, *arguments))


async def _told(connection: Any, account: str, receipt: Told) -> list[Any]:
    """Raise what one receipt is about, in the transaction that is open; the rows that changed."""
    told = (account, list(RAISED_BY[receipt.state]), receipt.state, receipt.reason)
    rows: list[Any]
    if receipt.upto is not None:
        rows = await connection.fetch(_RAISE_UP_TO, *told, receipt.chat, receipt.upto)
        return rows
    named = None if receipt.reference is None else delivery_of(receipt.reference)
    if named is not None and await connection.fetchval(_STANDS, account, named):
        if receipt.message is not None:
            await connection.execute(_SETTLE, account, named, receipt.message)
        rows = await connection.fetch(_RAISE_BY_ID, *told, named)
        return rows
    rows = await connection.fetch(_RAISE_BY_MESSAGE, *told, receipt.message, receipt.chat)
    return rows


_STANDS: Final = "SELECT true FROM deliveries WHERE account = $1 AND id = $2"


def _progress(rows: Iterable[Any]) -> list[Progress]:
    found: list[Progress] = []
    for *standing, states, times in rows:
        id_, account, address, conversation, seq, part, state, reason, attempts = standing
        place = (id_, account, address, str(conversation), seq, part)
        steps = [Step(each, at) for each, at in zip(states, times, strict=True)]
        found.append(Progress(*place, state, reason, attempts, steps))
    return found


def _sent(row: Any) -> Sent:
    account, chat, message, conversation, seq, address, part = row
    return Sent(account, chat, message, str(conversation), seq, address, part)
