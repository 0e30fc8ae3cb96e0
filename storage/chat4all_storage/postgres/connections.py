"""Connections to one PostgreSQL database, and what its errors mean to us.

Everything here that is `async` runs on the bridge's asyncio loop, except `Database`'s methods,
which are called from trio and cross the bridge once per call.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import asyncpg

from ..ports.errors import InDoubt, Moved, Rejected, StorageError, Unavailable
from .libpq import ServerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..bridge import Bridge

T = TypeVar("T")

SECONDS: Final = 1.0
CONNECT_TIMEOUT: Final = 5 * SECONDS
COMMAND_TIMEOUT: Final = 10 * SECONDS
"""A statement of ours takes milliseconds; after this long its connection is given up."""
ACQUIRE_TIMEOUT: Final = 5 * SECONDS
READ_CONNECTIONS: Final = 4

SETTINGS: Final = {
    "application_name": "chat4all",
    # An acknowledgement means flushed to disk, whatever the server's default says.
    "synchronous_commit": "on",
    # The write path decides by what is committed when it holds its locks.
    "default_transaction_isolation": "read committed",
    # Shorter than COMMAND_TIMEOUT: the server then says that nothing was written.
    "lock_timeout": "8s",
    "statement_timeout": "9s",
    "idle_in_transaction_session_timeout": "15s",
    "jit": "off",
}
# Every statement of ours is a handful of index look-ups per row; a plan made while a table was
# still empty would otherwise scan it for as long as the connection keeps the plan.
POINT_LOOKUPS: Final = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
}

# These pass, and nothing was committed. Classes: connection, authorization (at connecting: somebody
# is changing passwords), transaction rolled back, resources, an operator's intervention, the
# system around it. States: read-only (a standby), no such database, lock not available.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_PASSING_CLASSES: Final = frozenset({"08", "28", "40", "53", "57", "58"})
# Of a prepared statement: its result has changed, or the server has forgotten it.
_STALE_STATES: Final = frozenset({"0A000", "26000"})
_PASSING_STATES: Final = frozenset({"25006", "3D000", "55P03"})
# After an ERROR the statement is rolled back and the session goes on; after these there is no
# session, and a commit under way may or may not have happened.
_SESSION_LOST: Final = frozenset({"FATAL", "PANIC"})
_COMPLETION_UNKNOWN: Final = "40003"
_MOVED: Final = "C4M01"
"""Our own: a conversation's shard is not served by this database (migration 0004)."""


def not_written(error: Exception) -> StorageError:
    """What an error means when no write can have been sent."""
    if isinstance(error, asyncpg.PostgresError | ServerError):
        state = error.sqlstate or ""
        if state == _MOVED:
            return Moved(str(error))
        passing = state[:2] in _PASSING_CLASSES or state in _PASSING_STATES
        if passing or _session_lost(error):
            return Unavailable(f"PostgreSQL {state}: {error}")
        if isinstance(error, asyncpg.InvalidCachedStatementError) or state in _STALE_STATES:
            return Unavailable(f"the schema changed: {error}")
        return Rejected(f"PostgreSQL {state}: {error}")
    if isinstance(error, ValueError):  # asyncpg's own DataError among them
        return Rejected(f"a value can't be sent to PostgreSQL: {error}")
    return Unavailable(f"{type(error).__name__}: {error}".rstrip(": "))


def maybe_written(error: Exception) -> StorageError:
    """What an error means after a write was sent: only the server's own refusal is certain."""
    meant = not_written(error)
    if isinstance(error, asyncpg.PostgresError | ServerError):
        return InDoubt(str(meant)) if _session_lost(error) else meant
    return meant if isinstance(meant, Rejected) else InDoubt(str(meant))


def _session_lost(error: asyncpg.PostgresError | ServerError) -> bool:
    # Class 08 is asyncpg's own: it raises it when the server is gone without a word.
    state = error.sqlstate or ""
    severity = getattr(error, "severity_en", None) or getattr(error, "severity", None)
    return severity in _SESSION_LOST or state[:2] == "08" or state == _COMPLETION_UNKNOWN


ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    ServerError,
    OSError,
    TimeoutError,
    ValueError,
)
"""What a call that failed raises, by either driver."""


class Database:
    """One database: a connection that writes, and a few that read.

    The writers share a connection of their own, one after the other: readers can't starve them,
    and when an outcome is in doubt the connection is dropped, never used again.
    """

    def __init__(
        self,
        bridge: Bridge,
        dsn: str,
        *,
        prepare: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """`prepare(dsn)` has to succeed, on the asyncio loop, before anything else is done."""
        self._bridge = bridge
        self._dsn = dsn
        self._prepare = prepare
        self._preparing = asyncio.Lock()
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()
        self._writer: asyncpg.Connection | None = None
        self._writing = asyncio.Lock()
        self._closed = False

    async def read(self, fn: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Run `fn(connection)` on a reading connection.

        Raises:
            Unavailable, Rejected: nothing to clean up.
        """
        timeout = CONNECT_TIMEOUT + COMMAND_TIMEOUT
        try:
            return await self._bridge.call(self._read, fn, timeout=timeout + 1 * SECONDS)
        except TimeoutError:
            raise Unavailable("no answer in time") from None

    async def write(self, fn: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Run `fn(connection)` on the writing connection; callers take turns.

        What `fn` does is one statement or one transaction.

        Raises:
            Unavailable, Rejected: nothing was written.
            InDoubt: it may have been.
        """
        timeout = ACQUIRE_TIMEOUT + CONNECT_TIMEOUT + COMMAND_TIMEOUT
        try:
            return await self._bridge.call(self._write, fn, timeout=timeout + 1 * SECONDS)
        except TimeoutError:
            raise InDoubt("no answer in time") from None

    async def ready(self) -> None:
        """Do what is to be done before anything else is.

        Raises:
            Unavailable, Rejected: it could not be done.
        """
        if self._prepare is None:
            return
        try:
            await self._bridge.call(self._get_ready, timeout=CONNECT_TIMEOUT + COMMAND_TIMEOUT)
        except TimeoutError:
            raise Unavailable("no answer in time") from None

    async def close(self) -> None:
        """Give up all connections. Calls under way fail, and so do later ones."""
        await self._bridge.call(self._close, timeout=CONNECT_TIMEOUT)

    # --- on the asyncio loop ------------------------------------------------------------------

    async def _read(self, fn: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        try:
            pool = await self._open_pool()
            async with (
                asyncio.timeout(COMMAND_TIMEOUT),
                pool.acquire(timeout=ACQUIRE_TIMEOUT) as connection,
            ):
                try:
                    return await fn(connection)
                except asyncio.CancelledError:
                    connection.terminate()  # or its release would wait for the server
                    raise
        except ERRORS as error:
            raise not_written(error) from error

    async def _get_ready(self) -> None:
        try:
            await self._prepared()
        except ERRORS as error:
            raise not_written(error) from error

    async def _prepared(self) -> None:
        async with self._preparing:
            if self._prepare is not None:
                await self._prepare(self._dsn)
                self._prepare = None

    async def _open_pool(self) -> asyncpg.Pool:
        await self._prepared()
        async with self._opening:
            if self._closed:
                raise asyncpg.InterfaceError("the store is closed")
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._dsn,
                    min_size=0,
                    max_size=READ_CONNECTIONS,
                    timeout=CONNECT_TIMEOUT,
                    command_timeout=COMMAND_TIMEOUT,
                    server_settings=SETTINGS | POINT_LOOKUPS,
                    reset=_nothing_to_reset,
                )
            return self._pool

    async def _write(self, fn: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(ACQUIRE_TIMEOUT):
                await self._writing.acquire()
        except TimeoutError as error:
            raise Unavailable("another write takes too long") from error
        try:
            try:
                connection = await self._open_writer()
            except ERRORS as error:
                raise not_written(error) from error
            try:
                async with asyncio.timeout(COMMAND_TIMEOUT):
                    return await fn(connection)
            except ERRORS as error:
                meaning = maybe_written(error)
                if not isinstance(meaning, Rejected):
                    connection.terminate()
                raise meaning from error
            except BaseException:
                connection.terminate()
                raise
        finally:
            self._writing.release()

    async def _open_writer(self) -> asyncpg.Connection:
        if self._closed:
            raise asyncpg.InterfaceError("the store is closed")
        await self._prepared()
        if self._writer is None or self._writer.is_closed():
            self._writer = await connect(self._dsn, POINT_LOOKUPS)
        return self._writer

    async def _close(self) -> None:
        self._closed = True
        if self._writer is not None:
            self._writer.terminate()
        if self._pool is not None:
            try:
                async with asyncio.timeout(1 * SECONDS):
                    await self._pool.close()
            except ERRORS:
                self._pool.terminate()


async def _nothing_to_reset(_: Any) -> None:
    """Readers change nothing of their session: no round trip after each."""


async def connect(
    dsn: str,
    settings: dict[str, str] | None = None,
    *,
    command_timeout: float = COMMAND_TIMEOUT,
) -> Any:
    """A connection of its own, on the asyncio loop, with our settings."""
    return await asyncpg.connect(
        dsn,
        timeout=CONNECT_TIMEOUT,
        command_timeout=command_timeout,
        server_settings=SETTINGS | (settings or {}),
    )


async def with_connection(
    bridge: Bridge,
    dsn: str,
    fn: Callable[[asyncpg.Connection], Awaitable[T]],
    *,
    timeout: float,
    settings: dict[str, str] | None = None,
) -> T:
    """Run `fn` on a fresh connection that is closed afterwards.

    Raises:
        Unavailable: the database can't be reached, or broke off.
        Rejected: it refuses.
    """

    async def run() -> T:
        try:
            connection = await connect(dsn, settings)
            try:
                return await fn(connection)
            finally:
                with suppress(*ERRORS):
                    await connection.close(timeout=1 * SECONDS)
        except ERRORS as error:
            raise not_written(error) from error

    try:
        return await bridge.call(run, timeout=timeout)
    except TimeoutError:
        raise Unavailable("no answer in time") from None
