"""A connection of libpq's that has one statement prepared, and what opening it may raise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .connections import CONNECT_TIMEOUT, ERRORS, POINT_LOOKUPS, SETTINGS, not_written
from .libpq import LibpqConnection, TimeLimit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def open_prepared(
    dsn: str, prepare: Callable[[], Awaitable[None]], name: bytes, query: str
) -> LibpqConnection:
    """Open one with our settings, after `prepare()` has succeeded.

    Raises:
        Unavailable, Rejected: there is no connection.
    """
    await prepare()
    try:
        with TimeLimit(CONNECT_TIMEOUT):
            connection = await LibpqConnection.open(dsn, SETTINGS | POINT_LOOKUPS)
            try:
                await connection.prepare(name, query)
            except BaseException:
                connection.close()
                raise
    except ERRORS as error:
        raise not_written(error) from error
    return connection
