"""Files as a client in any language sends and fetches them: HTTP, and what the answers say."""

from __future__ import annotations

import hashlib
import http.client
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.life.rest import Answer, Rest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PDF = "application/pdf"
AT_ONCE = 4
"""Parts that are put at the same time."""


def pdf(size: int, seed: int = 0) -> bytes:
    """So many bytes that begin as a PDF does, of which no two pieces are the same."""
    head = b"%PDF-1.7\n"
    return (head + random.Random(seed).randbytes(max(0, size - len(head))))[:size]


def checksum(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def at(
    url: str,
    method: str = "GET",
    data: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """What is answered at a signed address; no token is sent there."""
    parts = urlsplit(url)
    assert parts.port is not None
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return Rest(parts.port).ask(method, target, data=data, **(headers or {}))


def message(conversation: str, file: str) -> dict[str, Any]:
    """A message with a file, for REST."""
    return {"conversation_id": conversation, "payload": {"type": "file", "file_id": file}}


def field_of(refused: Answer) -> Any:
    """The field that is at fault."""
    return refused.error["details"]["field"]


@dataclass(frozen=True)
class Upload:
    """A file that was promised, and how it is to be cut."""

    id: str
    data: bytes
    chunk: int
    uploads: list[dict[str, Any]]

    def piece(self, number: int) -> bytes:
        """The bytes of a part."""
        return self.data[(number - 1) * self.chunk : number * self.chunk]

    def url(self, number: int = 1) -> str:
        """Where a part is put."""
        (found,) = (each["url"] for each in self.uploads if each["part"] == number)
        assert isinstance(found, str)
        return found

    def put(self, number: int) -> Answer:
        """Put a part where it was said."""
        (each,) = (each for each in self.uploads if each["part"] == number)
        return at(each["url"], each["method"], self.piece(number), each["headers"])

    def put_all(self, numbers: Iterable[int] | None = None) -> None:
        """Put these parts or all, some at the same time."""
        wanted = [each["part"] for each in self.uploads] if numbers is None else list(numbers)
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for answer in threads.map(self.put, wanted):
                assert answer.status == 200, answer.body


class Uploader:
    """A user with files."""

    def __init__(self, rest: Rest, name: str) -> None:
        self.rest = rest
        self.name = name

    def promise(
        self, data: bytes, *, name: str = "plan.pdf", mime: str = PDF, **more: Any
    ) -> Upload:
        """Begin to upload these bytes."""
        body = {"filename": name, "size": len(data), "mime_type": mime, **more}
        return upload_of(self.rest.post("/v1/files/initiate", body), data)

    def complete(self, id_: str, data: bytes) -> Answer:
        """Tell the hash of the bytes."""
        body = {"file_id": id_, "checksum": checksum(data)}
        return self.rest.ask("POST", "/v1/files/complete", body)

    def upload(self, data: bytes, **more: Any) -> str:
        """Upload a file from beginning to end; its id."""
        upload = self.promise(data, **more)
        upload.put_all()
        done = self.complete(upload.id, data)
        assert done.status == 200, done.body
        assert done.json["status"] == "ready"
        return upload.id

    def status(self, id_: str) -> Any:
        """How far an upload has come."""
        return self.rest.get(f"/v1/files/{id_}/upload")

    def show(self, id_: str) -> Any:
        """What is told of a file."""
        return self.rest.get(f"/v1/files/{id_}")

    def download(self, id_: str) -> Answer:
        """The answer that tells where the bytes are."""
        return self.rest.ask("GET", f"/v1/files/{id_}/download")

    def fetch(self, id_: str, **headers: str) -> Answer:
        """The answer with the bytes, where the first one says."""
        found = self.download(id_)
        assert found.status == 302, found.body
        return at(found.headers["location"], headers=headers)

    def say(
        self, conversation: str, file: str, caption: str | None = None, **more: Any
    ) -> dict[str, Any]:
        """What a message with a file is answered."""
        payload = {"type": "file", "file_id": file} | ({"text": caption} if caption else {})
        body = {"conversation_id": conversation, "payload": payload, **more}
        sent = self.rest.post("/v1/messages", body, 202)
        assert isinstance(sent, dict)
        return sent


def upload_of(promised: Mapping[str, Any], data: bytes) -> Upload:
    """The upload that an answer tells of."""
    return Upload(promised["file_id"], data, promised["chunk_size"], promised["uploads"])


def begin_and_leave(url: str, data: bytes, sent: int) -> None:
    """Put only the first bytes of a part, and go."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    connection.putrequest("PUT", f"{parts.path}?{parts.query}")
    connection.putheader("Content-Length", str(len(data)))
    connection.endheaders()
    connection.send(data[:sent])
    connection.close()
