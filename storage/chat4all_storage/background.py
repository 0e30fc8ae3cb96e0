"""Threads that give way: for work that would take whole processors from those who wait for answers.

On Linux they have a low priority, which counts among the threads that share a session or a control
group, so among ours. What they hold meanwhile, as the interpreter's lock, is not held up by
that: who waits for it does not compete with them.
"""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

T = TypeVar("T")

LOWEST: Final = 19
"""The niceness of the lowest priority; see setpriority(2)."""


class Background:
    """So many threads, which end when nobody has this any more."""

    def __init__(self, threads: int, name: str, *, niceness: int = LOWEST) -> None:
        """They are started when there is something to do."""
        # Not trio's threads: those do other work as well, and can't come forward again.
        self._threads = ThreadPoolExecutor(
            threads, name, initializer=_give_way, initargs=(niceness,)
        )
        self._turns = trio.CapacityLimiter(threads)

    @property
    def waiting(self) -> int:
        """Calls that wait for a thread."""
        return self._turns.statistics().tasks_waiting

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Call `function` in one of the threads, in the order of the calls; what it returned.

        It can't be broken off: what it works on is there until it has returned.

        Raises:
            Exception: what it raised.
        """
        async with self._turns:
            token, over = trio.lowlevel.current_trio_token(), trio.Event()

            def tell(_: Future[T]) -> None:
                token.run_sync_soon(over.set)

            called = self._threads.submit(function, *arguments)
            called.add_done_callback(tell)
            with trio.CancelScope(shield=True):
                await over.wait()
            return called.result()


def _give_way(niceness: int) -> None:
    if sys.platform == "linux":  # elsewhere it would be the priority of all threads
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
