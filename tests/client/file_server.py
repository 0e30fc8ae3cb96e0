"""Files as the server keeps them, over real HTTP, with whatever can go wrong on the way."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import h11
import trio

from chat4all_client import open_files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from chat4all_client import Files

Fault: TypeAlias = int | Literal["cut", "cut answer", "garbage", "s3 timeout"]
"""A status to answer, or what happens to the connection or to the bytes."""
TOKEN = "secret"


def files_of(server: FileServer, **settings: Any) -> AbstractAsyncContextManager[Files]:
    """A client of it, in small pieces and without pauses between attempts."""
    settings = {"token": TOKEN, "piece_size": 1000, "random": lambda: 0.0, **settings}
    return open_files(server.url, **settings)


@dataclass
class Upload:
    """A file under way, or there."""

    id: str
    name: str
    size: int
    mime: str
    status: str = "uploading"
    parts: dict[int, bytes] = field(default_factory=dict)
    checksum: str | None = None

    @property
    def data(self) -> bytes:
        return b"".join(self.parts[number] for number in sorted(self.parts))


class FileServer:
    """The API under `/v1/files`, and a store under `/store` whose addresses carry a generation."""

    def __init__(self, *, chunk: int = 1000) -> None:
        self.chunk = chunk
        self.url = ""
        self.uploads: dict[str, Upload] = {}
        self.requests: Counter[str] = Counter()
        """How often each kind was asked for: `initiate`, `status`, `complete`, `put`, …"""
        self.faults: dict[str, list[Fault]] = {}
        """What happens to the next requests of a kind, one after another."""
        self.retry_after: str | None = None
        self.generation = 1
        """Addresses of earlier ones have expired."""
        self.etag = '"one"'
        self.tokens_at_store: list[str] = []
        """Authorisations that the store was shown: there must be none."""
        self.under_way = 0
        self.most_under_way = 0
        self.before: Callable[[str], None] = lambda kind: None
        """Is told each kind of request that comes."""
        self.token = TOKEN
        self.words = True
        """Whether errors are told in words."""

    def stored(self, data: bytes, name: str = "plan.pdf", *, id_: str = "f1") -> Upload:
        """A file that is ready."""
        upload = Upload(id_, name, len(data), "application/pdf", "ready", {1: data})
        upload.checksum = checksum(data)
        self.uploads[id_] = upload
        return upload

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FileServer]:
        """Serve until the block is left."""
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            self.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
            nursery.start_soon(trio.serve_listeners, self._serve, listeners)
            yield self
            nursery.cancel_scope.cancel()

    async def _serve(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        async with stream:
            try:
                while await self._one(stream, connection):
                    connection.start_next_cycle()
            except (h11.RemoteProtocolError, trio.BrokenResourceError):
                pass  # the client has left

    async def _one(self, stream: trio.SocketStream, connection: h11.Connection) -> bool:
        request: h11.Request | None = None
        body = b""
        fault: Fault | None = None
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some(65536))
            elif isinstance(event, h11.Request):
                request = event
                kind = self._kind(request)
                self.requests[kind] += 1
                self.before(kind)
                fault = next(iter(self.faults.get(kind, [])), None)
                if fault is not None:
                    self.faults[kind].pop(0)
                self.under_way += 1
                self.most_under_way = max(self.most_under_way, self.under_way)
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
                if fault == "cut":
                    self.under_way -= 1
                    return False
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        self.under_way -= 1
        assert request is not None
        status, headers, answer = self._answer(request, body, fault)
        if fault == "cut":
            return False
        if fault == "garbage":
            answer = b"\0" * len(answer)
        headers["Content-Length"] = str(len(answer))
        await _send(
            stream, connection, h11.Response(status_code=status, headers=[*headers.items()])
        )
        if fault == "cut answer":
            await _send(stream, connection, h11.Data(data=answer[: len(answer) // 2]))
            return False
        await _send(stream, connection, h11.Data(data=answer))
        await _send(stream, connection, h11.EndOfMessage())
        return connection.our_state is not h11.MUST_CLOSE

    @staticmethod
    def _kind(request: h11.Request) -> str:
        path = request.target.decode().partition("?")[0]
        if path.startswith("/store/"):
            return {b"PUT": "put", b"GET": "get"}[request.method]
        last = path.rpartition("/")[2]
        if last in ("initiate", "complete", "download"):
            return last
        return "status" if last == "upload" else {b"DELETE": "remove"}.get(request.method, "show")

    def _answer(
        self, request: h11.Request, body: bytes, fault: Fault | None
    ) -> tuple[int, dict[str, str], bytes]:
        headers = {name.decode().lower(): value.decode() for name, value in request.headers}
        path, _, query = request.target.decode().partition("?")
        kind = self._kind(request)
        if isinstance(fault, int):
            retry = {} if self.retry_after is None else {"Retry-After": self.retry_after}
            words = _error(f"E{fault}", "as the test wants it") if self.words else b""
            return fault, retry, words
        if fault == "s3 timeout":
            return 400, {}, b"<Error><Code>RequestTimeout</Code></Error>"
        if kind in ("put", "get"):
            if "authorization" in headers:
                self.tokens_at_store.append(headers["authorization"])
            if query != f"g={self.generation}":
                return 403, {}, b"<Error><Code>AccessDenied</Code></Error>"
            id_, _, part = path.removeprefix("/store/").partition("/")
            upload = self.uploads[id_]
            if kind == "get":
                return self._get(upload, headers)
            upload.parts[int(part)] = body
            return 200, {"ETag": '"part"'}, b""
        if headers.get("authorization") != f"Bearer {self.token}":
            return 401, {}, _error("UNAUTHENTICATED", "the token is not known")
        status, answer = self._api(kind, path, body)
        if status == 302:
            return 302, {"Location": answer}, b""
        return status, {"Content-Type": "application/json"}, json.dumps(answer).encode()

    def _get(self, upload: Upload, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        first, last = map(int, headers["range"].removeprefix("bytes=").split("-"))
        if headers.get("if-range", self.etag) != self.etag:
            return 200, {"ETag": self.etag}, upload.data
        place = f"bytes {first}-{last}/{len(upload.data)}"
        return 206, {"ETag": self.etag, "Content-Range": place}, upload.data[first : last + 1]

    def _api(self, kind: str, path: str, body: bytes) -> tuple[int, Any]:
        if kind == "initiate":
            wanted = json.loads(body)
            id_ = f"f{len(self.uploads) + 1}"
            self.uploads[id_] = Upload(id_, wanted["filename"], wanted["size"], wanted["mime_type"])
            return 201, {"file_id": id_, **self._standing(self.uploads[id_])}
        id_ = json.loads(body)["file_id"] if kind == "complete" else path.split("/")[3]
        upload = self.uploads.get(id_)
        if upload is None:
            return 404, json.loads(_error("NOT_FOUND", "no such file"))
        if kind == "status":
            return 200, self._standing(upload)
        if kind == "download":
            return 302, f"/store/{id_}?g={self.generation}"
        if kind == "remove":
            del self.uploads[id_]
        if kind == "complete":
            upload.checksum = checksum(upload.data)
            if json.loads(body)["checksum"] != upload.checksum:
                return 409, json.loads(_error("CONFLICT", "another checksum", "checksum"))
            upload.status = "ready"
        return 200, {
            "file_id": id_,
            "filename": upload.name,
            "size": upload.size,
            "mime_type": upload.mime,
            "status": upload.status,
            "checksum": upload.checksum,
        }

    def _standing(self, upload: Upload) -> dict[str, Any]:
        numbers = range(1, -(-upload.size // self.chunk) + 1)
        missing = [number for number in numbers if number not in upload.parts]
        address = f"{self.url}/store/{upload.id}"
        query = f"?g={self.generation}"
        return {
            "status": upload.status,
            "chunk_size": self.chunk,
            "missing_chunks": missing,
            "uploads": [
                {"part": part, "method": "PUT", "url": f"{address}/{part}{query}", "headers": {}}
                for part in missing
            ],
        }


def checksum(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _error(code: str, message: str, field_: str | None = None) -> bytes:
    error = {"code": code, "message": message, "details": {"field": field_}, "trace_id": "t"}
    return json.dumps({"error": error}).encode()


async def _send(stream: trio.SocketStream, connection: h11.Connection, event: h11.Event) -> None:
    data = connection.send(event)
    if data:
        await stream.send_all(data)
