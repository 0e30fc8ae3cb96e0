"""What sessions, the REST API and channels ask of the files: the port.

`FileRefused` is raised for what may not be done, `StorageError` for what can't be done for now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from chat4all_protocol.frames import FileBody
    from chat4all_storage.ports.files import File
    from chat4all_storage.ports.objects import Address

    from .intake import Incoming, Source


class PartAddress(Struct, frozen=True):
    """Where a part is put."""

    part: int
    address: Address


class UploadStatus(Struct, frozen=True):
    """How far an upload has come."""

    file: File
    uploaded: list[int]
    """Parts that the store has whole."""
    missing: list[int]
    addresses: list[PartAddress]
    """Where the missing ones are put."""
    uploaded_bytes: int


class FileService(Protocol):
    """A node's share in the files. `base` is where the client reaches this server."""

    async def initiate(
        self,
        user: str,
        id_: str,
        *,
        name: str,
        size: int,
        mime: str,
        conversation: str | None,
        base: str,
    ) -> UploadStatus:
        """Promise a file; the same id again finds the upload as it stands."""
        ...

    async def status(self, user: str, id_: str, base: str) -> UploadStatus:
        """How far an own upload has come, and where what is missing is put."""
        ...

    async def progress(self, user: str, id_: str) -> tuple[File, int]:
        """An own file, and how many of its bytes are there."""
        ...

    async def complete(self, user: str, id_: str, sha256: bytes) -> File:
        """Check an upload whose parts are all there; returns the file when that is done."""
        ...

    async def show(self, user: str, id_: str) -> File:
        """What is known of a file: an own one in any state, another's if it may be fetched."""
        ...

    async def download(self, user: str, id_: str, base: str, *, thumbnail: bool = False) -> Address:
        """Where the bytes of a file, or of its thumbnail, are fetched for a while."""
        ...

    async def attach(
        self, user: str, body: FileBody, conversation: str, event: str, *, field: str
    ) -> FileBody:
        """The body that a message with this file has, after it was noted that it is to have it."""
        ...

    async def take_in(self, new: Incoming, source: Source) -> File:
        """A file that comes in from elsewhere, when it is ready."""
        ...

    async def remove(self, user: str, id_: str) -> None:
        """Let an own file go, whoever may have it."""
        ...

    async def of(self, user: str, after: str | None, limit: int) -> list[File]:
        """A user's files, by id."""
        ...
