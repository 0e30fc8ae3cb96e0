"""What did not work for now is tried again, until patience ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from .backoff import full_jitter
from .errors import TransferFailed

if TYPE_CHECKING:
    from collections.abc import Callable


class Trouble(Exception):
    """It did not work, and may work later."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        """In words, for people."""
        self.retry_after = retry_after
        """Seconds to wait before the next attempt, if the server said so."""


class Patience:
    """How one thing is tried again: with growing pauses, for `limit` seconds without success."""

    def __init__(self, limit: float, random: Callable[[], float]) -> None:
        """`random` gives numbers in [0, 1)."""
        self._limit = limit
        self._random = random
        self._attempt = 0
        self._since = float("inf")

    def progress(self) -> None:
        """Something was achieved: time begins anew."""
        self._attempt = 0
        self._since = float("inf")

    async def wait(self, trouble: Trouble, *, in_vain: bool = True) -> None:
        """Wait until the next attempt; `in_vain` if nothing was achieved by the last one.

        Raises:
            TransferFailed: there is to be none.
        """
        now = trio.current_time()
        self._since = min(self._since, now)
        pause = max(full_jitter(self._attempt, self._random), trouble.retry_after or 0.0)
        if in_vain and now + pause - self._since >= self._limit:
            raise TransferFailed(f"{trouble.reason}, for {self._limit:g} s; the same call goes on")
        self._attempt += 1
        await trio.sleep(pause)
