"""When the interpreter looks for garbage, so that nobody waits for it.

Objects that refer to each other are found by walking over all there are: 0.1 ms for 1,000, and
15,000 sessions are 600,000. Left to itself the interpreter does that whenever a quarter has been
added, in the middle of a storm of reconnects. Here it looks only at the youngest. Once a second
what is left of them is set aside (`gc.freeze`), where no collection looks; all is walked over only
when as much again has been added, and hardly anything is being added just then.
https://docs.python.org/3/library/gc.html
"""

from __future__ import annotations

import gc
import logging
import time
from typing import TYPE_CHECKING, Final, NoReturn

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INTERVAL: Final = 1.0
"""Seconds between two looks."""
YOUNG: Final = 20_000
"""Objects that are added before the interpreter looks at them: 2 ms."""
NEVER: Final = 1_000_000
"""So many collections of the young before the interpreter itself looks at the others."""
SPARE: Final = 100_000
"""Objects that may be added before all are looked at, beside as many as there were."""
CALM: Final = 2_000
"""Objects added in an interval, at most, of a node that hardly grows."""
URGENT: Final = 3
"""All are looked at in any case when so many times as many as there were have been added."""
LONG: Final = 0.1
"""Seconds of a collection that is worth a line."""

logger = logging.getLogger(__name__)


class GarbageCollection:
    """The interpreter's collector, of which there is one in a process."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._began = 0.0
        self._added = 0
        """Objects, about, since all were looked at."""
        self._settled = 0
        """Objects that there were then."""

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Look after it until cancelled; then it is as it was."""
        thresholds = gc.get_threshold()
        gc.callbacks.append(self._note)
        gc.set_threshold(YOUNG, NEVER, NEVER)
        try:
            self.collect()
            task_status.started()
            while True:
                await trio.sleep(INTERVAL)
                self.look()
        finally:
            gc.set_threshold(*thresholds)
            gc.callbacks.remove(self._note)
            gc.unfreeze()

    def look(self) -> None:
        """Set aside what has been added, or look through everything if it is time."""
        young, collections, _ = gc.get_count()
        gc.freeze()  # and begin to count anew
        added = young + collections * YOUNG
        self._added += added
        allowed = self._settled + SPARE
        if self._added > URGENT * allowed or (self._added > allowed and added <= CALM):
            self.collect()

    def collect(self) -> None:
        """Look through everything."""
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self._settled, self._added = gc.get_freeze_count(), 0

    def _note(self, phase: str, told: Mapping[str, int]) -> None:
        if phase == "start":
            self._began = self._clock()
        elif (took := self._clock() - self._began) >= LONG:
            logger.info(
                "garbage collection: generation %d took %.0f ms, %d objects were found",
                told["generation"],
                1000 * took,
                told["collected"],
            )
