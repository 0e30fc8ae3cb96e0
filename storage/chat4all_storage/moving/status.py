"""Where the logical shards are, as the directory and the databases themselves say."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from ..ports.errors import Rejected, Unavailable
from ..postgres.connections import with_connection
from ..postgres.identity import address_of, read_identity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..bridge import Bridge

TIMEOUT: Final = 30.0


class DatabaseStatus(Struct, frozen=True):
    """One of the databases that are configured."""

    position: int
    """The first is 1: the directory."""
    name: str | None
    """Its lasting name; None if it can't be reached and was never used."""
    address: str
    error: str | None = None
    """Why nothing is known of it."""


class ShardStatus(Struct, frozen=True):
    """One logical shard."""

    shard: int
    database: str
    state: str | None
    """`serving`, or what its database's fence says; None if that can't be reached."""
    conversations: int | None
    events: int | None


class MoveStatus(Struct, frozen=True):
    """A move that is not over."""

    shard: int
    source: str
    target: str
    started_at: str


class Status(Struct, frozen=True):
    """Everything that is known of the shards."""

    databases: list[DatabaseStatus]
    shards: list[ShardStatus]
    moves: list[MoveStatus]


async def name_databases(bridge: Bridge, dsns: Sequence[str]) -> list[DatabaseStatus]:
    """The configured databases, those included that can't be reached.

    Raises:
        Unavailable: the directory can't be reached.
    """
    found: list[DatabaseStatus] = []
    for position, dsn in enumerate(dsns, 1):
        address = address_of(dsn)
        try:
            identity = await with_connection(bridge, dsn, read_identity, timeout=TIMEOUT)
        except (Unavailable, Rejected) as error:
            if position == 1:
                raise
            look = partial(_name_of, address=address)
            name = await with_connection(bridge, dsns[0], look, timeout=TIMEOUT)
            found.append(DatabaseStatus(position, name, address, str(error)))
        else:
            found.append(DatabaseStatus(position, identity.name, address))
    return found


async def shard_status(bridge: Bridge, dsns: Sequence[str]) -> Status:
    """Where every logical shard is, and how much is in it.

    Raises:
        Unavailable: the directory can't be reached.
        Rejected: its schema is not up to date.
    """
    databases = await name_databases(bridge, dsns)
    counted: dict[tuple[str, int], tuple[str, int, int]] = {}
    for database, dsn in zip(databases, dsns, strict=True):
        if database.name is not None and database.error is None:
            rows = await with_connection(bridge, dsn, _count, timeout=TIMEOUT)
            for shard, state, conversations, events in rows:
                counted[database.name, shard] = (state, conversations, events)
    placed, moves = await with_connection(bridge, dsns[0], _placed, timeout=TIMEOUT)
    shards: list[ShardStatus] = []
    for shard, name in placed:
        shards.append(ShardStatus(shard, name, *counted.get((name, shard), (None, None, None))))
    return Status(databases, shards, [MoveStatus(*row) for row in moves])


async def _name_of(connection: Any, address: str) -> str | None:
    query = "SELECT name::text FROM databases WHERE address = $1"
    name: str | None = await connection.fetchval(query, address)
    return name


async def _count(connection: Any) -> list[Any]:
    rows: list[Any] = await connection.fetch(
        """SELECT s.shard::int, coalesce(f.state, 'serving'), count(c.id),
               coalesce(sum(c.head), 0)::bigint
           FROM generate_series(0, 63) AS s (shard)
           LEFT JOIN shard_fences f ON f.shard = s.shard
               AND (f.state <> 'frozen' OR f.until > clock_timestamp())
           LEFT JOIN conversations c ON c.shard = s.shard
           GROUP BY s.shard, f.state"""
    )
    return rows


async def _placed(connection: Any) -> tuple[list[Any], list[Any]]:
    placed = await connection.fetch("SELECT shard, database::text FROM shards ORDER BY shard")
    moves = await connection.fetch(
        """SELECT shard, source::text, target::text,
               to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
           FROM shard_moves ORDER BY shard"""
    )
    return placed, moves
