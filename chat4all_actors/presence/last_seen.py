"""When users were there last: in memory for those seen lately, written to the directory in batches.

Best effort: a node that is killed takes what it has not written along, and when its users were
there last is then told by those who noticed.
"""

from __future__ import annotations

import logging
from itertools import islice
from typing import TYPE_CHECKING, Final, NoReturn

import trio

from chat4all_storage.ports.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Collection

    from chat4all_storage.ports.directory import Directory

logger = logging.getLogger(__name__)

LOAD_TIMEOUT: Final = 2.0
WRITE_INTERVAL: Final = 2.0
BATCH: Final = 1000
"""Users of one write."""
LAST_WRITE_TIMEOUT: Final = 2.0
"""Seconds for what is left when the node stops."""


class LastSeen:
    """The times of at most `limit` users, and those to be written."""

    def __init__(self, directory: Directory, limit: int) -> None:
        self._directory = directory
        self._limit = limit
        self._times: dict[str, int] = {}
        """In the order in which they were noted."""
        self._unwritten: dict[str, int] = {}
        self._complete = False
        self._noted = trio.Event()

    def note(self, user: str, at: int, *, write: bool) -> None:
        """The user was there at `at` (milliseconds since the epoch), and others may know.

        `write`: the directory is to know from this node.
        """
        at = max(at, self._times.pop(user, at))
        self._keep(user, at)
        if write and (user in self._unwritten or len(self._unwritten) < self._limit):
            self._unwritten[user] = at
            self._noted.set()

    def forget(self, user: str) -> None:
        """Others may not know."""
        self._times.pop(user, None)

    def doubt(self) -> None:
        """Users may have been seen that were not noted here."""
        self._complete = False

    def of(self, user: str) -> int | None:
        """The time, if it is known here."""
        return self._times.get(user)

    def unknown(self, users: Collection[str]) -> list[str]:
        """Those of whom the directory may know more."""
        return [] if self._complete else [user for user in users if user not in self._times]

    async def look_up(self, users: Collection[str]) -> None:
        """Ask the directory about these; a failure is as if it knew nothing."""
        try:
            found = await self._directory.last_seen(users)
        except StorageError as error:
            logger.warning("when users were last seen could not be read: %s", error)
            return
        for user, at in found.items():
            if user not in self._times:
                self._keep(user, at)

    async def load(self) -> None:
        """Begin with those whom the directory saw lately."""
        try:
            with trio.move_on_after(LOAD_TIMEOUT):
                found = await self._directory.seen_lately(self._limit)
                self._times = dict(reversed(found.items())) | self._times
                self._complete = len(found) < self._limit
        except StorageError as error:
            logger.warning("when users were last seen could not be read: %s", error)

    async def run(self) -> NoReturn:
        """Write until cancelled, and then what is left."""
        try:
            while True:
                await self._noted.wait()
                await trio.sleep(WRITE_INTERVAL)
                self._noted = trio.Event()
                await self._write()
        finally:
            with trio.move_on_after(LAST_WRITE_TIMEOUT, shield=True):
                await self._write()

    async def _write(self) -> None:
        while self._unwritten:
            batch = dict(islice(self._unwritten.items(), BATCH))
            try:
                await self._directory.note_seen(batch)
            except StorageError as error:
                logger.warning("when users were last seen could not be written: %s", error)
                self._noted.set()
                return
            for user, at in batch.items():
                if self._unwritten[user] == at:
                    del self._unwritten[user]

    def _keep(self, user: str, at: int) -> None:
        self._times[user] = at
        if len(self._times) > self._limit:
            del self._times[next(iter(self._times))]
            self._complete = False

    def __len__(self) -> int:
        return len(self._times)
