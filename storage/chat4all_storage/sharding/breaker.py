"""Do not keep anybody waiting for a database that does not answer.

While a database is well its breaker only counts. When the last few calls have failed, or calls
wait and none has been answered for a while, it opens: those that wait are refused, later ones at
once, until a probe has been answered. So one database that is down or hangs costs a session
nothing but the conversations that are in it.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from ..ports.errors import InDoubt, Moved, Rejected, StorageError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

T = TypeVar("T")

SECONDS: Final = 1.0
STALL: Final = 2 * SECONDS
"""Calls wait, and none is answered for so long: the database hangs."""
FAILURES: Final = 3
"""So many calls have failed and none was answered in between: the database is down."""
PROBE_TIMEOUT: Final = 2 * SECONDS


class Breaker:
    """Guards the calls to one database; `watch` has to be called several times a second."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.open = False
        """Whether calls are refused."""
        self._failures = 0
        self._answered = float("-inf")
        self._waiting: dict[trio.CancelScope, float] = {}
        """Calls under way and when they began, oldest first."""

    async def call(
        self,
        fn: Callable[[], Awaitable[T]],
        *,
        writes: bool = False,
        patience: float = math.inf,
    ) -> T:
        """What `fn()` returns or raises within `patience` seconds.

        Raises:
            Unavailable: the breaker is or gets open, or there was no answer.
            InDoubt: likewise, while a write was under way.
        """
        self.check()
        began = trio.current_time()
        with trio.CancelScope(deadline=began + patience) as scope:
            self._waiting[scope] = began
            try:
                result = await fn()
            except (Moved, Rejected):
                self._note_answer()
                raise
            except (Unavailable, InDoubt) as error:
                self._note_failure(error)
                raise
            else:
                self._note_answer()
                return result
            finally:
                del self._waiting[scope]
        if not self.open and trio.current_time() - self._answered >= patience:
            self._trip("it does not answer")  # so it was for everybody
        silence = f"database {self.name} does not answer"
        raise InDoubt(silence) if writes else Unavailable(silence)

    def check(self) -> None:
        """Refuse at once what could only wait.

        Raises:
            Unavailable: the breaker is open.
        """
        if self.open:
            raise self._refusal()

    async def watch(self, probe: Callable[[], Awaitable[object]]) -> None:
        """Open if the calls that wait get no answer; if open, close when a probe gets one."""
        if not self.open:
            if self._waiting:
                oldest = next(iter(self._waiting.values()))
                if trio.current_time() - max(oldest, self._answered) > STALL:
                    self._trip("it does not answer")
            return
        with trio.move_on_after(PROBE_TIMEOUT):
            try:
                await probe()
            except StorageError as error:
                logger.debug("database %s is still away: %s", self.name, error)
            else:
                self._note_answer()

    def _refusal(self) -> Unavailable:
        return Unavailable(f"database {self.name} is out of reach")

    def _note_answer(self) -> None:
        self._failures = 0
        self._answered = trio.current_time()
        if self.open:
            self.open = False
            logger.warning("database %s can be read again", self.name)

    def _note_failure(self, error: Unavailable | InDoubt) -> None:
        self._failures += 1
        if self._failures >= FAILURES and not self.open:
            self._trip(str(error))

    def _trip(self, why: str) -> None:
        self.open = True
        logger.warning("database %s can't be read: %s", self.name, why)
        for scope in list(self._waiting):
            scope.cancel()
