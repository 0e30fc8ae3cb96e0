"""`Files`: what users, messages and operators do with files. Read this first.

Files come into being by `uploads.py`, and by `intake.py` those that come in through channels. Only
one that is `ready` can be sent (`attach`) or fetched (`download`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from msgspec.structs import replace

from chat4all_protocol.codes import ErrorCode
from chat4all_storage.ports.files import Use
from chat4all_storage.ports.objects import Shown

from ..kernel import Child, Pool, Strategy, Supervisor
from .access import Access
from .checking import THUMBNAIL_TYPE, Checking
from .checks import Checks
from .clamd import Clamd
from .errors import FileRefused, no_such_file, unfit
from .images import Images
from .intake import Intake
from .kinds import Kinds
from .sweeper import Sweeper
from .uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import Callable

    from chat4all_protocol.frames import FileBody
    from chat4all_storage.ports.files import File
    from chat4all_storage.ports.objects import Address
    from chat4all_storage.storage import Storage

    from ..config import Settings
    from .intake import Incoming, Source


class Files(Uploads):
    """A node's share in the files; see `FileService`."""

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        *,
        holder: str,
        told: Callable[[File], None],
        clock: Callable[[], float],
    ) -> None:
        """A node's share, while it runs.

        Args:
            holder: the node's name.
            told: learns of each file that this node has judged.
            clock: seconds since the epoch.
        """
        self._pool = Pool("file checks")
        scanner = None if settings.clamd is None else Clamd(settings.clamd, settings.clamd_timeout)
        kinds, images = Kinds(settings.file_types), Images(settings)
        checks = Checks(
            storage.files,
            storage.objects,
            Checking(storage.objects, kinds, images, scanner),
            holder=holder,
            at_once=settings.max_file_checks,
            pool=self._pool,
            told=told,
        )
        super().__init__(settings, storage, checks, clock)
        self._intake = Intake(settings, storage, checks)
        self._access = Access(storage.files, storage.shards)
        self.sweeper = Sweeper(
            settings, storage.files, storage.objects, self._access, checks, clock=clock
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Check and sweep until cancelled."""
        children = [
            Child("file checks", self._pool.run, tree=self._pool.tree),
            Child("file sweeper", self.sweeper.run),
        ]
        await Supervisor("files", children, strategy=Strategy.REST_FOR_ONE).run(
            task_status=task_status
        )

    async def show(self, user: str, id_: str) -> File:
        """What is known of a file: an own one in any state, another's if it may be fetched.

        Raises:
            FileRefused: there is no such file for this user.
            StorageError: it can't be found out for now.
        """
        file = await self._catalogue.find(id_)
        if file is None or file.state == "removing":
            raise no_such_file()
        if file.owner == user:
            return file
        if file.state != "ready" or not await self._access.may_have(file, user):
            raise no_such_file()
        return file

    async def download(self, user: str, id_: str, base: str, *, thumbnail: bool = False) -> Address:
        """Where the bytes of a file, or of its thumbnail, are fetched for a while.

        Raises:
            FileRefused: there is none for this user; or it is an own one that is not ready.
            StorageError: it can't be found out for now.
        """
        file = await self.show(user, id_)
        if file.state != "ready":
            raise unfit(f"the file is {file.state}")
        key, shown = file.key, Shown(file.name, file.mime)
        if thumbnail:
            if file.thumbnail is None:
                raise FileRefused(ErrorCode.NOT_FOUND, "the file has no thumbnail")
            key, shown = file.thumbnail, Shown(f"{file.id}.jpg", THUMBNAIL_TYPE)
        lifetime = self._settings.download_lifetime
        return await self._objects.address(key, shown, lifetime=lifetime, base=base)

    async def attach(
        self, user: str, body: FileBody, conversation: str, event: str, *, field: str
    ) -> FileBody:
        """The body that a message with this file has, after it was noted that it is to have it.

        Args:
            event: the id of the message, or of the edit, that is going to be stored.
            field: what to name in a refusal.

        Raises:
            FileRefused: the user has no such file (404), or it is not ready (409).
            StorageError: it can't be found out for now.
        """
        use = Use(conversation, event)
        file = await self._catalogue.use(body.file_id, use, owner=user)
        if file is None:
            file = await self._catalogue.find(body.file_id)
            if file is None or file.state == "removing":
                raise no_such_file(field)
            if not await self._access.may_have(file, user):
                raise no_such_file(field)
            state = file.state
            file = await self._catalogue.use(body.file_id, use, owner=None)
            if file is None:
                raise unfit(f"the file is {state}, not ready", field=field)
        return replace(
            body,
            name=file.name,
            size=file.size,
            mime=file.mime,
            width=file.width,
            height=file.height,
            thumbnail=file.thumbnail is not None,
        )

    async def take_in(self, new: Incoming, source: Source) -> File:
        """See `Intake.take_in`."""
        return await self._intake.take_in(new, source)

    async def remove(self, user: str, id_: str) -> None:
        """Let an own file go, whoever may have it.

        Raises:
            FileRefused: there is no such file of this user.
            StorageError: the directory can't be asked.
        """
        await self._own(user, id_)
        await self._catalogue.remove([id_])

    async def of(self, user: str, after: str | None, limit: int) -> list[File]:
        """A user's files, by id."""
        return await self._catalogue.of(user, after, limit)
