"""The bytes of our files, as connectors read them: straight from the store, piece by piece."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from chat4all_connectors.errors import Refused, Transient
from chat4all_storage.ports.errors import StorageError
from chat4all_storage.ports.objects import NoSuchObject, Shown

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from chat4all_storage.ports.files import File, Files
    from chat4all_storage.ports.objects import ObjectStore


class StoredUpload:
    """A file that is ready, as `outgoing.Upload`."""

    def __init__(self, objects: ObjectStore, file: File) -> None:
        self.name = file.name
        self.mime = file.mime
        self.size = file.size
        self._objects = objects
        self._key = file.key

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """Its bytes from the beginning.

        Raises:
            SendError: they can't be had: `Refused` when they are gone.
        """
        try:
            async with self._objects.read(self._key) as pieces:
                yield pieces
        except NoSuchObject as error:
            raise Refused("the file is gone") from error
        except StorageError as error:
            raise Transient(f"the file can't be read: {error}") from error


class Attachments:
    """Files that go out."""

    def __init__(
        self, files: Files, objects: ObjectStore, *, lifetime: float, base: str | None
    ) -> None:
        """`base` is where providers reach this server, `lifetime` how long an address is good."""
        self._files = files
        self._objects = objects
        self._lifetime = lifetime
        self._base = base

    @property
    def public(self) -> bool:
        """Whether providers can fetch files from here."""
        return self._base is not None

    async def of(self, id_: str) -> File:
        """A file that a message carries.

        Raises:
            Refused: it is not ready (any more).
            StorageError: it can't be found out for now.
        """
        file = await self._files.find(id_)
        if file is None or file.state != "ready":
            raise Refused("the file is not to be had any more")
        return file

    def upload(self, file: File) -> StoredUpload:
        """Its bytes."""
        return StoredUpload(self._objects, file)

    async def url(self, file: File) -> str:
        """Where the provider can fetch it for a while.

        Raises:
            Refused: nobody knows where this server is reached.
            StorageError: it can't be found out for now.
        """
        if self._base is None:
            raise Refused("this channel fetches files, and public_url is not set")
        shown = Shown(file.name, file.mime)
        found = await self._objects.address(
            file.key, shown, lifetime=self._lifetime, base=self._base
        )
        return found.url
