"""What the directory tells of users who connect: its time, and whether they are invisible.

A connect costs one read, shared by all connects of the moment. Without the directory people
connect all the same; who connected meanwhile is asked about until it has told.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NoReturn

import trio

from chat4all_storage.ports.directory import Arrivals
from chat4all_storage.ports.errors import StorageError, Unavailable
from chat4all_storage.together import Together

if TYPE_CHECKING:
    from collections.abc import Callable

    from chat4all_storage.ports.directory import Directory

PATIENCE: Final = 2.0
"""Seconds for the directory to tell of users who connect."""
TOGETHER: Final = 64
"""Users who are asked for in one query."""
AGAIN: Final = 5.0
"""Seconds until the directory is asked again of whom it has not told."""

logger = logging.getLogger(__name__)


class Arriving:
    """The questions of one node."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._questions = Together(self._ask, most=TOGETHER, at_once=1)
        self._unsure: dict[str, None] = {}
        """Users of whom the directory has not told yet."""

    async def ask(self, user: str) -> Arrivals:
        """What the directory has of the user at this moment.

        Raises:
            StorageError: it does not tell.
        """
        return await self._questions.ask(user)

    async def of(self, user: str) -> Arrivals:
        """The same for somebody who connects: while the directory does not tell, at no time and
        invisible, which is the safe side.
        """
        with trio.move_on_after(PATIENCE):  # the wait for one's turn counts, too
            try:
                return await self.ask(user)
            except StorageError as error:
                logger.warning("who connects can't be looked up: %s", error)
        self._unsure[user] = None
        return Arrivals(read_at=0, invisible=frozenset([user]))

    async def run(self, tell: Callable[[str, Arrivals], None]) -> NoReturn:
        """Learn what the directory could not tell when users arrived, until cancelled."""
        while True:
            await trio.sleep(AGAIN)
            for user in list(self._unsure):
                try:
                    arrivals = await self.ask(user)
                except StorageError:
                    break  # `of` has said so
                del self._unsure[user]
                tell(user, arrivals)

    async def _ask(self, users: list[str]) -> list[Arrivals]:
        with trio.move_on_after(PATIENCE):
            return [await self._directory.arrivals(set(users))] * len(users)
        raise Unavailable("the directory does not answer")
