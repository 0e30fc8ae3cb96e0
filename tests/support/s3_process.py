"""The process of `s3_server.py`: moto's S3 behind a door that looks at every right.

    python -m tests.support.s3_process

Says its port on standard output, and ends when its standard input does. At `/-/faults` tests say
what is to go wrong.
"""

from __future__ import annotations

import io
import json
import os
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from tests.support.s3_giving import bucket_of, give, join_without_checksums
from tests.support.s3_rights import ACCESS_KEY, Refused, Request, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


_PASSED: Final = f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20260101/us-east-1/s3/aws4_request"


class Door:
    """Lets pass to moto what may pass, and does what tests want to go wrong."""

    def __init__(self, moto: Any, secret_key: str) -> None:
        self._moto = moto
        self._keys = {ACCESS_KEY: secret_key}
        self._ahead = 0.0
        self._down = False
        self._faults: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        target = environ["REQUEST_URI"]
        if target == "/-/faults":
            return self._arrange(json.loads(body), start)
        if self._down:
            return _drop(environ)
        try:
            judge(_request(environ, target, body), self._keys, time.time() + self._ahead)
        except Refused as refused:
            return _error(environ, start, refused.status, refused.code)
        if not _upload_stands(target):
            return _error(environ, start, 404, "NoSuchUpload")
        environ.setdefault("HTTP_AUTHORIZATION", _PASSED)  # moto takes it for public otherwise
        environ["wsgi.input"] = io.BytesIO(body)
        fault = self._fault(environ["REQUEST_METHOD"], target)
        if fault == "refuse":
            return _error(environ, start, 503, "SlowDown")
        if fault == "drop":
            return _drop(environ)
        if fault == "lose answer":
            for _ in self._moto(environ, lambda *_: None):
                pass
            return _drop(environ)
        if fault == "error in 200":
            return _error(environ, start, 200, "InternalError")
        answer: Iterable[bytes] = give(environ, start) or self._moto(environ, start)
        if fault == "break off":
            return _half(answer, environ)
        return answer

    def _arrange(self, wanted: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            self._ahead += wanted.get("ahead", 0)
            self._down = wanted.get("down", self._down)
            self._faults += wanted.get("faults", [])
        start("200 OK", [("Content-Length", "0")])
        return []

    def _fault(self, method: str, target: str) -> str | None:
        """What goes wrong with this request: the first fault for it that has not been used up."""
        with self._lock:
            for fault in self._faults:
                if fault["method"] == method and fault["has"] in target and fault["times"] > 0:
                    fault["times"] -= 1
                    how: str = fault["how"]
                    return how
        return None


def _request(environ: dict[str, Any], target: str, body: bytes) -> Request:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): text
        for name, text in environ.items()
        if name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH")
    }
    return Request(environ["REQUEST_METHOD"], target, headers, body)


def _upload_stands(target: str) -> bool:
    """Whether an upload is there, and is of this key, if one is asked for: moto does not look."""
    parts = urlsplit(target)
    query = dict(parse_qsl(parts.query))
    if "uploadId" not in query:
        return True
    name, _, key = unquote(parts.path)[1:].partition("/")
    bucket = bucket_of(name)
    found = None if bucket is None else bucket.multiparts.get(query["uploadId"])
    return found is not None and found.key_name == key


def _error(
    environ: dict[str, Any], start: Callable[..., Any], status: int, code: str
) -> Iterable[bytes]:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code></Error>'.encode()
    start(f"{status} -", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def _drop(environ: dict[str, Any]) -> Iterable[bytes]:
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionError("as a test wants it")


def _half(answer: Iterable[bytes], environ: dict[str, Any]) -> Iterable[bytes]:
    whole = b"".join(answer)
    yield whole[: len(whole) // 2]
    _drop(environ)


def main() -> None:
    """Serve until standard input ends."""
    join_without_checksums()
    door = Door(DomainDispatcherApplication(create_backend_app), os.environ["S3_SECRET_KEY"])
    server = make_server("127.0.0.1", 0, door, threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"port": server.server_port}), flush=True)
    sys.stdin.buffer.read()
    os._exit(0)  # whoever is being served does not hold up the end


if __name__ == "__main__":
    main()
