"""The slow way between nodes: a table in the directory that each of them reads once a second.

It carries what must not wait for the backbone to come back: who is where, while Redis is away, so
that a device that moves to another node ends its former session. And with the same look each node
learns whose tokens have been revoked, and which logins have ended.
"""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec
import trio

from chat4all_storage.follower import Follower
from chat4all_storage.ports.errors import StorageError

from .items import decode_entry, encode_entry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from chat4all_storage.ports.directory import Directory, Notice
    from chat4all_storage.ports.logins import EndedLogin, Logins

    from .items import AnyItem

logger = logging.getLogger(__name__)

SECONDS: Final = 1.0
EVERY: Final = 0.75 * SECONDS
"""Twice this is the longest that a notice takes."""
KEEP: Final = 600 * SECONDS
TRIM_EVERY: Final = 60 * SECONDS
LIMIT: Final = 200
MAX_WAITING: Final = 1024 * 1024
"""Bytes that wait to be posted; more are dropped."""


class NoticeBoard:
    """One node's view of the notices, and of revocations."""

    def __init__(
        self,
        name: str,
        directory: Directory,
        *,
        arrived: Callable[[str, list[AnyItem]], None],
        revoked: Callable[[dict[str, int]], None],
        logins: Logins,
        ended: Callable[[list[EndedLogin]], None],
        clock: Callable[[], float],
        remember: float,
    ) -> None:
        """`arrived` gets what other nodes posted, `revoked` the users whose tokens were revoked,
        `ended` the `logins` that ended.

        `clock` tells the seconds since the epoch; `remember` is how many seconds of revocations
        there must be at the start, as long as a token may live.
        """
        self._name = name
        self._directory = directory
        self._arrived = arrived
        self._revoked = revoked
        self._logins = logins
        self._ended = ended
        self._since = int(clock() - remember)
        self._ended_since = self._since * 1000
        self._follower = Follower(self._read, keep=KEEP)
        self._waiting: list[bytes] = []
        self._size = 0
        self._failing = False

    def post_nowait(self, item: bytes) -> None:
        """Let all other nodes learn this within about two seconds; best effort."""
        if self._size + len(item) <= MAX_WAITING:
            self._waiting.append(item)
            self._size += len(item)

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Look until cancelled; ready when revocations are known, and nothing new is missed."""
        while True:
            if await self._try(self._start):
                break
            await trio.sleep(EVERY)
        task_status.started()
        trim_at = trio.current_time() + random.uniform(0, TRIM_EVERY)
        while True:
            await trio.sleep(EVERY)
            await self._try(self._look)
            if trio.current_time() >= trim_at:
                trim_at = trio.current_time() + TRIM_EVERY
                await self._try(self._trim)

    async def _try(self, step: Callable[[], Awaitable[None]]) -> bool:
        try:
            await step()
        except StorageError as error:
            if not self._failing:
                logger.warning("the directory can't be asked for news: %s", error)
            self._failing = True
            return False
        self._failing = False
        return True

    async def _start(self) -> None:
        self._follower.start(await self._directory.notices_end())
        await self._look_for_revocations()

    async def _look(self) -> None:
        await self._look_for_revocations()
        for notice in await self._follower.poll():
            self._take(notice)
        if self._waiting:
            items, self._waiting, self._size = self._waiting, [], 0
            await self._directory.notify(encode_entry(self._name, 0, items))

    async def _look_for_revocations(self) -> None:
        if found := await self._directory.revocations(self._since):
            # Not up to the last one: another may have been given the same second, and come later.
            self._since = max(self._since, max(found.values()) - 2)
            self._revoked(found)
        if ended := await self._logins.ended(self._ended_since):
            self._ended_since = max(self._ended_since, *(each.at for each in ended))
            self._ended(ended)

    async def _read(self, after: int, missing: Collection[int]) -> list[Notice]:
        return await self._directory.notices(after, missing, limit=LIMIT)

    def _take(self, notice: Notice) -> None:
        try:
            entry = decode_entry(notice.body)
        except msgspec.DecodeError as error:
            logger.error("notice %d can't be read: %s", notice.id, error)
            return
        if entry.sender != self._name:
            self._arrived(entry.sender, entry.items)

    async def _trim(self) -> None:
        await self._directory.trim_notices(KEEP)
