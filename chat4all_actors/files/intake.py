"""Takes over files that come in from elsewhere, whose bytes this server fetches itself.

How many bytes there are, and what they are, is known when all have come: so they are gathered on
the disk (`spool.py`), and then go the way of every upload: promised, put part by part, checked.

Its caller chooses the id, the same for the same file. So a try that was broken off is repeated
until it ends, at the same file; one that has all bytes in the store needs no others.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import trio
from msgspec import Struct

from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.files import NewFile, OverQuota
from chat4all_storage.ports.objects import NoSuchObject

from .checking import new_key
from .errors import NotTaken
from .kinds import Kinds
from .names import clean_name, name_for
from .spool import Spool
from .uploads import PART_LIMIT, begin_upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable
    from contextlib import AbstractAsyncContextManager
    from typing import TypeAlias

    from chat4all_storage.ports.files import File
    from chat4all_storage.storage import Storage

    from ..config import Settings
    from .checks import Checks
    from .spool import Spooled

    Source: TypeAlias = Callable[[], AbstractAsyncContextManager[AsyncIterable[bytes]]]
    """Where the bytes are, from the beginning, each time it is called."""


class Incoming(Struct, frozen=True, kw_only=True):
    """A file that is to be taken over."""

    id: str
    """The same for the same file, whenever it is tried."""
    owner: str
    name: str | None
    """What it is called there, if that was told."""
    mime: str | None
    """What it is said to be: the bytes decide."""
    conversation: str
    """Where it is meant for."""
    max_size: int
    """Bytes; a greater one is not taken."""


class Intake:
    """A node's share in it."""

    def __init__(self, settings: Settings, storage: Storage, checks: Checks) -> None:
        self._settings = settings
        self._catalogue = storage.files
        self._objects = storage.objects
        self._checks = checks
        self._kinds = Kinds(settings.file_types)
        self._spool = Spool(Path(settings.file_spool or Path(settings.data_dir) / "spool"))
        self._turns = trio.CapacityLimiter(settings.max_file_intakes)

    async def take_in(self, new: Incoming, source: Source) -> File:
        """The file, when it is ready.

        `source` is opened only if its bytes are needed.

        Raises:
            NotTaken: it is not taken, and it never will be.
            StorageError: a store, or the disk, can't be used for now, or it takes too long: the
                same again is safe. So it is after whatever `source` raises.
        """
        file = await self._catalogue.find(new.id)
        if file is None or file.state == "uploading":
            file = await self._bring(new, source)
        return await self._judged(file)

    async def _bring(self, new: Incoming, source: Source) -> File:
        """Fetch the bytes and put them into the store."""
        async with self._turns, self._spool.open() as spooled:
            with trio.move_on_after(self._settings.file_intake_timeout) as patience:
                async with source() as pieces:
                    await spooled.fill(pieces, self._most(new))
            if patience.cancelled_caught:
                raise Unavailable("a file did not come in time")
            if not spooled.size:
                raise NotTaken("empty")
            file = await self._promise(new, spooled)
            if file.state == "uploading":
                file = await self._put(file, spooled)
        return file

    def _most(self, new: Incoming) -> int:
        settings = self._settings
        return min(new.max_size, settings.file_max_size, PART_LIMIT * settings.file_chunk_size)

    async def _promise(self, new: Incoming, spooled: Spooled) -> File:
        """Let the directory know of it: what stands there."""
        settings = self._settings
        mime = self._kinds.settle(spooled.head, new.mime)
        if mime is None:
            raise NotTaken("type")
        promised = NewFile(
            id=new.id,
            owner=new.owner,
            name=clean_name(new.name) if new.name else name_for(mime),
            size=spooled.size,
            mime=mime,
            conversation=new.conversation,
            key=new_key(),
            chunk_size=settings.file_chunk_size,
        )
        try:
            file = await self._catalogue.add(
                promised,
                lifetime=settings.upload_lifetime,
                quota=settings.file_quota,
                max_uploads=0,  # how many are under way is bounded here
            )
        except OverQuota:
            raise NotTaken("quota") from None
        if file.state == "uploading" and (file.size, file.mime) != (promised.size, mime):
            # Other bytes came at a former try, of which something may be in the store.
            await self._catalogue.remove([file.id])
            raise _gone()
        return file

    async def _put(self, file: File, spooled: Spooled) -> File:
        """Put all parts, whatever a former try has put, and let them be checked."""
        begun: File | None = await begin_upload(file, self._catalogue, self._objects)
        if begun is None or begun.upload is None:
            raise _gone()
        try:
            for number in range(1, file.parts + 1):
                start, size = (number - 1) * file.chunk_size, file.part_size(number)
                # Without a name of its own, so that one part at a time is in memory.
                await self._objects.put_part(
                    file.key, begun.upload, number, await spooled.read(start, size)
                )
        except NoSuchObject:
            begun = await self._catalogue.find(file.id)
            if begun is not None and begun.state == "uploading":
                await self._catalogue.remove([file.id])  # the store has lost it
                raise _gone() from None
        else:
            begun = await self._checks.begin(file.id, spooled.sha256)
        if begun is None:
            raise _gone()
        return begun  # another try may have been faster

    async def _judged(self, file: File) -> File:
        """The file when it is ready; its check may be another node's."""
        found: File | None = file
        if file.state == "checking":
            assert file.sha256 is not None  # a check begins with it
            with trio.move_on_after(self._settings.file_check_patience) as patience:
                found = await self._checks.wait(file.id, file.sha256)
            if patience.cancelled_caught:
                raise Unavailable("a file that came in is still being checked")
        if found is None or found.state == "removing":
            raise _gone()
        if found.state != "ready":
            raise NotTaken(found.reason or found.state)
        return found


def _gone() -> Unavailable:
    return Unavailable("what stood of a file that comes in is let go: it is to come again")
