"""Many timers in one task."""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

import trio

from chat4all_actors.kernel.faults import FaultHandler, report_fault

if TYPE_CHECKING:
    from collections.abc import Callable

K = TypeVar("K", bound=Hashable)

# Other tasks get their turn between rounds of as many callbacks.
_ROUND = 256
# Below this many stale heap entries sorting them out is not worth the while.
_MIN_STALE = 64


@dataclass(frozen=True, slots=True)
class TimersStatistics:
    """A snapshot of the timers."""

    pending: int
    heap: int
    """Heap entries, those of replaced and cancelled timers included."""
    fired: int
    faults: int
    """Callbacks that raised."""


class Timers(Generic[K]):
    """Timers by key: at most one per key, each calls a short synchronous function once.

    Time is trio's clock. Timers fire in the order of their deadlines, equal ones in the order they
    were set, never early, and only while `run` runs; those that fell due meanwhile fire when it
    runs again.
    """

    def __init__(self, name: str, *, on_fault: FaultHandler | None = None) -> None:
        """Make a set without timers.

        `on_fault` gets the key (as text) and the exception of a callback that raised, which does
        not disturb the others; by default it is logged.
        """
        self.name = name
        self._on_fault = on_fault
        # The heap orders (deadline, serial, key); an entry counts only if `_pending` has the same
        # serial for the key. Serials differ, so keys are never compared.
        self._heap: list[tuple[float, int, K]] = []
        self._pending: dict[K, tuple[int, Callable[..., object], tuple[Any, ...]]] = {}
        self._serial = 0
        self._sleep: trio.CancelScope | None = None
        self._running = False
        self._fired = 0
        self._faults = 0

    def __len__(self) -> int:
        """Count the timers that are set."""
        return len(self._pending)

    def __contains__(self, key: K) -> bool:
        """Tell whether a timer of this key is set."""
        return key in self._pending

    def set(self, key: K, delay_seconds: float, fn: Callable[..., object], *args: Any) -> None:
        """Call ``fn(*args)`` in `delay_seconds`, instead of what was set for this key.

        Raises `ValueError` for a delay that is negative or not finite.
        """
        if not 0 <= delay_seconds < math.inf:
            raise ValueError("the delay must be finite and not negative")
        deadline = trio.current_time() + delay_seconds
        self._serial += 1
        self._pending[key] = (self._serial, fn, args)
        heapq.heappush(self._heap, (deadline, self._serial, key))
        self._compact()
        if self._sleep is not None and deadline < self._sleep.deadline:
            self._sleep.deadline = deadline

    def cancel(self, key: K) -> bool:
        """Forget the timer of this key; tells whether there was one."""
        if self._pending.pop(key, None) is None:
            return False
        self._compact()
        return True

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Fire timers until cancelled; ready as soon as it runs.

        Raises `RuntimeError` when it is running already.
        """
        if self._running:
            raise RuntimeError(f"{self.name} are running already")
        self._running = True
        try:
            task_status.started()
            while True:
                if self._fire_round():
                    # A sleep that is over as it begins would do as well, at five times the cost.
                    await trio.lowlevel.checkpoint()
                    continue
                deadline = self._heap[0][0] if self._heap else math.inf
                with trio.CancelScope(deadline=deadline) as self._sleep:
                    await trio.sleep_forever()
        finally:
            self._sleep = None
            self._running = False

    def statistics(self) -> TimersStatistics:
        """Return the figures of this moment."""
        return TimersStatistics(
            pending=len(self._pending),
            heap=len(self._heap),
            fired=self._fired,
            faults=self._faults,
        )

    def _fire_round(self) -> bool:
        """Fire up to one round of what is due; tell whether there was anything."""
        now = trio.current_time()
        for done in range(_ROUND):
            if not self._heap or self._heap[0][0] > now:
                return done > 0
            _, serial, key = heapq.heappop(self._heap)
            timer = self._pending.get(key)
            if timer is None or timer[0] != serial:
                continue
            del self._pending[key]
            _, fn, args = timer
            self._fired += 1
            try:
                fn(*args)
            except Exception as error:
                self._faults += 1
                report_fault(self._on_fault, f"{self.name}: {key}", error)
        return True

    def _compact(self) -> None:
        """Drop the stale heap entries once they are more than the timers and worth the while."""
        stale = len(self._heap) - len(self._pending)
        if stale > max(_MIN_STALE, len(self._pending)):
            self._heap = [
                entry for entry in self._heap if self._pending.get(entry[2], (0,))[0] == entry[1]
            ]
            heapq.heapify(self._heap)
