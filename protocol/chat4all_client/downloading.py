"""One download: pieces side by side into `PATH.part`, hashed in order, named when it is right."""

from __future__ import annotations

import hashlib
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import trio
from msgspec.structs import replace

from .errors import TransferFailed, WrongChecksum
from .part_file import Note
from .patience import Trouble
from .wake import Signal, foremost
from .web import AddressRefused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    import httpx2

    from .file_answers import RemoteFile
    from .part_file import PartFile
    from .web import Web

REFUSALS: Final = 3
"""Fresh addresses that may be refused one after another."""
VERSIONS: Final = 3
"""Times that a download begins anew because the store has other bytes."""
WRITTEN: Final = 512 * 1024
"""Bytes written at once."""


class _OtherVersion(Exception):
    """The store has other bytes than those that came before."""


class Download:
    """Fetches a file into a `PartFile`."""

    def __init__(
        self,
        web: Web,
        file: RemoteFile,
        place: PartFile,
        step: int,
        progress: Callable[[int, int], None],
    ) -> None:
        """In pieces of `step` bytes; `progress` is told the bytes that are there, of how many."""
        assert file.checksum is not None  # a ready one has it
        self._web = web
        self._file = file
        self._place = place
        self._progress = progress
        self._note = Note(file.id, file.size, file.checksum, step)
        self._done = 0
        """Bytes that are there."""
        self._url: str | None = None
        self._asking = trio.Lock()
        self._noting = trio.Lock()
        self._grown = Signal()

    async def run(self, at_once: int) -> None:
        """Fetch what is missing, and name the file.

        Raises:
            WrongChecksum: the bytes are not the file's; nothing of them is kept.
            TransferFailed, RequestRefused, OSError: what came is kept for the next time.
        """
        for _ in range(VERSIONS):
            try:
                digest = await self._fetch(at_once)
            except _OtherVersion:
                await trio.to_thread.run_sync(self._place.discard)
                continue
            if f"sha256:{digest}" != self._file.checksum:
                await trio.to_thread.run_sync(self._place.discard)
                raise WrongChecksum(f"what came is not {self._file.id}: fetch it again")
            await trio.to_thread.run_sync(self._place.publish)
            return
        raise TransferFailed("the store gave other bytes each time")

    async def _fetch(self, at_once: int) -> str:
        """Fetch all pieces; the hash of the whole."""
        await self._begin()
        todo = iter(self._note.missing())
        digest = hashlib.sha256()

        async def work() -> None:
            for piece in todo:
                await self._piece(piece)

        failure: BaseException | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hash, digest)
                for _ in range(at_once):
                    nursery.start_soon(work)
        except BaseExceptionGroup as group:
            failure = _OtherVersion() if group.subgroup(_OtherVersion) else foremost(group)
        if failure is not None:
            raise failure
        return digest.hexdigest()

    async def _begin(self) -> None:
        known = await trio.to_thread.run_sync(self._place.note)
        if known is not None and known.is_of(self._note):
            self._note = known
        else:
            self._note = replace(self._note, etag=None, whole=[])
            await trio.to_thread.run_sync(self._place.begin, self._note)
        places = map(self._note.place, self._note.whole)
        self._done = sum(end - start for start, end in places)
        self._tell(0)

    async def _hash(self, digest: hashlib._Hash) -> None:
        """Hash pieces in their order, as they come."""
        note = self._note
        for piece in range(-(-note.size // note.step)):
            while piece not in note.whole:
                await self._grown.wait()
            await trio.to_thread.run_sync(self._place.hash, digest, *note.place(piece))

    async def _piece(self, piece: int) -> None:
        at, end = self._note.place(piece)
        patience = self._web.patience()
        refusals = 0
        while at < end:
            url = await self._address()
            try:
                async with self._web.get(url, self._headers(at, end)) as answer:
                    self._judge(answer, at, end)
                    async with aclosing(_gathered(answer)) as gathered:
                        async for data in gathered:
                            if at + len(data) > end:
                                raise Trouble("the store sent more than was asked for")
                            await trio.to_thread.run_sync(self._place.write, at, data)
                            at += len(data)
                            self._tell(len(data))
                            patience.progress()
                            refusals = 0
                if at < end:
                    raise Trouble("the download ended early")
            except AddressRefused as error:
                refusals += 1
                if refusals > REFUSALS:
                    raise TransferFailed(f"{error}, and fresh ones too") from None
                if self._url == url:
                    self._url = None
            except Trouble as trouble:
                await patience.wait(trouble)
        self._note.whole.append(piece)
        async with self._noting:
            await trio.to_thread.run_sync(self._place.keep, self._note)
        self._grown.set()

    async def _address(self) -> str:
        async with self._asking:  # one address serves all pieces
            if self._url is None:
                self._url = await self._web.address(f"/v1/files/{self._file.id}/download")
            return self._url

    def _headers(self, at: int, end: int) -> dict[str, str]:
        headers = {"Range": f"bytes={at}-{end - 1}"}
        if self._note.etag is not None:
            headers["If-Range"] = self._note.etag
        return headers

    def _judge(self, answer: httpx2.Response, at: int, end: int) -> None:
        """See that these are the bytes that were asked for, of the version that came before."""
        etag = answer.headers.get("etag")
        if etag is not None and not etag.startswith("W/"):
            if self._note.etag is None:
                self._note.etag = etag
            elif self._note.etag != etag:
                raise _OtherVersion
        if answer.status_code == 206:
            expected = f"bytes {at}-{end - 1}/{self._note.size}"
            if answer.headers.get("content-range") != expected:
                raise _OtherVersion
        elif (at, end) != (0, self._note.size):
            raise TransferFailed("the store does not answer ranges of a file")

    def _tell(self, more: int) -> None:
        self._done += more
        self._progress(self._done, self._note.size)


async def _gathered(answer: httpx2.Response) -> AsyncGenerator[bytearray, None]:
    gathered = bytearray()
    async with aclosing(answer.aiter_raw()) as pieces:
        async for data in pieces:
            gathered += data
            if len(gathered) >= WRITTEN:
                yield gathered
                gathered = bytearray()
    if gathered:
        yield gathered
