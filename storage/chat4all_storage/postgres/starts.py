"""The connections that read what every session waits for when it starts.

They are apart from the other readers, as a storm of reconnects asks hundreds of times a second.
Over the bridge each system call of the node's own thread let the other one in: by a profile a
`send` took 80 us, and 46 this way (see `libpq.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..ports.errors import Rejected, Unavailable
from .connections import COMMAND_TIMEOUT, ERRORS, not_written
from .libpq import TimeLimit
from .prepared import open_prepared

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from .libpq import LibpqConnection, Row

_NAME: Final = b"start"


class StartConnections:
    """One database's, for one question; as many as there are callers at a time."""

    def __init__(self, dsn: str, prepare: Callable[[], Awaitable[None]], query: str) -> None:
        """`prepare()` has to succeed before each connection is opened."""
        self._dsn = dsn
        self._prepare = prepare
        self._query = query
        self._idle: list[LibpqConnection] = []
        self._closed = False

    async def read(self, values: Sequence[bytes]) -> list[Row]:
        """The rows of the answer.

        Raises:
            Unavailable, Rejected: there is none.
        """
        if self._closed:
            raise Unavailable("the store is closed")
        connection = self._idle.pop() if self._idle else await self._open()
        try:
            with TimeLimit(COMMAND_TIMEOUT):
                rows = await connection.rows(_NAME, values)
        except ERRORS as error:
            meaning = not_written(error)
            if isinstance(meaning, Rejected):
                self._keep(connection)
            else:
                connection.close()
            raise meaning from error
        except BaseException:
            connection.close()
            raise
        self._keep(connection)
        return rows

    def close(self) -> None:
        """Give them up; questions under way are answered yet, later ones fail."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _keep(self, connection: LibpqConnection) -> None:
        if self._closed:
            connection.close()
        else:
            self._idle.append(connection)

    async def _open(self) -> LibpqConnection:
        return await open_prepared(self._dsn, self._prepare, _NAME, self._query)
