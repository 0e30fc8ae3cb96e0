"""The certain way between nodes: each commit of each node is in a journal that this one follows.

Whatever the journal says stands beyond the head of a conversation that is alive here makes it
catch up from its store. So an event reaches the members here whatever became of the node that
committed it, of the backbone, or of what this node knew about who is where. While the backbone
works, its events come first and the journal, read a little later, only confirms them.
"""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Final, NoReturn

import trio

from chat4all_storage.follower import Follower
from chat4all_storage.ports.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from chat4all_storage.ports.shard import JournalRow, ShardStore

    from .rooms import SweptRooms

logger = logging.getLogger(__name__)

SECONDS: Final = 1.0
EVERY: Final = 2 * SECONDS
"""Between looks while the backbone works."""
LAG: Final = 0.5 * SECONDS
"""The backbone's head start then."""
EVERY_WITHOUT: Final = 0.5 * SECONDS
"""Between looks while the backbone does not work."""
KEEP: Final = 120 * SECONDS
"""Who was away for longer compares all heads; rows are kept for as long at least."""
TRIM_EVERY: Final = 30 * SECONDS
LIMIT: Final = 2000
"""Rows of one look."""
AT_ONCE: Final = 1000


class Sweeper:
    """Follows the journal of one database."""

    def __init__(
        self,
        store: ShardStore,
        rooms: SweptRooms,
        working: Callable[[], bool],
        *,
        kept: float = KEEP,
    ) -> None:
        """`working` tells whether the backbone works; rows are kept for `kept` seconds."""
        self.store = store
        self._kept = kept
        self._rooms = rooms
        self._working = working
        self._follower = Follower(self._read, keep=KEEP)
        self._known = False
        self._nudge = trio.Event()
        self._nudged = False
        """The look under way is for what the backbone may have lost."""
        self._failing = False

    def nudge(self) -> None:
        """Something may have been missed: look now, at what has just been stored, too."""
        self._nudge.set()

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Follow until cancelled."""
        # Ready at once: a database that is slow or away keeps nobody from the others.
        task_status.started()
        await self._sweep()
        trim_at = trio.current_time() + random.uniform(0, TRIM_EVERY)
        while True:
            with trio.move_on_after(EVERY if self._working() else EVERY_WITHOUT):
                await self._nudge.wait()
            self._nudged = self._nudge.is_set()
            self._nudge = trio.Event()
            await self._sweep()
            if trio.current_time() >= trim_at:
                trim_at = trio.current_time() + TRIM_EVERY
                await self._trim()

    async def _read(self, after: int, missing: Collection[int]) -> list[JournalRow]:
        lag = LAG if self._working() and not self._nudged else 0.0
        return await self.store.journal(after, missing, lag=lag, limit=LIMIT)

    async def _sweep(self) -> None:
        try:
            if not self._known:
                self._follower.start(await self.store.journal_end())
                await self._compare()  # what was committed before is certain by the heads alone
                self._known = True  # not before: a comparison that failed is done again
            rows = await self._follower.poll()
            while rows:
                self._take(rows)
                if len(rows) < LIMIT:
                    break
                rows = await self._follower.poll()
            if self._follower.lost:
                logger.warning("the journal of %s was lost: comparing heads", self.store.name)
                await self._compare()
                self._follower.lost = False
        except StorageError as error:
            if not self._failing:
                logger.warning("the journal of %s can't be read: %s", self.store.name, error)
            self._failing = True
        else:
            self._failing = False

    def _take(self, rows: list[JournalRow]) -> None:
        for row in rows:
            users: dict[str, list[str]] = {}
            for conversation, user in row.joined:
                users.setdefault(conversation, []).append(user)
            for conversation, seq in row.heads:
                self._rooms.stands(conversation, seq)
                if conversation in users:
                    # Nothing of a conversation follows a `join` in its commit.
                    self._rooms.introduce(conversation, seq, users[conversation])

    async def _compare(self) -> None:
        """Rows were missed: compare the heads of what is alive here, and who is in what."""
        for some in _portions(self._rooms.alive()):
            for conversation, seq in (await self.store.heads(some)).items():
                self._rooms.stands(conversation, seq)
        for some in _portions(self._rooms.users()):
            for conversation, user, recv in await self.store.conversations_of(some):
                self._rooms.introduce(conversation, recv, [user])

    async def _trim(self) -> None:
        try:
            await self.store.trim_journal(self._kept)
        except StorageError as error:
            logger.warning("the journal of %s can't be trimmed: %s", self.store.name, error)


def _portions(names: list[str]) -> list[list[str]]:
    return [names[start : start + AT_ONCE] for start in range(0, len(names), AT_ONCE)]
