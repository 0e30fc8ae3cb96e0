"""Empties messages that their conversations keep no longer, in every database.

Every node does it: whoever comes first has the conversations of a round, the others leave them
out. What is emptied is told to nobody; who reads it later finds its place empty.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NoReturn

import trio

from chat4all_storage.ports.errors import StorageError

if TYPE_CHECKING:
    from chat4all_storage.ports.shard import ShardStore

logger = logging.getLogger(__name__)

AT_ONCE: Final = 500
"""Events looked at in one transaction: what is written to their conversations waits for it."""
PAUSE: Final = 0.05
"""Seconds between two rounds while there is more: commits come first."""


class Retention:
    """Looks after one database."""

    def __init__(self, store: ShardStore, interval: float) -> None:
        """`interval` is in seconds."""
        self._store = store
        self._interval = interval

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Empty what is due, every interval, until cancelled."""
        task_status.started()
        while True:
            await trio.sleep(self._interval)
            await self.empty()

    async def empty(self) -> None:
        """Empty everything that is due now; a database that fails is tried again next time."""
        more = True
        while more:
            try:
                done = await self._store.expire(AT_ONCE)
            except StorageError as error:
                logger.warning(
                    "old messages of database %s can't be emptied: %s", self._store.name, error
                )
                return
            if done.messages:
                logger.info("%d messages were kept long enough", done.messages)
            more = done.more
            if more:
                await trio.sleep(PAUSE)
