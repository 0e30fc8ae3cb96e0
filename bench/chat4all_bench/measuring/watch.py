"""How much memory the processes of a target take at most while something goes on."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from .proc import GONE, SERVER, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from .proc import Known

LOOK: Final = 0.05
"""Seconds between two looks."""
LIST_ANEW: Final = 1.0
"""Seconds after which it is looked for processes that have come: that costs more."""


class Watch:
    """Looks in a thread, within its block, and may be used for several blocks.

    It counts resident memory. To tell the PSS of a server, the kernel walks through all of its
    pages for milliseconds, in which the server can't have more of them.
    """

    def __init__(self, processes: Callable[[], list[Known]], kind: str = SERVER) -> None:
        """`before` is what they take now, until it is begun anew."""
        self._processes = processes
        self._kind = kind
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self.before = self.peak = 0
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget the peak so far: `before` is now."""
        self.before = self.peak = sum(map(_resident, self._ours()))

    @property
    def growth(self) -> int:
        """Bytes by which the peak is above what they took before."""
        return self.peak - self.before

    def __enter__(self) -> Watch:
        """Begin to look."""
        self._over.clear()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop to look."""
        assert self._thread is not None
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        listed = float("-inf")
        processes: list[Known] = []
        over = False
        while not over:
            over = self._over.wait(LOOK)  # and a last look, when it is
            now = time.monotonic()
            if now - listed >= LIST_ANEW:
                listed = now
                processes = self._ours()
            self.peak = max(self.peak, sum(map(_resident, processes)))

    def _ours(self) -> list[Known]:
        return [each for each in self._processes() if each.kind == self._kind]


def _resident(process: Known) -> int:
    try:
        return resident_bytes(process.pid)
    except GONE:
        return 0
