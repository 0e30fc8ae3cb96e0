"""Who checks which upload, and how others wait for it.

A check is held by one node at a time, by a lease in the directory that is renewed while it runs. A
node that dies lets it lapse, and the sweeper of any node begins it again; so it does not matter
whether the client is still there.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import trio

from chat4all_storage.ports.errors import StorageError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from chat4all_storage.ports.files import File, Files
    from chat4all_storage.ports.objects import ObjectStore

    from ..kernel import Pool
    from .checking import Checking

logger = logging.getLogger(__name__)

LEASE: Final = 30.0
"""Seconds that a check is held without being renewed."""
RENEWED: Final = LEASE / 3
FAREWELL: Final = 1.0
"""Seconds that letting go may take when the node stops."""
LOOK: Final = 0.5
"""Seconds between two looks at a check of another node."""


class _Running:
    """A check under way on this node."""

    __slots__ = ("failed", "over")

    def __init__(self) -> None:
        self.over = trio.Event()
        self.failed: StorageError | None = None


class Checks:
    """The checks of this node."""

    def __init__(
        self,
        files: Files,
        objects: ObjectStore,
        checking: Checking,
        *,
        holder: str,
        at_once: int,
        pool: Pool,
        told: Callable[[File], None],
    ) -> None:
        """`told` learns of each file that has been judged."""
        self._files = files
        self._objects = objects
        self._checking = checking
        self._holder = holder
        self._turns = trio.CapacityLimiter(at_once)
        self._pool = pool
        self._told = told
        self._running: dict[str, _Running] = {}

    def __len__(self) -> int:
        return len(self._running)

    async def begin(self, id_: str, sha256: bytes) -> File | None:
        """Check a file against this hash, unless that is under way somewhere: how it stands.

        Raises:
            StorageError: the directory can't be asked.
        """
        begun = await self._files.begin_check(id_, sha256, holder=self._holder, lease=LEASE)
        if begun is None:
            return None
        file, ours = begun
        if ours and id_ not in self._running:
            self._start(file)
        return file

    async def begin_again(self, id_: str) -> None:
        """Check a quarantined file once more, unless somebody does.

        Raises:
            StorageError: the directory can't be asked.
        """
        file = await self._files.recheck(id_, holder=self._holder, lease=LEASE)
        if file is not None and id_ not in self._running:
            self._start(file)

    async def wait(self, id_: str, sha256: bytes) -> File | None:
        """The file when it is not being checked (any more), here or elsewhere.

        Where nobody checks it any more, this node does.

        Raises:
            StorageError: a store failed; the check goes on later.
        """
        while True:
            running = self._running.get(id_)
            if running is not None:
                await running.over.wait()
                if running.failed is not None:
                    raise running.failed
            file = await self.begin(id_, sha256)
            if file is None or file.state != "checking":
                return file
            if id_ not in self._running:
                await trio.sleep(LOOK)

    def _start(self, file: File) -> None:
        running = self._running[file.id] = _Running()
        self._pool.start_soon(f"check {file.id}", self._run, file, running)

    async def _run(self, file: File, running: _Running) -> None:
        running.failed = Unavailable("the check was broken off")
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._renew, file.id, nursery.cancel_scope)
                try:
                    async with self._turns:
                        await self._check(file)
                    running.failed = None
                except StorageError as error:
                    running.failed = error
                    logger.warning("the check of file %s has to wait: %s", file.id, error)
                nursery.cancel_scope.cancel()
        finally:
            if running.failed is not None:
                with trio.move_on_after(FAREWELL, shield=True):  # the node may be stopping
                    await self._let_go(file.id)
            del self._running[file.id]
            running.over.set()

    async def _check(self, file: File) -> None:
        async def note_thumbnail(key: str) -> bool:
            return await self._files.note_thumbnail(file.id, key, holder=self._holder)

        verdict = await self._checking.check(file, note_thumbnail)
        judged = await self._files.finish(file.id, verdict, holder=self._holder)
        if judged is None:
            return  # it took too long: another has it
        logger.info("file %s of %d bytes is %s", file.id, file.size, verdict.state)
        self._told(judged)
        if judged.state == "rejected":
            await self._objects.remove(file.key)
            await self._files.removed(file.id)

    async def _renew(self, id_: str, check: trio.CancelScope) -> None:
        while True:
            await trio.sleep(RENEWED)
            try:
                held = await self._files.renew_check(id_, holder=self._holder, lease=LEASE)
            except StorageError as error:
                logger.warning("a check can't be held: %s", error)
                continue
            if not held:
                check.cancel()

    async def _let_go(self, id_: str) -> None:
        """Let whoever asks next begin it at once, rather than when the lease is over."""
        try:
            await self._files.renew_check(id_, holder=self._holder, lease=0.0)
        except StorageError as error:
            logger.warning("a check can't be let go before its lease ends: %s", error)
