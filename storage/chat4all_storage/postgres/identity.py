"""Which database is which: each has a lasting name, and knows the directory it is used with.

Everything here that is `async` runs on the bridge's asyncio loop.
"""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from msgspec import Struct

from ..ports.errors import Rejected, Unavailable
from .connections import connect
from .migrations import UNHURRIED, apply_missing, find_missing

logger = logging.getLogger(__name__)


class Identity(Struct, frozen=True):
    """What a database says of itself."""

    name: str
    directory: str | None
    """The name of the first of the databases it is used with."""

    def check(self, directory: str) -> None:
        """Refuse a database of another directory.

        Raises:
            Rejected: it is one.
        """
        if self.directory not in (None, directory):
            raise Rejected(
                f"database {self.name} belongs to the directory in {self.directory}:"
                " name that one first"
            )


async def read_identity(connection: Any) -> Identity:
    """What the database says of itself."""
    row = await connection.fetchrow("SELECT name, directory FROM database_identity")
    return Identity(str(row["name"]), str(row["directory"]) if row["directory"] else None)


async def claim_database(connection: Any, directory: str) -> Identity:
    """Let the database belong to this directory, unless it belongs to one; what it then says."""
    await connection.execute(
        "UPDATE database_identity SET directory = $1 WHERE directory IS NULL", directory
    )
    return await read_identity(connection)


def address_of(dsn: str) -> str:
    """Where a DSN leads: host, port and database, without the user and the password."""
    parts = urlsplit(dsn)
    place = parts.netloc.rpartition("@")[2]
    query = urlencode([(key, value) for key, value in parse_qsl(parts.query) if key in _PLACE])
    return f"{place}{parts.path}{'?' if query else ''}{query}"


_PLACE = ("host", "port", "dbname", "database")


class LateOpening:
    """What has to be done before a database is used that was away when the node started."""

    def __init__(self, name: str, directory: str, *, apply_migrations: bool) -> None:
        self._name = name
        self._directory = directory
        self._apply_migrations = apply_migrations

    async def __call__(self, dsn: str) -> None:
        """Bring the schema up to date and make sure that it is the database that was away.

        Raises:
            Unavailable: it can't be used as it is.
        """
        connection = await connect(dsn, UNHURRIED)
        try:
            if self._apply_migrations:
                await apply_missing(connection)
            elif missing := await find_missing(connection):
                raise Unavailable(f"the schema lacks {', '.join(missing)}; run: chat4all migrate")
            identity = await claim_database(connection, self._directory)
            identity.check(self._directory)
            if identity.name != self._name:
                raise Unavailable(f"this is not database {self._name} but {identity.name}")
        except Rejected as error:
            raise Unavailable(str(error)) from error
        finally:
            connection.terminate()
        logger.warning("database %s is opened", self._name)
