"""Files of which everything is said by a test: no store, no check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from chat4all_actors.files.errors import FileRefused, no_such_file, unfit
from chat4all_actors.files.service import PartAddress, UploadStatus
from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.files import File
from chat4all_storage.ports.objects import Address

if TYPE_CHECKING:
    from chat4all_actors.files.intake import Incoming, Source
    from chat4all_protocol.frames import FileBody

CHUNK = 4


def picture(owner: str = "ana", **changed: Any) -> File:
    """A file that is ready."""
    file = File(
        id=new_id(),
        owner=owner,
        name="plan.png",
        size=9,
        mime="image/png",
        conversation=None,
        key="secret-key",
        chunk_size=CHUNK,
        state="ready",
        created_at=1_700_000_000_000,
        expires_at=1_700_000_600_000,
        sha256=bytes(32),
        width=3,
        height=2,
        thumbnail="secret-thumbnail",
    )
    return replace(file, **changed)


class FakeFiles:
    """The files that a test puts here; their owners have them, and nobody else."""

    def __init__(self, *files: File) -> None:
        self.all = {file.id: file for file in files}
        self.uploaded: list[int] = []
        """Parts that are there of every upload."""
        self.uses: list[tuple[str, str, str]] = []
        self.failure: Exception | None = None
        """What everything fails with."""

    def _own(self, user: str, id_: str, field: str | None = None) -> File:
        if self.failure is not None:
            raise self.failure
        file = self.all.get(id_)
        if file is None or file.owner != user:
            raise no_such_file(field)
        return file

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
        if self.failure is not None:
            raise self.failure
        new = picture(
            user,
            id=id_,
            name=name,
            size=size,
            mime=mime,
            conversation=conversation,
            state="uploading",
            sha256=None,
            width=None,
            height=None,
            thumbnail=None,
        )
        if self.all.setdefault(id_, new) != new:
            raise unfit("another file was begun with this Idempotency-Key")
        return await self.status(user, id_, base)

    async def status(self, user: str, id_: str, base: str) -> UploadStatus:
        file = self._own(user, id_)
        missing = [n for n in range(1, file.parts + 1) if n not in self.uploaded]
        addresses = [
            PartAddress(n, Address("PUT", f"{base}/{n}", {"x-size": str(file.part_size(n))}))
            for n in missing
        ]
        whole = sum(map(file.part_size, self.uploaded))
        return UploadStatus(file, self.uploaded, missing, addresses, whole)

    async def progress(self, user: str, id_: str) -> tuple[File, int]:
        status = await self.status(user, id_, "")
        return status.file, status.uploaded_bytes

    async def complete(self, user: str, id_: str, sha256: bytes) -> File:
        file = self._own(user, id_, "file_id")
        if file.sha256 not in (None, sha256):
            raise unfit("the file is complete, and has another checksum", field="checksum")
        self.all[id_] = done = replace(file, state="ready", sha256=sha256)
        return done

    async def show(self, user: str, id_: str) -> File:
        return self._own(user, id_)

    async def download(self, user: str, id_: str, base: str, *, thumbnail: bool = False) -> Address:
        file = self._own(user, id_)
        if file.state != "ready":
            raise unfit(f"the file is {file.state}")
        if thumbnail and file.thumbnail is None:
            raise FileRefused(ErrorCode.NOT_FOUND, "the file has no thumbnail")
        what = "thumbnail" if thumbnail else "file"
        return Address("GET", f"{base}/{what}?signed", {})

    async def attach(
        self, user: str, body: FileBody, conversation: str, event: str, *, field: str
    ) -> FileBody:
        file = self._own(user, body.file_id, field)
        if file.state != "ready":
            raise unfit(f"the file is {file.state}, not ready", field=field)
        self.uses.append((file.id, conversation, event))
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
        if self.failure is not None:
            raise self.failure
        if new.id not in self.all:
            async with source() as pieces:
                size = sum([len(piece) async for piece in pieces])
            name, mime = new.name or "file", new.mime or "application/octet-stream"
            taken = picture(new.owner, id=new.id, name=name, size=size, mime=mime, thumbnail=None)
            self.all[new.id] = taken
        return self.all[new.id]

    async def remove(self, user: str, id_: str) -> None:
        del self.all[self._own(user, id_, "file_id").id]

    async def of(self, user: str, after: str | None, limit: int) -> list[File]:
        mine = sorted(file.id for file in self.all.values() if file.owner == user)
        return [self.all[id_] for id_ in mine if id_ > (after or "")][:limit]
