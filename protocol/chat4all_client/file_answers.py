"""What the REST API answers about files, as far as a client needs it."""

from __future__ import annotations

from msgspec import Struct, field

from chat4all_protocol.frames import FileBody


class RemoteFile(Struct, frozen=True, rename={"id": "file_id", "name": "filename"}):
    """A file on the server, as it stands."""

    id: str
    name: str
    """What its uploader called it: to be shown, never part of a path."""
    size: int
    """Bytes."""
    mime: str = field(name="mime_type")
    state: str = field(name="status")
    """`uploading`, `checking`, `ready`, `quarantined` or `rejected`."""
    checksum: str | None = None
    """Of a ready file: `sha256:` and 64 hexadecimal digits."""
    reason: str | None = None
    """Why it is quarantined or was rejected, as a word."""
    uploaded_by: str | None = None
    width: int | None = None
    """Of an image, in pixels."""
    height: int | None = None

    def body(self, text: str | None = None) -> FileBody:
        """What `Client.send` is given to send this file, with a caption or without."""
        return FileBody(
            self.id,
            text,
            name=self.name,
            size=self.size,
            mime=self.mime,
            width=self.width,
            height=self.height,
        )


class PartAddress(Struct, frozen=True):
    """Where a part is put, and with which headers."""

    part: int
    """From 1."""
    method: str
    url: str
    headers: dict[str, str] = {}


class Promise(Struct, frozen=True):
    """The answer to an upload that begins."""

    file_id: str
    chunk_size: int
    uploads: list[PartAddress]


class UploadStanding(Struct, frozen=True):
    """How far an upload has come."""

    status: str
    chunk_size: int
    missing_chunks: list[int]
    uploads: list[PartAddress] = []
    """Where the missing parts are put."""
