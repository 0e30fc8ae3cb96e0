"""A file goes to a server in parts, and comes back: `POST /v1/files/initiate` and what follows."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

import msgspec
from msgspec import Struct, field

from ..histogram import Histogram
from ..http import Answer, NoAnswer, Server, request

if TYPE_CHECKING:
    from collections.abc import Mapping

_REDIRECTS: Final = frozenset({302, 303, 307})


class NotServed(Exception):
    """The server has no files at all."""


class Wrong(Exception):
    """A file did not go through: why, in few words."""


class _Upload(Struct):
    part: int
    url: str
    method: str = "PUT"
    headers: dict[str, str] = field(default_factory=dict)


class _Initiated(Struct):
    file_id: str
    chunk_size: int
    total_chunks: int
    uploads: list[_Upload]


class Transfers:
    """Files of one user. Times are collected by step."""

    def __init__(self, url: str, token: str, *, parts_at_once: int) -> None:
        self.url = url
        self._token = token
        self._servers: dict[str, Server] = {}
        self._parts_at_once = parts_at_once
        self.histograms: dict[str, Histogram] = {
            name: Histogram() for name in ("initiate", "part", "complete", "upload", "download")
        }
        self.sent = 0
        """Bytes of files that are complete."""
        self.received = 0

    async def transfer(self, name: str, size: int, seed: int) -> None:
        """Upload a file, download it, and compare.

        Raises:
            NotServed: the server has no files.
            Wrong: it did not go through.
        """
        data = random.Random(seed).randbytes(size)
        began = time.monotonic()
        file_id = await self._upload(name, data)
        self.histograms["upload"].add(time.monotonic() - began)
        self.sent += size
        began = time.monotonic()
        back = await self._download(file_id)
        self.histograms["download"].add(time.monotonic() - began)
        self.received += len(back)
        if hashlib.sha256(back).digest() != hashlib.sha256(data).digest():
            raise Wrong("what was downloaded differs from what was uploaded")

    def close(self) -> None:
        """Close the connections."""
        for server in self._servers.values():
            server.close()

    async def _upload(self, name: str, data: bytes) -> str:
        asked = {
            "filename": name,
            "size": len(data),
            "mime_type": "application/octet-stream",
        }
        answer = await self._call("initiate", "/v1/files/initiate", asked)
        if answer.status in (404, 405):
            raise NotServed(f"POST /v1/files/initiate was answered with {answer.status}")
        if answer.status != 201:
            raise Wrong(f"initiate was answered with {answer.status}")
        try:
            told = msgspec.json.decode(answer.body, type=_Initiated)
        except msgspec.DecodeError:
            raise Wrong("initiate was answered with another form") from None
        if len(told.uploads) != told.total_chunks or told.chunk_size < 1:
            raise Wrong("initiate has not an upload for each chunk")
        gate = asyncio.Semaphore(self._parts_at_once)

        async def put(upload: _Upload) -> None:
            first = (upload.part - 1) * told.chunk_size
            async with gate:
                await self._put(upload, data[first : first + told.chunk_size])

        # In no order: a server must take them as they come.
        mixed = random.Random(len(data)).sample(told.uploads, len(told.uploads))
        for ended in await asyncio.gather(*map(put, mixed), return_exceptions=True):
            if ended is not None:
                raise ended
        checksum = f"sha256:{hashlib.sha256(data).hexdigest()}"
        ending = {"file_id": told.file_id, "checksum": checksum}
        answer = await self._call("complete", "/v1/files/complete", ending)
        if answer.status != 200:
            raise Wrong(f"complete was answered with {answer.status}")
        return told.file_id

    async def _put(self, upload: _Upload, part: bytes) -> None:
        began = time.monotonic()
        answer = await self._ask(upload.method, upload.url, upload.headers, part)
        self.histograms["part"].add(time.monotonic() - began)
        if answer.status not in (200, 201, 204):
            raise Wrong(f"a part was answered with {answer.status}")

    async def _download(self, file_id: str) -> bytes:
        server = self._server(self.url)
        asked = request("GET", f"/v1/files/{file_id}/download", server.name, token=self._token)
        answer = await self._answer(server, asked)
        if answer.status in _REDIRECTS and answer.location is not None:
            answer = await self._ask("GET", urljoin(self.url, answer.location), {}, None)
        if answer.status != 200:
            raise Wrong(f"download was answered with {answer.status}")
        return answer.body

    async def _call(self, step: str, path: str, body: object) -> Answer:
        server = self._server(self.url)
        began = time.monotonic()
        asked = request("POST", path, server.name, token=self._token, body=body)
        answer = await self._answer(server, asked)
        self.histograms[step].add(time.monotonic() - began)
        return answer

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        """Ask at an address of which the server said how."""
        url = urljoin(self.url, url)
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        server = self._server(url)
        head = f"{method} {target} HTTP/1.1\r\nHost: {server.name}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        if body is not None and not any(name.lower() == "content-length" for name in headers):
            head += f"Content-Length: {len(body)}\r\n"
        return await self._answer(server, f"{head}\r\n".encode() + (body or b""))

    async def _answer(self, server: Server, data: bytes) -> Answer:
        try:
            return await server.ask(data)
        except NoAnswer as error:
            raise Wrong(f"no answer: {error}") from None

    def _server(self, url: str) -> Server:
        parts = urlsplit(url)
        key = f"{parts.scheme}://{parts.netloc}"
        if key not in self._servers:
            self._servers[key] = Server(key)
        return self._servers[key]
