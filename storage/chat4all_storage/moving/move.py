"""Move a logical shard to another database while traffic runs.

    copying   the target gets a fence and a copy, round after round, and all of it is compared
    frozen    the source is only read: the last changes are copied and compared
    moved     the source is not served any more, then the target is, then the directory says so
    purged    the source forgets the shard

Until the source is `moved`, nothing has happened to anybody: a freeze ends by itself, by the
database's clock, and what was copied is removed by whoever begins again. From then on the move can
only be finished, which running it again does, wherever the former one was when it died.

Everything here that is `async` runs on the bridge's asyncio loop.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from msgspec import Struct

from ..ports.errors import Rejected, StorageError, Unavailable
from ..postgres.connections import ERRORS, connect, not_written
from .copying import Copied, Copier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SECONDS: Final = 1.0
COMMAND_TIMEOUT: Final = 600 * SECONDS
FREEZE: Final = 3 * SECONDS
"""After so long a freeze is over whatever becomes of this process."""
FREEZE_MARGIN: Final = 1 * SECONDS
"""A freeze that ends so soon is not used any more."""
CALM: Final = 200
"""Changed conversations of a round after which the rest is copied in a moment."""
MAX_ROUNDS: Final = 20
PURGE_BATCH: Final = 200
LOCK_RETRIES: Final = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each further try to find a moment without a commit."""

# The lock of every commit (migration 0003), and ours: one move at a time.
_COMMITS: Final = "pg_advisory_xact_lock(x'6334'::integer, 1)"
_ONE_MOVE: Final = "SELECT pg_try_advisory_lock(x'6334'::integer, 2)"

_SET_FENCE: Final = """
    INSERT INTO shard_fences (shard, state) VALUES ($1, $2)
    ON CONFLICT (shard) DO UPDATE SET state = EXCLUDED.state, until = NULL
"""
_FREEZE: Final = """
    INSERT INTO shard_fences (shard, state, until)
    VALUES ($1, 'frozen', clock_timestamp() + $2 * interval '1 second')
    ON CONFLICT (shard) DO UPDATE SET state = 'frozen', until = EXCLUDED.until
    WHERE shard_fences.state = 'frozen'
"""
_THAW: Final = "DELETE FROM shard_fences WHERE shard = $1 AND state = 'frozen'"
_GIVE_UP_SOURCE: Final = """
    UPDATE shard_fences SET state = 'moved', until = NULL
    WHERE shard = $1 AND state = 'frozen' AND until > clock_timestamp() + $2 * interval '1 second'
"""
_PURGE: Final = """
    WITH doomed AS (
        SELECT id FROM conversations WHERE shard = $1
            AND (SELECT state <> 'frozen' FROM shard_fences WHERE shard = $1)
        LIMIT $2
    ), events_gone AS (
        DELETE FROM events e USING doomed WHERE e.conversation = doomed.id
    ), revisions_gone AS (
        DELETE FROM revisions r USING doomed WHERE r.conversation = doomed.id
    ), members_gone AS (
        DELETE FROM members m USING doomed WHERE m.conversation = doomed.id RETURNING 1
    )
    SELECT array_agg(id) FROM doomed
"""


class MoveReport(Struct, frozen=True):
    """How a move went."""

    shard: int
    source: str
    target: str
    conversations: int
    """Copied, those that changed meanwhile several times."""
    events: int
    rounds: int
    paused: float
    """Seconds in which the shard was not written: what its conversations noticed."""
    took: float
    resumed: bool
    """Whether it finished what an earlier run had begun."""


class ShardMove:
    """One move; `run` it, again after a failure."""

    def __init__(
        self,
        dsns: Mapping[str, str],
        shard: int,
        target: str,
        *,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`dsns` of all databases by their lasting names, the directory's first.

        `report` is called with each stage as it begins, on the loop's thread.
        """
        self._dsns = dict(dsns)
        self._shard = shard
        self._target_name = target
        self._report = report
        self._connections: list[Any] = []

    async def run(self) -> MoveReport:
        """Move the shard, or finish its move.

        Raises:
            Rejected: it can't be moved there, or the copy was not the same: nothing has changed.
            Unavailable: a database can't be reached: run it again.
        """
        try:
            return await self._run()
        except StorageError:
            raise
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise not_written(error) from error
        finally:
            for connection in self._connections:
                # Waits until the server has ended the session, and the lock of moves with it.
                with suppress(*ERRORS):
                    await connection.close(timeout=1 * SECONDS)

    async def _run(self) -> MoveReport:
        start = time.monotonic()
        shard, target_name = self._shard, self._target_name
        directory = await self._connect(next(iter(self._dsns)))
        if not await directory.fetchval(_ONE_MOVE):
            raise Rejected("another move is under way")
        placed = str(
            await directory.fetchval("SELECT database FROM shards WHERE shard = $1", shard)
        )
        begun = await directory.fetchrow(
            "SELECT source, target FROM shard_moves WHERE shard = $1", shard
        )
        if begun is not None and str(begun["target"]) != target_name:
            raise Rejected(
                f"a move of shard {shard} to database {begun['target']} was begun: finish it first"
            )
        source_name = placed if begun is None else str(begun["source"])
        if begun is None and placed == target_name:
            raise Rejected(f"shard {shard} is in that database")
        if source_name not in self._dsns:
            raise Rejected(f"shard {shard} is in database {source_name}, which is not configured")
        source = await self._connect(source_name)
        target = await self._connect(target_name)
        await directory.execute(
            """INSERT INTO shard_moves (shard, source, target) VALUES ($1, $2, $3)
               ON CONFLICT DO NOTHING""",
            shard,
            source_name,
            target_name,
        )
        copied, paused = Copied(), 0.0
        given_up = await _state(source, shard) == "moved"
        if not given_up:
            copied, paused = await self._copy(source, target, directory)
        else:
            await self._hand_over(target, directory)
        self._report("purging")
        await _purge(source, shard)
        await directory.execute("DELETE FROM shard_moves WHERE shard = $1", shard)
        return MoveReport(
            shard=shard,
            source=source_name,
            target=target_name,
            conversations=copied.conversations,
            events=copied.events,
            rounds=copied.rounds,
            paused=paused,
            took=time.monotonic() - start,
            resumed=begun is not None,
        )

    async def _copy(self, source: Any, target: Any, directory: Any) -> tuple[Copied, float]:
        self._report("copying")
        await _fenced(target, _SET_FENCE, self._shard, "copying")
        await _purge(target, self._shard)  # what an earlier move has left
        copier = Copier(self._shard, source, target)
        await copier.prepare()
        for _ in range(MAX_ROUNDS):
            if await copier.round() <= CALM:
                break
        self._report("comparing")
        await copier.compare()
        while await copier.round() > CALM and copier.copied.rounds < 2 * MAX_ROUNDS:
            pass
        self._report("freezing")
        start = time.monotonic()
        await _fenced(source, _FREEZE, self._shard, FREEZE)
        try:
            self._report("frozen")
            await copier.round()
            if different := await copier.verify():
                raise Rejected(f"the copy is not the same: {', '.join(different[:3])}")
            self._report("compared")
            done = await _fenced(source, _GIVE_UP_SOURCE, self._shard, FREEZE_MARGIN)
            if done != "UPDATE 1":
                raise Rejected(
                    "the last changes took too long: try again when there is less traffic"
                )
        except BaseException:
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await source.execute(_THAW, self._shard)
            raise
        await self._hand_over(target, directory)
        return copier.copied, time.monotonic() - start

    async def _hand_over(self, target: Any, directory: Any) -> None:
        """The source has given up the shard: serve it in the target, and tell everybody."""
        self._report("moved")
        await target.execute(
            "DELETE FROM shard_fences WHERE shard = $1 AND state = 'copying'", self._shard
        )
        self._report("served")
        await directory.execute(
            "UPDATE shards SET database = $2 WHERE shard = $1", self._shard, self._target_name
        )

    async def _connect(self, name: str) -> Any:
        settings = {"statement_timeout": "0", "idle_in_transaction_session_timeout": "60s"}
        connection = await connect(self._dsns[name], settings, command_timeout=COMMAND_TIMEOUT)
        self._connections.append(connection)
        return connection


async def _fenced(connection: Any, statement: str, *arguments: Any) -> str:
    """Change a fence at a moment at which no commit is under way; commits wait for an instant."""
    for pause in LOCK_RETRIES:
        try:
            async with connection.transaction():
                # All commits of the database wait behind us: not for long.
                await connection.execute("SET LOCAL lock_timeout = '300ms'")
                await connection.execute(f"SELECT {_COMMITS}")
                done: str = await connection.execute(statement, *arguments)
            return done
        except asyncpg.LockNotAvailableError:
            await asyncio.sleep(pause)
    raise Unavailable("a commit is always under way: try again when there is less traffic")


async def _state(connection: Any, shard: int) -> str | None:
    state: str | None = await connection.fetchval(
        "SELECT state FROM shard_fences WHERE shard = $1", shard
    )
    return state


async def _purge(connection: Any, shard: int) -> None:
    """Remove what a database holds of a shard that it does not serve, a batch at a time."""
    while True:
        async with connection.transaction():
            ids = await connection.fetchval(_PURGE, shard, PURGE_BATCH)
            if not ids:
                return
            await connection.execute("DELETE FROM conversations WHERE id = ANY ($1)", ids)
