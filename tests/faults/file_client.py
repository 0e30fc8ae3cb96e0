"""A client that gets its files up and down whatever happens, and may itself be killed at any time.

What it remembers is on its disk, so to speak: the file's id, once it was told it, and the bytes. It
never asks why something failed: it asks how things stand, and does what is missing.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

import trio

from tests.faults.file_requests import Answer, NoAnswer, ask

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PAUSE: Final = 0.05
"""Seconds before the same is tried again: an outage is not to be a flood."""
AT_ONCE: Final = 3
DEFINITE: Final = frozenset({200, 201, 202, 204, 206, 302, 404, 409})
"""What is no matter of trying again."""


class Transfer:
    """A file on its way, as its owner's device remembers it."""

    def __init__(self, name: str, data: bytes, mime: str) -> None:
        self.name = name
        self.data = data
        self.mime = mime
        self.file: str | None = None
        self.chunk = 0
        """Bytes of a part."""
        self.ready = False
        self.received = bytearray()
        """What has been fetched of it again."""

    @property
    def checksum(self) -> str:
        """As the API names it."""
        return f"sha256:{hashlib.sha256(self.data).hexdigest()}"


class FileClient:
    """A user's device; `port` is where the server is, whenever it is there."""

    def __init__(self, port: int, token: str, progress: Callable[[], None]) -> None:
        """`progress` is called after each step that was answered."""
        self._base = f"http://127.0.0.1:{port}"
        self._token = token
        self._progress = progress

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Ask the API until it gives a definite answer."""
        fields = {"Authorization": f"Bearer {self._token}", **headers}
        data = b""
        if body is not None:
            data = json.dumps(body).encode()
            fields["Content-Type"] = "application/json"

        async def once() -> Answer:
            return await ask(f"{self._base}{path}", method, headers=fields, data=data)

        return await self._until_definite(once)

    async def _until_definite(self, once: Callable[[], Awaitable[Answer]]) -> Answer:
        while True:
            try:
                answer = await once()
            except NoAnswer:
                answer = None
            if answer is not None and answer.status in DEFINITE:
                self._progress()
                return answer
            assert answer is None or answer.status in (500, 503, 504), answer
            await trio.sleep(PAUSE)

    # --- up

    async def upload(self, transfer: Transfer) -> None:
        """Bring it from wherever it is to `ready`."""
        if transfer.file is None:
            await self.promise(transfer)
        while not transfer.ready:
            status = (await self.call("GET", f"/v1/files/{transfer.file}/upload")).json
            await self.put_missing(transfer, status)
            transfer.ready = await self._complete(transfer)

    async def promise(self, transfer: Transfer) -> None:
        """Begin; the same promise is the same file, however often it is made."""
        body = {
            "filename": transfer.name,
            "size": len(transfer.data),
            "mime_type": transfer.mime,
        }
        headers = {"Idempotency-Key": transfer.name}
        answer = await self.call("POST", "/v1/files/initiate", body, **headers)
        assert answer.status in (200, 201), answer
        transfer.chunk, transfer.file = answer.json["chunk_size"], answer.json["file_id"]

    async def put_missing(self, transfer: Transfer, status: Any) -> None:
        """Put each part that the status names, once."""
        limiter = trio.CapacityLimiter(AT_ONCE)
        size = transfer.chunk

        async def put(each: Any) -> None:
            start = (each["part"] - 1) * size
            data = transfer.data[start : start + size]
            headers = {
                name: text
                for name, text in each["headers"].items()
                if name.lower() != "content-length"
            }
            async with limiter:
                try:
                    answer = await ask(each["url"], each["method"], headers=headers, data=data)
                except NoAnswer:
                    await trio.sleep(PAUSE)
                    return
                if answer.status == 200:
                    self._progress()
                else:
                    await trio.sleep(PAUSE)

        async with trio.open_nursery() as nursery:
            for each in status["uploads"]:
                nursery.start_soon(put, each)

    async def _complete(self, transfer: Transfer) -> bool:
        body = {"file_id": transfer.file, "checksum": transfer.checksum}
        answer = await self.call("POST", "/v1/files/complete", body)
        if answer.status == 409:
            assert "missing_chunks" in answer.json["error"]["details"], answer.body
            return False
        assert answer.status == 200, answer
        assert answer.json["status"] == "ready"
        assert answer.json["checksum"] == transfer.checksum
        return True

    # --- down

    async def download(self, transfer: Transfer, piece: int) -> None:
        """Fetch what was not fetched of it yet, piece by piece."""
        while len(transfer.received) < len(transfer.data):
            found = await self.call("GET", f"/v1/files/{transfer.file}/download")
            assert found.status == 302, found
            start = len(transfer.received)
            headers = {"Range": f"bytes={start}-{start + piece - 1}"}
            try:
                answer = await ask(found.headers["location"], headers=headers)
            except NoAnswer:
                answer = None
            if answer is None or answer.status != 206:
                await trio.sleep(PAUSE)
                continue
            transfer.received += answer.body
            self._progress()

    # --- in a message

    async def send(self, conversation: str, message: str, file: str) -> None:
        """Send the message until it is accepted."""
        body = {
            "message_id": message,
            "conversation_id": conversation,
            "payload": {"type": "file", "file_id": file},
        }
        answer = await self.call("POST", "/v1/messages", body)
        assert answer.status == 202, answer
