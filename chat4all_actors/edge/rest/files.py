"""Files: promise one, tell that its parts are there, see what became of it, fetch it.

The bytes go to the store and come from there, by the addresses that are answered here.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.frames import MAX_INTEGER, Id, UploadState

from ...files.kinds import MIME_PATTERN
from ...files.names import MAX_NAME, clean_name
from ...limits.limits import FILES
from .accounting import once
from .errors import ApiError
from .models import CHECKSUM_PATTERN, moment
from .operations import Answer, Routes

if TYPE_CHECKING:
    from chat4all_storage.ports.files import File
    from chat4all_storage.ports.objects import Address

    from ...config import Settings
    from ...files.service import UploadStatus
    from .call import Call

routes = Routes("Files", "Upload files in parts, and fetch them.")

MAX_PAGE: Final = 100
_SCHEME: Final = "sha256:"

FileSize: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_INTEGER)]
Checksum: TypeAlias = Annotated[
    str, Meta(pattern=CHECKSUM_PATTERN, description="`sha256:` and the SHA-256 of the whole file")
]


class NewUpload(Struct, frozen=True):
    """A file that is going to be uploaded."""

    filename: Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
    """For people; of what may be a path the last part counts."""
    size: FileSize
    """Bytes."""
    mime_type: Annotated[str, Meta(pattern=MIME_PATTERN)]
    conversation_id: Id | None = None
    """Where it is going to be sent."""


class UploadPart(Struct, frozen=True):
    """A part that is missing, and the request that brings it: send it as it is told here."""

    part: Annotated[int, Meta(ge=1)]
    """Its number; each part but the last has `chunk_size` bytes."""
    method: Literal["PUT"]
    url: str
    headers: dict[str, str]


class Upload(Struct, frozen=True):
    """An upload that has begun: its parts may come in any order, at once, and more than once."""

    file_id: Id
    chunk_size: int
    """Bytes of each part but the last."""
    total_chunks: int
    uploads: list[UploadPart]
    """Every part that is missing."""
    expires_at: datetime
    """What is not complete by then is removed."""


class UploadProgress(Struct, frozen=True):
    """How far an upload has come."""

    status: UploadState
    uploaded_chunks: list[int]
    """The numbers of the parts that came whole."""
    missing_chunks: list[int]
    progress_percentage: Annotated[float, Meta(ge=0, le=100)]
    """Of the bytes."""
    chunk_size: int
    """Bytes of each part but the last."""
    uploads: list[UploadPart]
    """Every part that is missing, with an address that is valid from now on."""
    expires_at: datetime


class UploadEnd(Struct, frozen=True):
    """Every part is there."""

    file_id: Id
    checksum: Checksum


class StoredFile(Struct, frozen=True):
    """What is known of a file."""

    file_id: Id
    filename: str
    size: FileSize
    mime_type: str
    """As it was told; once it is checked, what its bytes are."""
    status: UploadState
    checksum: Checksum | None
    conversation_id: Id | None
    """Where its owner meant to send it; told to nobody else."""
    uploaded_by: str
    created_at: datetime
    width: int | None
    """Of an image, in pixels."""
    height: int | None
    thumbnail: bool
    """Whether there is a thumbnail to fetch."""
    reason: str | None
    """A word: why it is rejected or quarantined."""


class FileList(Struct, frozen=True):
    """The caller's files, in no order that means anything."""

    files: list[StoredFile]
    next_cursor: Id | None


class FilesQuery(Struct, frozen=True):
    """Which part of the list."""

    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="Files at most")] = 50
    cursor: (
        Annotated[Id, Meta(description="Where the page before ended: its `next_cursor`")] | None
    ) = None


# --- uploads --------------------------------------------------------------------------------------


@routes.post(
    "/v1/files/initiate",
    body=NewUpload,
    answers={201: Upload},
    errors=(ErrorCode.NOT_FOUND, ErrorCode.CONFLICT),
    scope="files:write",
    examples={"a picture": NewUpload("plan.png", 70_512, "image/png")},
)
async def initiate_upload(call: Call, body: NewUpload) -> Upload:
    """Begin to upload a file.

    Put each part to its address, then complete the upload. Size, type and quota are judged here.
    The same `Idempotency-Key` again finds the upload as it stands.
    """
    user = call.caller.user()
    if wait := call.services.limits.take(FILES, user):
        raise ApiError(ErrorCode.RATE_LIMITED, "too many files", retry_after=wait)
    status = await call.services.files.initiate(
        user,
        call.id("file"),
        name=clean_name(body.filename),
        size=body.size,
        mime=body.mime_type.lower(),
        conversation=body.conversation_id,
        base=call.base,
    )
    file = status.file
    return Upload(
        file_id=file.id,
        chunk_size=file.chunk_size,
        total_chunks=file.parts,
        uploads=_parts(status),
        expires_at=moment(file.expires_at),
    )


@routes.get("/v1/files/{file_id}/upload", answers={200: UploadProgress}, scope="files:read")
async def read_upload(call: Call, file_id: str) -> UploadProgress:
    """Tell how far an upload has come, and where to put what is missing.

    So an upload goes on where it was broken off, hours later and from another device.
    """
    status = await call.services.files.status(call.caller.user(), file_id, call.base)
    file = status.file
    return UploadProgress(
        status=_state(file),
        uploaded_chunks=status.uploaded,
        missing_chunks=status.missing,
        progress_percentage=round(100 * status.uploaded_bytes / file.size, 1),
        chunk_size=file.chunk_size,
        uploads=_parts(status),
        expires_at=moment(file.expires_at),
    )


def _parts(status: UploadStatus) -> list[UploadPart]:
    return [
        UploadPart(each.part, "PUT", each.address.url, dict(each.address.headers))
        for each in status.addresses
    ]


def _check_time(settings: Settings) -> float:
    """A completion waits for the check, beside what any request may take."""
    return settings.file_check_patience + settings.request_timeout


@routes.post(
    "/v1/files/complete",
    body=UploadEnd,
    answers={200: StoredFile},
    errors=(ErrorCode.NOT_FOUND, ErrorCode.CONFLICT),
    scope="files:write",
    time=_check_time,
)
async def complete_upload(call: Call, body: UploadEnd) -> StoredFile:
    """Tell that every part is there, and have the file checked.

    It is answered when the check is done: the file can be sent when it is `ready`. With another
    checksum, or of another type than was told, it is refused for good. The same request again waits
    for the same check.
    """
    user = call.caller.user()
    checksum = bytes.fromhex(body.checksum.removeprefix(_SCHEME))
    return shown(await call.services.files.complete(user, body.file_id, checksum), user)


# --- files ----------------------------------------------------------------------------------------


@routes.get("/v1/files", query=FilesQuery, answers={200: FileList}, scope="files:read")
async def list_files(call: Call, query: FilesQuery) -> FileList:
    """List the caller's own files."""
    user = call.caller.user()
    found = await call.services.files.of(user, query.cursor, query.limit + 1)
    page = found[: query.limit]
    more = len(found) > query.limit
    return FileList([shown(file, user) for file in page], page[-1].id if more else None)


@routes.get("/v1/files/{file_id}", answers={200: StoredFile}, scope="files:read")
async def read_file(call: Call, file_id: str) -> StoredFile:
    """Tell what is known of a file: an own one, or one of a message that the caller may read."""
    user = call.caller.user()
    return shown(await call.services.files.show(user, file_id), user)


@routes.get(
    "/v1/files/{file_id}/download",
    answers={302: None},
    errors=(ErrorCode.CONFLICT,),
    scope="files:read",
)
async def download_file(call: Call, file_id: str) -> Answer:
    """Fetch a file: the answer leads to its bytes, whole or by ranges, for some minutes.

    For its owner, and for whoever may now read a message that carries it.
    """
    return _leads_to(await call.services.files.download(call.caller.user(), file_id, call.base))


@routes.get(
    "/v1/files/{file_id}/thumbnail",
    answers={302: None},
    errors=(ErrorCode.CONFLICT,),
    scope="files:read",
)
async def download_thumbnail(call: Call, file_id: str) -> Answer:
    """Fetch a small picture of an image, as the file itself is fetched."""
    user = call.caller.user()
    return _leads_to(await call.services.files.download(user, file_id, call.base, thumbnail=True))


def _leads_to(address: Address) -> Answer:
    return Answer(None, 302, {"Location": address.url})


@routes.delete(
    "/v1/files/{file_id}",
    answers={204: None},
    errors=(ErrorCode.CONFLICT,),
    scope="files:write",
)
async def delete_file(call: Call, file_id: str) -> Answer:
    """Remove an own file, whoever has it in a message: its bytes go, the messages stay."""
    user = call.caller.user()

    async def act() -> Answer:
        await call.services.files.remove(user, file_id)
        return Answer(None, 204)

    return await once(call, "delete file", file_id, act, scope=f"files:{call.caller.key}:{user}")


def _state(file: File) -> UploadState:
    assert file.state != "removing"  # it is nobody's any more
    return file.state


def shown(file: File, reader: str) -> StoredFile:
    """A file, as this user is shown it."""
    return StoredFile(
        file_id=file.id,
        filename=file.name,
        size=file.size,
        mime_type=file.mime,
        status=_state(file),
        checksum=None if file.sha256 is None else _SCHEME + file.sha256.hex(),
        conversation_id=file.conversation if file.owner == reader else None,
        uploaded_by=file.owner,
        created_at=moment(file.created_at),
        width=file.width,
        height=file.height,
        thumbnail=file.thumbnail is not None,
        reason=file.reason,
    )
