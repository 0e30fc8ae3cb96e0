"""Chat while files go up: its latency before, and with so many uploads under way all the time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from .connections import Failed

if TYPE_CHECKING:
    from collections.abc import Callable

DOWNLOADS: Final = 4
"""At once, when all is over."""


class Uploads:
    """Uploads of the same bytes, so many at once; who is done begins another, until told to end."""

    def __init__(self, upload: Callable[[], str], *, at_once: int) -> None:
        self._upload = upload
        self._threads = ThreadPoolExecutor(at_once)
        self._at_once = at_once
        self._over = threading.Event()
        self._lock = threading.Lock()
        self.asked = 0
        """Uploads that were begun."""
        self.seconds = 0.0
        """From the first one's beginning to the last one's end, once that has come."""
        self._began = 0.0
        self.ids: list[str] = []
        """Of those that are complete."""
        self.errors: dict[str, int] = {}

    def begin(self) -> None:
        """Begin with all of them at once."""
        self._began = time.monotonic()
        for _ in range(self._at_once):
            self._threads.submit(self._go_on)

    def end(self) -> None:
        """Begin no other, and wait for those under way."""
        self._over.set()
        self._threads.shutdown()
        self.seconds = time.monotonic() - self._began

    def back(self, same: Callable[[str], bool]) -> int:
        """How many of those that are complete come back as they were."""
        with ThreadPoolExecutor(DOWNLOADS) as threads:
            return sum(threads.map(lambda id_: self._counted(same, id_), self.ids))

    def _counted(self, same: Callable[[str], bool], id_: str) -> bool:
        try:
            if same(id_):
                return True
            what = "what was downloaded differs from what was uploaded"
        except Failed as failed:
            what = str(failed)
        self._note(what)
        return False

    def _note(self, what: str) -> None:
        with self._lock:
            self.errors[what] = self.errors.get(what, 0) + 1

    def _go_on(self) -> None:
        while True:
            with self._lock:
                self.asked += 1
            try:
                id_ = self._upload()
            except Failed as failed:
                self._note(str(failed))
            else:
                with self._lock:
                    self.ids.append(id_)
            if self._over.is_set():
                return
