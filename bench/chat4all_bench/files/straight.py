"""The same bytes straight to the store, without a server of ours: what its work is measured by.

Parts have the same sizes, go in the same order and so many at once, and what is on disk after each
is the same: in a directory the part and a mark of it, at the end the whole file under its name.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from .connections import Connections, Failed
from .parts import digest, mixed

if TYPE_CHECKING:
    from pathlib import Path

    from .content import Content

_SEVERAL: Final = 512
"""Views that the kernel takes at once: less than its 1,024."""
_LIFETIME: Final = 3600
"""Seconds that an address may be used."""


class Straight(Protocol):
    """A store. Names are of one file at a time."""

    def put(self, name: str, content: Content, chunk_size: int) -> None:
        """Write a file; it stands when this returns.

        Raises:
            Failed: it did not go through.
        """
        ...

    def get(self, name: str) -> tuple[bytes, int]:
        """Read it back; its hash, and how many bytes it was.

        Raises:
            Failed: it did not go through.
        """
        ...

    def remove(self, name: str) -> None:
        """Forget it."""
        ...

    def forget_cached(self) -> None:
        """Let the next reading come from the disk, of this store's files and the server's."""
        ...

    def close(self) -> None:
        """Let go of what is held."""
        ...


class StraightDirectory:
    """Files in the data directory of the server, beside its own."""

    def __init__(self, data_dir: Path, *, parts_at_once: int) -> None:
        self._data_dir = data_dir
        self._root = data_dir / "straight"
        self._root.mkdir()
        self._parts_at_once = parts_at_once

    def put(self, name: str, content: Content, chunk_size: int) -> None:
        """See `Straight`."""
        under_way = self._root / f"{name}.parts"
        under_way.mkdir()
        _sync(self._root)
        fd = os.open(under_way / "data", os.O_RDWR | os.O_CREAT | os.O_EXCL)

        def put(number: int) -> None:
            at = number * chunk_size
            pieces = content.pieces(at, chunk_size)
            for first in range(0, len(pieces), _SEVERAL):
                some = pieces[first : first + _SEVERAL]
                if os.pwritev(fd, some, at) != sum(map(len, some)):
                    raise Failed("the disk did not take a whole part")
                at += sum(map(len, some))
            os.fdatasync(fd)
            (under_way / f"part-{number}").touch()
            _sync(under_way)

        try:
            count = -(-content.size // chunk_size)
            mixed(range(count), put, at_once=self._parts_at_once)
            os.fsync(fd)
        finally:
            os.close(fd)
        (under_way / "data").rename(self._root / name)
        _sync(self._root)
        _remove(under_way)

    def get(self, name: str) -> tuple[bytes, int]:
        """See `Straight`."""
        with (self._root / name).open("rb", buffering=0) as file:
            return digest(file.readinto)

    def remove(self, name: str) -> None:
        """See `Straight`."""
        (self._root / name).unlink()

    def forget_cached(self) -> None:
        """See `Straight`."""
        for root in (self._root, self._data_dir / "files"):
            for path in root.rglob("*"):
                with suppress(FileNotFoundError, IsADirectoryError), path.open("rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """See `Straight`."""
        _remove(self._root)


class StraightS3:
    """Objects in the server's bucket, by addresses that are signed here."""

    def __init__(self, endpoint: str | None, bucket: str, region: str, *, parts_at_once: int):
        # Here, as their import takes a second that no other run needs.
        import botocore.session
        from botocore.config import Config

        self._bucket = bucket
        self._parts_at_once = parts_at_once
        self._connections = Connections()
        self._lock = threading.Lock()
        self._client: Any = botocore.session.get_session().create_client(
            "s3",
            region_name=region,
            endpoint_url=endpoint,
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )

    def put(self, name: str, content: Content, chunk_size: int) -> None:
        """See `Straight`."""
        begun = self._client.create_multipart_upload(Bucket=self._bucket, Key=name)
        upload = {"UploadId": begun["UploadId"]}

        def put(number: int) -> dict[str, object]:
            url = self._sign("upload_part", name, upload | {"PartNumber": number})
            pieces = content.pieces((number - 1) * chunk_size, chunk_size)
            with self._connections.ask("PUT", url, {}, pieces) as answer:
                if answer.status != 200:
                    raise Failed(f"the store answered a part with {answer.status}")
                return {"PartNumber": number, "ETag": answer.getheader("ETag")}

        count = -(-content.size // chunk_size)
        made = mixed(range(1, count + 1), put, at_once=self._parts_at_once)
        self._client.complete_multipart_upload(
            Bucket=self._bucket, Key=name, MultipartUpload={"Parts": made}, **upload
        )

    def get(self, name: str) -> tuple[bytes, int]:
        """See `Straight`."""
        url = self._sign("get_object", name, {})
        with self._connections.ask("GET", url, {}) as answer:
            if answer.status != 200:
                raise Failed(f"the store answered a download with {answer.status}")
            return digest(answer.readinto)

    def remove(self, name: str) -> None:
        """See `Straight`."""
        self._client.delete_object(Bucket=self._bucket, Key=name)

    def forget_cached(self) -> None:
        """See `Straight`: a store that is elsewhere does as it likes."""

    def close(self) -> None:
        """See `Straight`."""
        self._connections.close()
        self._client.close()

    def _sign(self, method: str, name: str, more: dict[str, Any]) -> str:
        wanted = {"Bucket": self._bucket, "Key": name, **more}
        with self._lock:
            url: str = self._client.generate_presigned_url(
                method, Params=wanted, ExpiresIn=_LIFETIME
            )
        return url


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_dir():
            _remove(path)
        else:
            path.unlink()
    directory.rmdir()
