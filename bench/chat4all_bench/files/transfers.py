"""A file goes to a server in parts, and comes back: `POST /v1/files/initiate` and what follows."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urljoin

import msgspec
from msgspec import Struct, field

from ..histogram import Histogram
from .connections import Connections, Failed
from .parts import digest, mixed

if TYPE_CHECKING:
    from .content import Content

T = TypeVar("T")

STEPS: Final = ("initiate", "part", "complete", "upload", "download")
MIME: Final = "application/octet-stream"
_REDIRECTS: Final = frozenset({302, 303, 307})
_TIMEOUT: Final = 504
"""The check goes on; the same request again waits for it."""


class NotServed(Exception):
    """The server has no files at all."""


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
    """Files of one user, from any number of threads. Times are collected by step."""

    def __init__(self, url: str, token: str, *, parts_at_once: int) -> None:
        self.url = url
        self.token = token
        self._connections = Connections()
        self._parts_at_once = parts_at_once
        self._lock = threading.Lock()
        self.histograms: dict[str, Histogram] = {name: Histogram() for name in STEPS}
        self.chunk_size = 0
        """As the server told last."""
        self._first_part = float("inf")
        self._last_part = 0.0

    def upload(self, name: str, content: Content, sha256: bytes) -> str:
        """Upload a file; its id, once the server has found it whole.

        Raises:
            NotServed: the server has no files.
            Failed: it did not go through.
        """
        began = time.monotonic()
        asked = {"filename": name, "size": content.size, "mime_type": MIME}
        status, body = self._call("initiate", "/v1/files/initiate", asked)
        if status in (404, 405):
            raise NotServed(f"POST /v1/files/initiate was answered with {status}")
        if status != 201:
            raise Failed(f"initiate was answered with {status}")
        try:
            told = msgspec.json.decode(body, type=_Initiated)
        except msgspec.DecodeError:
            raise Failed("initiate was answered with another form") from None
        if len(told.uploads) != told.total_chunks or told.chunk_size < 1:
            raise Failed("initiate has not an upload for each chunk")
        self.chunk_size = told.chunk_size
        mixed(
            told.uploads,
            lambda upload: self._put(upload, content, told.chunk_size),
            at_once=self._parts_at_once,
        )
        ending = {"file_id": told.file_id, "checksum": f"sha256:{sha256.hex()}"}
        status, _ = self._call("complete", "/v1/files/complete", ending)
        while status == _TIMEOUT:
            status, _ = self._call("complete", "/v1/files/complete", ending)
        if status != 200:
            raise Failed(f"complete was answered with {status}")
        self._add("upload", time.monotonic() - began)
        return told.file_id

    def download(self, file_id: str) -> tuple[bytes, int]:
        """Fetch a file; the hash of what came, and how many bytes it was.

        Raises:
            Failed: it did not come.
        """
        began = time.monotonic()
        url = urljoin(self.url, f"/v1/files/{file_id}/download")
        authorization = {"Authorization": f"Bearer {self.token}"}
        with self._connections.ask("GET", url, authorization) as answer:
            moved = answer.getheader("Location")
            status = answer.status
        if status not in _REDIRECTS or moved is None:
            raise Failed(f"download was answered with {status}")
        with self._connections.ask("GET", urljoin(self.url, moved), {}) as answer:
            if answer.status != 200:
                raise Failed(f"the address of a download was answered with {answer.status}")
            found = digest(answer.readinto)
        self._add("download", time.monotonic() - began)
        return found

    def take_parts_seconds(self) -> float:
        """From the beginning of the first part to the end of the last one, since it was asked."""
        took = max(0.0, self._last_part - self._first_part)
        self._first_part, self._last_part = float("inf"), 0.0
        return took

    def begin_anew(self) -> None:
        """Forget the times so far."""
        self.histograms = {name: Histogram() for name in STEPS}
        self.take_parts_seconds()

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def _put(self, upload: _Upload, content: Content, chunk_size: int) -> None:
        pieces = content.pieces((upload.part - 1) * chunk_size, chunk_size)
        url = urljoin(self.url, upload.url)
        began = time.monotonic()
        with self._connections.ask(upload.method, url, upload.headers, pieces) as answer:
            status = answer.status
            answer.read()
        now = time.monotonic()
        self._add("part", now - began)
        with self._lock:
            self._first_part = min(self._first_part, began)
            self._last_part = max(self._last_part, now)
        if status not in (200, 201, 204):
            raise Failed(f"a part was answered with {status}")

    def _call(self, step: str, path: str, body: object) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = msgspec.json.encode(body)
        began = time.monotonic()
        with self._connections.ask("POST", urljoin(self.url, path), headers, [data]) as answer:
            status, said = answer.status, answer.read()
        self._add(step, time.monotonic() - began)
        return status, said

    def _add(self, step: str, took: float) -> None:
        with self._lock:
            self.histograms[step].add(took)
