"""Objects on whatever speaks S3."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import trio

from ..bridge import open_bridge
from ..ports.errors import Unavailable
from ..ports.objects import Address, NoSuchObject, Part
from .client import Bucket, S3Client, answered
from .presigning import Presigner

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from ..bridge import Bridge
    from ..ports.objects import Shown

PIECE: Final = 1024 * 1024
"""Bytes of what is read at once."""
PAGE: Final = 1000
"""Of parts and uploads; S3 lists no more at once."""
TURN: Final = 64
"""Addresses that are signed before others get their turn: some milliseconds."""
JOIN_PATIENCE: Final = 12
"""A join may take so many times as long as another answer: S3 puts the parts together then."""
PART_PATIENCE: Final = 12
"""So may a part of ours, which is up to 95 MiB on its way there."""
SWEEPS: Final = 3
"""How often uploads of a key are aborted: a part that is under way may outlive an abort."""


@asynccontextmanager
async def open_s3(
    bucket: Bucket, *, public_endpoint: str | None = None, timeout: float, page: int = PAGE
) -> AsyncIterator[S3Objects]:
    """The objects of a bucket, over a bridge of their own: a slow store holds up nothing else.

    `public_endpoint` is where clients reach S3, if not where we do; `timeout`, in seconds, is for
    one answer; `page` is how much is listed at once.

    Raises:
        Rejected: there can be no such bucket.
    """
    async with open_bridge() as bridge:
        objects = S3Objects(
            bridge, bucket, public_endpoint=public_endpoint, timeout=timeout, page=page
        )
        try:
            await objects.start()
            yield objects
        finally:
            with trio.CancelScope(shield=True):  # bounded: it has a time-out
                await objects.close()


class S3Objects:
    """The port on a bucket. Made by `open_s3`."""

    def __init__(
        self,
        bridge: Bridge,
        bucket: Bucket,
        *,
        public_endpoint: str | None,
        timeout: float,
        page: int,
    ) -> None:
        """The arguments are those of `open_s3`."""
        self._bucket = bucket
        self._public_endpoint = public_endpoint
        self._timeout = timeout
        self._page = page
        self._client = S3Client(bridge, bucket, timeout=timeout)
        self._presigner: Presigner | None = None

    @property
    def name(self) -> str:
        """See `ObjectStore.name`."""
        return f"S3, {self._bucket}"

    async def start(self) -> None:
        """Prepare everything; nothing is asked of S3."""
        await self._client.start()
        self._presigner = Presigner(
            self._public_endpoint or self._client.endpoint,
            self._bucket.name,
            self._bucket.region,
            path_style=self._bucket.path_style or self._public_endpoint is not None,
        )

    async def check(self) -> None:
        """See that the bucket is there and we may use it.

        Raises:
            NoSuchObject: there is no such bucket.
            Rejected: it may not be used, or is in another region.
            Unavailable: S3 can't be reached.
        """
        await self._client.call("head_bucket")

    async def begin(self, key: str, *, part_size: int, mime: str) -> str:
        """See `ObjectStore.begin`."""
        begun = await self._client.call("create_multipart_upload", Key=key, ContentType=mime)
        upload: str = begun["UploadId"]
        return upload

    async def part_addresses(
        self, key: str, upload: str, parts: Sequence[tuple[int, int]], *, lifetime: float, base: str
    ) -> list[Address]:
        """See `ObjectStore.part_addresses`."""
        credentials, now = await self._client.credentials(), time.time()
        assert self._presigner is not None  # started
        addresses = []
        for number, size in parts:
            headers = {"content-length": str(size)}
            url = self._presigner.sign(
                credentials,
                "PUT",
                key,
                {"partNumber": str(number), "uploadId": upload},
                lifetime=lifetime,
                now=now,
                headers=headers,
            )
            addresses.append(Address("PUT", url, {"Content-Length": str(size)}))
            if len(addresses) % TURN == 0:
                await trio.lowlevel.checkpoint()
        return addresses

    async def put_part(self, key: str, upload: str, number: int, data: bytes) -> None:
        """See `ObjectStore.put_part`."""

        async def put() -> None:
            await self._client.operate(
                "upload_part", Key=key, UploadId=upload, PartNumber=number, Body=data
            )

        await self._client.run(put, timeout=PART_PATIENCE * self._timeout)

    async def parts(self, key: str, upload: str) -> list[Part]:
        """See `ObjectStore.parts`."""

        async def list_all() -> list[Part]:
            found: list[Part] = []
            after: dict[str, Any] = {}
            while True:
                page = await self._client.operate(
                    "list_parts", Key=key, UploadId=upload, MaxParts=self._page, **after
                )
                found += [
                    Part(part["PartNumber"], part["Size"], part["ETag"])
                    for part in page.get("Parts", ())
                ]
                if not page.get("IsTruncated"):
                    return found
                after = {"PartNumberMarker": page["NextPartNumberMarker"]}

        return await self._client.run(list_all)

    async def join(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        """See `ObjectStore.join`."""
        listed = [{"PartNumber": part.number, "ETag": part.tag} for part in parts]

        async def complete() -> None:
            await self._client.operate(
                "complete_multipart_upload",
                Key=key,
                UploadId=upload,
                MultipartUpload={"Parts": listed},
            )

        try:
            await self._client.run(complete, timeout=JOIN_PATIENCE * self._timeout)
        except (NoSuchObject, Unavailable) as error:
            # It was joined before, or now, and only the answer is lost: the object tells.
            said = answered(error.__cause__) if error.__cause__ is not None else None
            if said is not None and said.code.startswith("InvalidPart"):
                raise
            if not await self._stands(key):
                raise

    @asynccontextmanager
    async def read(self, key: str, *, start: int = 0) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """See `ObjectStore.read`."""
        reading = _Reading(self._client, key, start)
        try:
            await self._client.run(reading.open)
            pieces = self._pieces(reading)
            try:
                yield pieces
            finally:
                await pieces.aclose()
        finally:
            with trio.CancelScope(shield=True):  # bounded: it waits for nothing
                await self._client.run(reading.close)

    async def put(self, key: str, data: bytes, mime: str) -> None:
        """See `ObjectStore.put`."""
        await self._client.call("put_object", Key=key, Body=data, ContentType=mime)

    async def address(self, key: str, shown: Shown, *, lifetime: float, base: str) -> Address:
        """See `ObjectStore.address`."""
        credentials = await self._client.credentials()
        assert self._presigner is not None  # started
        url = self._presigner.sign(
            credentials,
            "GET",
            key,
            {
                "response-content-disposition": shown.disposition,
                "response-content-type": shown.mime,
            },
            lifetime=lifetime,
            now=time.time(),
        )
        return Address("GET", url, {})

    async def end_uploads(self, key: str) -> None:
        """See `ObjectStore.end_uploads`."""
        for _ in range(SWEEPS):
            uploads = await self._uploads(key)
            if not uploads:
                break
            for upload in uploads:
                await self._abort(key, upload)
        else:
            if await self._uploads(key):
                raise Unavailable("parts are still coming")

    async def remove(self, key: str) -> None:
        """See `ObjectStore.remove`.

        Uploads go first: a join that comes in between has made an object by then, or finds none.
        """
        await self.end_uploads(key)
        await self._client.call("delete_object", Key=key)

    async def close(self) -> None:
        """See `ObjectStore.close`."""
        await self._client.close()

    async def _stands(self, key: str) -> bool:
        try:
            await self._client.call("head_object", Key=key)
        except NoSuchObject:
            return False
        return True

    async def _uploads(self, key: str) -> list[str]:
        async def list_all() -> list[str]:
            found: list[str] = []
            after: dict[str, Any] = {}
            while True:
                page = await self._client.operate(
                    "list_multipart_uploads", Prefix=key, MaxUploads=self._page, **after
                )
                found += [
                    upload["UploadId"] for upload in page.get("Uploads", ()) if upload["Key"] == key
                ]
                if not page.get("IsTruncated"):
                    return found
                after = {
                    "KeyMarker": page["NextKeyMarker"],
                    "UploadIdMarker": page["NextUploadIdMarker"],
                }

        return await self._client.run(list_all)

    async def _abort(self, key: str, upload: str) -> None:
        try:
            await self._client.call("abort_multipart_upload", Key=key, UploadId=upload)
        except NoSuchObject:
            return  # it was joined or aborted by now

    async def _pieces(self, reading: _Reading) -> AsyncGenerator[bytes, None]:
        while piece := await self._client.run(reading.next):
            yield piece


class _Reading:
    """An object that is being read, on the side of asyncio."""

    def __init__(self, client: S3Client, key: str, start: int) -> None:
        self._client = client
        self._key = key
        self._start = start
        self._body: Any = None

    async def open(self) -> None:
        wanted = {"Range": f"bytes={self._start}-"} if self._start else {}
        try:
            answer = await self._client.operate("get_object", Key=self._key, **wanted)
        except Exception as error:
            said = answered(error)
            if said is None or said.code != "InvalidRange":
                raise
            return  # it ends before that: nothing is left to be read
        self._body = answer["Body"]

    async def next(self) -> bytes:
        """The next bytes; none at the end."""
        if self._body is None:
            return b""
        piece = bytearray()
        while len(piece) < PIECE:
            more = await self._body.read(PIECE - len(piece))
            if not more:
                break
            piece += more
        return bytes(piece)

    async def close(self) -> None:
        if self._body is not None:
            self._body.close()
