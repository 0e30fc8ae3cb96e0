"""HTTP for large bodies: blocking connections that are kept, for threads.

A thread that sends views and receives into its own buffer costs little beside what the kernel
copies, which an event loop that queues bytes does not.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPSConnection, RemoteDisconnected
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from http.client import HTTPResponse

TIMEOUT: Final = 120.0
"""Seconds of silence after which an answer is given up: more than a check may take."""


class Failed(Exception):
    """A request did not go through: why, in few words."""


class Connections:
    """Those that are free, by whom they lead to; threads share them."""

    def __init__(self) -> None:
        self._free: dict[tuple[str, str], list[HTTPConnection]] = {}
        self._lock = threading.Lock()
        self.opened = 0
        """Connections so far."""

    @contextmanager
    def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Sequence[bytes | memoryview] = (),
    ) -> Iterator[HTTPResponse]:
        """Send a request over a free connection, or a new one; its answer is to be read whole.

        Raises:
            Failed: there was none, or it broke off while it was read.
        """
        parts = urlsplit(url)
        place = (parts.scheme, parts.netloc)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        told = dict(headers)
        if method != "GET":
            told["Content-Length"] = str(sum(map(len, body)))
        connection: HTTPConnection | None = None
        try:
            connection, response = self._answer(place, method, target, told, body)
            yield response
            response.read()
            if response.will_close:
                connection.close()
            else:
                with self._lock:
                    self._free.setdefault(place, []).append(connection)
        except (OSError, HTTPException) as error:
            if connection is not None:
                connection.close()
            raise Failed(f"no answer: {type(error).__name__}") from error
        except BaseException:
            if connection is not None:
                connection.close()
            raise

    def close(self) -> None:
        """Close those that are free."""
        for connections in self._free.values():
            for connection in connections:
                connection.close()
        self._free.clear()

    def _answer(
        self,
        place: tuple[str, str],
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: Sequence[bytes | memoryview],
    ) -> tuple[HTTPConnection, HTTPResponse]:
        with self._lock:
            free = self._free.get(place)
            kept = free.pop() if free else None
        if kept is not None:
            try:
                kept.request(method, target, body or None, dict(headers))
                return kept, kept.getresponse()
            except (RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                kept.close()  # it was closed while nobody used it
        scheme, netloc = place
        new = (HTTPSConnection if scheme == "https" else HTTPConnection)(netloc, timeout=TIMEOUT)
        with self._lock:
            self.opened += 1
        try:
            new.request(method, target, body or None, dict(headers))
            return new, new.getresponse()
        except BaseException:
            new.close()
            raise
