"""A past: messages that a server's database holds before a run, written without the server.

They are of private conversations of their own, 1,000 messages each, as a server would have stored
them: indexed, analysed, and on disk.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .target import SetupError

if TYPE_CHECKING:
    from collections.abc import Sequence

EACH: Final = 1000
"""Messages of a conversation."""
AT_ONCE: Final = 100
"""Conversations of a transaction."""

_CONVERSATIONS: Final = """
    INSERT INTO conversations (id, type, created_by, created_at, active_at, head)
    SELECT md5('history' || n)::uuid, 'private', 'history_a', $3, $3, $4
    FROM generate_series($1::bigint, $2::bigint) n
"""
_MEMBERS: Final = """
    INSERT INTO members (conversation, username, role, position)
    SELECT md5('history' || n)::uuid, who.name, 'member', who.place
    FROM generate_series($1::bigint, $2::bigint) n
        CROSS JOIN (VALUES ('history_a', 1), ('history_b', 2)) AS who (name, place)
"""
_EVENTS: Final = """
    INSERT INTO events (conversation, seq, id, sender, kind, ts, digest, body)
    SELECT md5('history' || n)::uuid, seq, gen_random_uuid(),
        CASE seq % 2 WHEN 0 THEN 'history_a' ELSE 'history_b' END, 0, $3, seq, $5
    FROM generate_series($1::bigint, $2::bigint) n
        CROSS JOIN generate_series(1, $4::bigint) seq
"""


def fill(place: Sequence[str], messages: int, text_bytes: int) -> None:
    """Let the first database at `place` hold `messages` more, rounded up to whole conversations.

    `place` are the arguments that name it to a command of the server.

    Raises:
        SetupError: there is no database.
    """
    asyncio.run(_fill(_dsn(place), -(-messages // EACH), text_bytes))


def _dsn(place: Sequence[str]) -> str:
    from chat4all_storage.embedded.embedded import find_embedded

    if "--postgres" in place:
        return place[place.index("--postgres") + 1]
    found = find_embedded(Path(place[place.index("--data-dir") + 1]))
    if found is None:
        raise SetupError("--history: the server has no database that could be filled")
    return found.postgres_dsn


async def _fill(dsn: str, conversations: int, text_bytes: int) -> None:
    import asyncpg

    from chat4all_protocol.codec import encode_body
    from chat4all_protocol.frames import TextBody

    body = encode_body(TextBody("x" * max(1, text_bytes)))
    now = int(time.time() * 1000)
    try:
        connection = await asyncpg.connect(dsn)
    except (OSError, asyncpg.PostgresError) as error:
        raise SetupError(f"--history: {error}") from error
    try:
        for first in range(1, conversations + 1, AT_ONCE):
            last = min(first + AT_ONCE - 1, conversations)
            async with connection.transaction():
                await connection.execute(_CONVERSATIONS, first, last, now, EACH)
                await connection.execute(_MEMBERS, first, last)
                await connection.execute(_EVENTS, first, last, now, EACH, body)
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
