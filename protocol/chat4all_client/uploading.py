"""The parts of one upload: several at once, each until it is there."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import trio

from .errors import TransferFailed
from .file_answers import UploadStanding
from .patience import Trouble
from .web import AddressRefused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from .file_answers import PartAddress
    from .local_file import LocalFile
    from .web import Web

REFUSALS: Final = 3
"""Fresh addresses that may be refused one after another."""

TROUBLES: Final = 2
"""Failures of a part after which it is asked how it stands: a refusal is lost when the connection
breaks under what is still being sent, and so may be the news that the part came."""


class PartUploads:
    """Puts the parts of a file that the server does not have yet."""

    def __init__(
        self,
        web: Web,
        source: LocalFile,
        file_id: str,
        chunk_size: int,
        progress: Callable[[int, int], None],
    ) -> None:
        """`progress` is told the bytes that are there or on their way, and of how many."""
        self._web = web
        self._source = source
        self._id = file_id
        self._chunk = chunk_size
        self._progress = progress
        self._addresses: dict[int, PartAddress] = {}
        self._on_way: dict[int, int] = {}
        """Bytes sent of parts that are being put."""
        self._whole = source.size
        """Bytes of parts that are there."""
        self._asking = trio.Lock()

    async def run(self, missing: Sequence[int], addresses: list[PartAddress], at_once: int) -> None:
        """Put these parts.

        Raises:
            RequestRefused, TransferFailed, FileChanged, OSError: they are not all there.
        """
        self._addresses = {address.part: address for address in addresses}
        self._whole -= sum(self._size(part) for part in missing)
        self._tell()
        todo = iter(missing)

        async def work() -> None:
            for part in todo:
                await self._put(part)

        async with trio.open_nursery() as nursery:
            for _ in range(at_once):
                nursery.start_soon(work)

    async def _put(self, part: int) -> None:
        size = self._size(part)
        patience = self._web.patience()
        refusals = troubles = 0
        while (address := await self._address(part)) is not None:
            try:
                async with aclosing(self._content(part)) as content:
                    await self._web.put(address, content, size)
                break
            except AddressRefused as error:
                refusals += 1
                if refusals > REFUSALS:
                    raise TransferFailed(f"{error}, and fresh ones too") from None
                self._renew(part, address)
            except Trouble as trouble:
                self._on_way.pop(part, None)
                self._tell()
                troubles += 1
                if troubles % TROUBLES == 0:
                    self._renew(part, address)
                await patience.wait(trouble)
        self._on_way.pop(part, None)
        self._whole += size
        self._tell()

    async def _address(self, part: int) -> PartAddress | None:
        """Where the part is put; None: it is there already."""
        async with self._asking:  # addresses expire together, and one answer renews all
            if part not in self._addresses:
                path = f"/v1/files/{self._id}/upload"
                standing = await self._web.ask(UploadStanding, "GET", path)
                if part not in standing.missing_chunks:
                    return None
                self._addresses = {address.part: address for address in standing.uploads}
                if part not in self._addresses:
                    raise TransferFailed(f"the upload is {standing.status}, and takes no parts")
            return self._addresses[part]

    def _renew(self, part: int, address: PartAddress) -> None:
        """Ask for another address, unless that has happened."""
        if self._addresses.get(part) is address:
            del self._addresses[part]

    async def _content(self, part: int) -> AsyncGenerator[bytes, None]:
        self._on_way[part] = 0
        source = self._source.pieces((part - 1) * self._chunk, self._size(part))
        async with aclosing(source) as pieces:
            async for piece in pieces:
                yield piece
                self._on_way[part] += len(piece)
                self._tell()

    def _size(self, part: int) -> int:
        return min(self._chunk, self._source.size - (part - 1) * self._chunk)

    def _tell(self) -> None:
        self._progress(self._whole + sum(self._on_way.values()), self._source.size)
