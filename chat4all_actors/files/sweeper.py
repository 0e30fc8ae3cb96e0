"""Lets go what nobody finishes, uses or may have, and takes up what a crash has broken off.

Every node sweeps; what one has claimed the others leave out. Each step is told to the directory
before the store, so whatever stops in the middle is found by the next sweep.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NoReturn

import trio

from chat4all_storage.ports.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chat4all_storage.ports.files import Files
    from chat4all_storage.ports.objects import ObjectStore

    from ..config import Settings
    from .access import Access
    from .checks import Checks

logger = logging.getLogger(__name__)

AT_ONCE: Final = 100
"""Files of one step."""
LEASE: Final = 300.0
"""Seconds for the removal of `AT_ONCE` files, before another node tries."""
REJECTED_KEPT: Final = 7 * 24 * 3600.0
"""Seconds for which an uploader can ask what became of a rejected file."""
IN_FLIGHT: Final = 3600.0
"""Seconds in which a message follows the note of its use, at the latest."""
RESCAN: Final = 600.0
"""Seconds between two tries to scan what could not be scanned."""


class Sweeper:
    """A node's share in the sweeping."""

    def __init__(
        self,
        settings: Settings,
        files: Files,
        objects: ObjectStore,
        access: Access,
        checks: Checks,
        *,
        clock: Callable[[], float],
    ) -> None:
        """`clock` tells the seconds since the epoch."""
        self._clock = clock
        self._settings = settings
        self._files = files
        self._objects = objects
        self._access = access
        self._checks = checks

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Sweep every `file_sweep_interval`, until cancelled."""
        task_status.started()
        while True:
            await trio.sleep(self._settings.file_sweep_interval)
            await self.sweep()

    async def sweep(self) -> None:
        """Do all that is due; what fails is left to the next sweep."""
        for step in (
            self._expire,
            self._take_up_checks,
            self._scan_again,
            self._look_for_uses,
            self._remove_bytes,
            self._forget,
        ):
            try:
                await step()
            except StorageError as error:
                logger.warning("files can't be swept now: %s", error)

    async def _expire(self) -> None:
        count = await _until_none(lambda: self._files.expire(AT_ONCE))
        if count:
            logger.info("%d uploads were never completed", count)

    async def _take_up_checks(self) -> None:
        for file in await self._files.lapsed_checks(AT_ONCE):
            assert file.sha256 is not None
            await self._checks.begin(file.id, file.sha256)

    async def _scan_again(self) -> None:
        if self._settings.clamd is None:
            return
        before = int((self._clock() - RESCAN) * 1000)
        for file in await self._files.unscanned(before, AT_ONCE):
            await self._checks.begin_again(file.id)

    async def _look_for_uses(self) -> None:
        every = min(self._settings.file_look_interval, self._settings.file_unused_kept)
        while files := await self._files.claim_unlooked(AT_ONCE, every=every):
            for file in files:
                noted_before = int((self._clock() - IN_FLIGHT) * 1000)
                used, over = await self._access.standing(file.id)
                if over:
                    await self._files.drop_uses(file.id, over, noted_before=noted_before)
                kept = self._settings.file_unused_kept
                if await self._files.looked(file.id, used=used, keep=kept):
                    logger.info("file %s is not used any more", file.id)

    async def _remove_bytes(self) -> None:
        while files := await self._files.claim_removals(AT_ONCE, LEASE):
            for file in files:
                await self._objects.remove(file.key)
                if file.thumbnail is not None:
                    await self._objects.remove(file.thumbnail)
                await self._files.removed(file.id)

    async def _forget(self) -> None:
        await _until_none(lambda: self._files.forget_rejected(REJECTED_KEPT, AT_ONCE))


async def _until_none(step: Callable[[], Awaitable[int]]) -> int:
    """Take the step until it finds nothing; how much it has found."""
    total = 0
    while count := await step():
        total += count
    return total
