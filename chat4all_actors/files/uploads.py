"""Uploads: what is promised, what has come of it, and when it is complete.

A file is promised (`initiate`), its parts are put into the store by the client itself, and when the
client tells its hash (`complete`) the whole of it is checked (`checks.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from chat4all_protocol.codes import ErrorCode
from chat4all_storage.ports.files import NewFile, OverQuota
from chat4all_storage.ports.objects import NoSuchObject

from .checking import new_key
from .errors import FileRefused, no_such_file, not_known_yet, unfit
from .kinds import Kinds
from .service import PartAddress, UploadStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from chat4all_storage.ports.files import File
    from chat4all_storage.ports.files import Files as Catalogue
    from chat4all_storage.ports.objects import ObjectStore
    from chat4all_storage.storage import Storage

    from ..config import Settings
    from .checks import Checks

PART_LIMIT: Final = 10_000
"""Parts of an upload: S3 takes no more."""
_REASONS: Final = {
    "checksum": "the bytes that came have another checksum",
    "size": "the bytes that came are not as many as agreed",
    "type": "the bytes are of a type that is not taken here, or not of the one that was told",
    "infected": "the scanner refuses these bytes",
}


class Uploads:
    """What users upload; see `FileService`."""

    def __init__(
        self, settings: Settings, storage: Storage, checks: Checks, clock: Callable[[], float]
    ) -> None:
        """`clock` tells the seconds since the epoch."""
        self._settings = settings
        self._shards = storage.shards
        self._catalogue = storage.files
        self._objects = storage.objects
        self._kinds = Kinds(settings.file_types)
        self._checks = checks
        self._clock = clock

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
        """Promise a file; the same id again finds the upload as it stands.

        Args:
            base: where the client reaches this server.

        Raises:
            FileRefused: it may not be uploaded (413, 415), the conversation is none of the user's
                (404), or another file has the id (409).
            StorageError: nothing is promised.
        """
        self._judge_size(size)
        if not self._kinds.allows(mime):
            raise FileRefused(
                ErrorCode.UNSUPPORTED_MEDIA_TYPE,
                f"files of the type {mime} are not taken here",
                field="mime_type",
                details={"allowed": self._settings.file_types},
            )
        if conversation is not None:
            stored = await self._shards.conversation(conversation)
            if stored is None or user not in stored.members:
                raise FileRefused(
                    ErrorCode.NOT_FOUND, "no such conversation", field="conversation_id"
                )
        new = NewFile(
            id=id_,
            owner=user,
            name=name,
            size=size,
            mime=mime,
            conversation=conversation,
            key=new_key(),
            chunk_size=self._settings.file_chunk_size,
        )
        file = await self._add(new)
        if (file.name, file.size, file.mime) != (name, size, mime):
            raise unfit("another file was begun with this Idempotency-Key")
        return await self._status(file, base)

    def _judge_size(self, size: int) -> None:
        settings = self._settings
        most = min(settings.file_max_size, PART_LIMIT * settings.file_chunk_size)
        if size > most:
            raise FileRefused(
                ErrorCode.TOO_LARGE,
                f"a file has at most {most} bytes here",
                field="size",
                details={"max_bytes": most},
            )

    async def _add(self, new: NewFile) -> File:
        settings = self._settings
        try:
            return await self._catalogue.add(
                new,
                lifetime=settings.upload_lifetime,
                quota=settings.file_quota,
                max_uploads=settings.max_uploads_per_user,
            )
        except OverQuota as error:
            if error.field == "uploads":
                raise FileRefused(
                    ErrorCode.CONFLICT,
                    f"more than {settings.max_uploads_per_user} uploads are not complete",
                    details={"max_uploads": settings.max_uploads_per_user},
                ) from None
            raise FileRefused(
                ErrorCode.TOO_LARGE,
                "your files would take more room than you have",
                field="size",
                details={"quota_bytes": settings.file_quota},
            ) from None

    async def status(self, user: str, id_: str, base: str) -> UploadStatus:
        """How far an own upload has come, and where what is missing is put.

        Raises:
            FileRefused: there is no such file of this user.
            StorageError: it can't be found out for now.
        """
        return await self._status(await self._own(user, id_), base)

    async def _status(self, file: File, base: str) -> UploadStatus:
        if file.state != "uploading":
            everything = list(range(1, file.parts + 1))
            whole = file.state in ("checking", "ready", "quarantined")
            return UploadStatus(
                file,
                everything if whole else [],
                [] if whole else everything,
                [],
                file.size if whole else 0,
            )
        file = await self._begun(file)
        uploaded, missing = await self._parts(file)
        lifetime = max(1.0, file.expires_at / 1000 - self._clock())
        assert file.upload is not None
        addresses = await self._objects.part_addresses(
            file.key,
            file.upload,
            [(number, file.part_size(number)) for number in missing],
            lifetime=lifetime,
            base=base,
        )
        return UploadStatus(
            file,
            uploaded,
            missing,
            [PartAddress(*pair) for pair in zip(missing, addresses, strict=True)],
            sum(map(file.part_size, uploaded)),
        )

    async def _begun(self, file: File) -> File:
        """The file with its upload begun in the store; a crash may have come between."""
        begun = await begin_upload(file, self._catalogue, self._objects)
        if begun is None:
            raise no_such_file()
        return begun

    async def _parts(self, file: File) -> tuple[list[int], list[int]]:
        """The parts that are there in their size, and the others."""
        assert file.upload is not None
        try:
            stored = await self._objects.parts(file.key, file.upload)
        except NoSuchObject:
            stored = []  # the upload is gone: whoever asks next finds the file going too
        whole = {part.number for part in stored if part.size == file.part_size(part.number)}
        numbers = range(1, file.parts + 1)
        return [n for n in numbers if n in whole], [n for n in numbers if n not in whole]

    async def progress(self, user: str, id_: str) -> tuple[File, int]:
        """An own file, and how many of its bytes are there.

        Raises:
            FileRefused: there is no such file of this user.
            StorageError: it can't be found out for now.
        """
        file = await self._own(user, id_)
        if file.state != "uploading":
            return file, file.size
        if file.upload is None:
            return file, 0
        uploaded, _ = await self._parts(file)
        return file, sum(map(file.part_size, uploaded))

    async def complete(self, user: str, id_: str, sha256: bytes) -> File:
        """Check an upload whose parts are all there; returns the file when that is done.

        Saying it again is safe, and finds the same verdict.

        Raises:
            FileRefused: parts are missing, or the check has failed (409); it takes longer than
                `file_check_patience` (504), and goes on.
            StorageError: a store can't be used for now.
        """
        file = await self._own(user, id_)
        if file.state == "uploading":
            _, missing = await self._parts(await self._begun(file))
            if missing:
                raise FileRefused(
                    ErrorCode.CONFLICT,
                    f"{len(missing)} of {file.parts} parts are missing",
                    field="file_id",
                    details={"missing_chunks": missing},
                )
        if file.state in ("uploading", "checking"):
            file = await self._check(file, sha256)
        return self._judged(file, sha256)

    async def _check(self, file: File, sha256: bytes) -> File:
        """The file when it has been checked, here or elsewhere."""
        with trio.move_on_after(self._settings.file_check_patience):
            begun = await self._checks.begin(file.id, sha256)
            if begun is not None and begun.state == "checking" and begun.sha256 != sha256:
                raise unfit("it is being checked against another checksum", field="checksum")
            judged = await self._checks.wait(file.id, sha256)
            if judged is None:
                raise no_such_file("file_id")
            return judged
        raise not_known_yet()

    @staticmethod
    def _judged(file: File, sha256: bytes) -> File:
        if file.state == "rejected":
            reason = file.reason or "checksum"
            field = "checksum" if reason == "checksum" else "file_id"
            raise FileRefused(
                ErrorCode.CONFLICT, _REASONS[reason], field=field, details={"reason": reason}
            )
        if file.state not in ("ready", "quarantined"):
            raise no_such_file("file_id")
        if file.sha256 != sha256:
            raise unfit("the file is complete, and has another checksum", field="checksum")
        return file

    async def _own(self, user: str, id_: str) -> File:
        file = await self._catalogue.find(id_)
        if file is None or file.owner != user or file.state == "removing":
            raise no_such_file("file_id")
        return file


async def begin_upload(file: File, catalogue: Catalogue, objects: ObjectStore) -> File | None:
    """The file with its upload begun in the store, now or before; None: it is not there any more.

    Raises:
        StorageError: a store can't be used for now; the same again is safe.
    """
    if file.upload is not None:
        return file
    upload = await objects.begin(file.key, part_size=file.chunk_size, mime=file.mime)
    return await catalogue.begun(file.id, upload)
