"""A receiver of webhooks, on the standard library alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

HANG = 120.0
"""Seconds without anything new after which waiting fails, so that a hang is a failure."""


@dataclass(frozen=True)
class Told:
    """A request that came."""

    path: str
    headers: dict[str, str]
    """By their names in lower case."""
    body: bytes
    status: int
    """What was answered."""

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def seq(self) -> int:
        seq: int = self.json["data"]["sequence_number"]
        return seq

    def is_signed_with(self, secret: str) -> bool:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signed = b".".join(
            (self.id.encode(), self.headers["webhook-timestamp"].encode(), self.body)
        )
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return f"v1,{expected}" in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    """Takes requests on a port of this machine; it can be closed, and opened there again."""

    tls: ssl.SSLContext | None = None
    status: int = 204
    port: int = 0
    told: list[Told] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://localhost:{self.port}/hook"

    @contextmanager
    def open(self) -> Iterator[Receiver]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                fields = {name.lower(): value for name, value in self.headers.items()}
                with receiver._news:
                    told = Told(self.path, fields, body, receiver.status)
                    receiver.told.append(told)
                    receiver._news.notify_all()
                self.send_response(told.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Not to the test's output."""

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        server.daemon_threads = True
        if self.tls is not None:
            server.socket = self.tls.wrap_socket(server.socket, server_side=True)
        self.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def taken(self, path: str = "/hook") -> list[Told]:
        """What was answered well, without doubles, in the order in which it came first."""
        found: dict[str, Told] = {}
        for each in list(self.told):
            if each.path == path and 200 <= each.status < 300:
                found.setdefault(each.id, each)
        return list(found.values())

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until this holds; it is looked at when something came."""
        with self._news:
            while not condition():
                assert self._news.wait(HANG), "nothing came any more"
