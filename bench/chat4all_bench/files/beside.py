"""Uploads of the same bytes, so many at once: who is done begins another, until told to end."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from ..histogram import Histogram  # noqa: TC001 - it is decoded by its annotation
from .connections import Failed

if TYPE_CHECKING:
    from collections.abc import Callable

DOWNLOADS: Final = 4
"""At once, when all is over."""


class Uploaded(Struct):
    """What came of them."""

    asked: int = 0
    """Uploads that were begun."""
    seconds: float = 0.0
    """From the first one's beginning to the last one's end."""
    ids: list[str] = field(default_factory=list)
    """Of those that are complete."""
    errors: dict[str, int] = field(default_factory=dict)
    histograms: dict[str, Histogram] = field(default_factory=dict)
    """By step; see `transfers.STEPS`."""

    def note(self, what: str) -> None:
        """Count an error."""
        self.errors[what] = self.errors.get(what, 0) + 1

    def back(self, same: Callable[[str], bool]) -> int:
        """How many of those that are complete come back as they were."""

        def came(id_: str) -> str | None:
            try:
                return None if same(id_) else "what was downloaded differs from what was uploaded"
            except Failed as failed:
                return str(failed)

        with ThreadPoolExecutor(DOWNLOADS) as threads:
            wrong = [what for what in threads.map(came, self.ids) if what is not None]
        for what in wrong:
            self.note(what)
        return len(self.ids) - len(wrong)


class Uploads:
    """Those under way."""

    def __init__(self, upload: Callable[[], str], *, at_once: int) -> None:
        self._upload = upload
        self._threads = ThreadPoolExecutor(at_once)
        self._at_once = at_once
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._uploaded = Uploaded()
        self._began = 0.0

    def begin(self) -> None:
        """Begin with all of them at once."""
        self._began = time.monotonic()
        for _ in range(self._at_once):
            self._threads.submit(self._go_on)

    def end(self) -> Uploaded:
        """Begin no other, and wait for those under way."""
        self._over.set()
        self._threads.shutdown()
        self._uploaded.seconds = time.monotonic() - self._began
        return self._uploaded

    def _go_on(self) -> None:
        while True:
            with self._lock:
                self._uploaded.asked += 1
            try:
                id_ = self._upload()
            except Failed as failed:
                with self._lock:
                    self._uploaded.note(str(failed))
            else:
                with self._lock:
                    self._uploaded.ids.append(id_)
            if self._over.is_set():
                return
