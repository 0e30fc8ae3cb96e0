"""Keeps children running: starts them in order, restarts what crashes, stops in reverse order."""

from __future__ import annotations

import enum
import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import trio

from chat4all_actors.kernel.child import Child, Life, Place
from chat4all_actors.kernel.errors import RestartBudgetExceeded
from chat4all_actors.kernel.faults import FaultHandler, report_fault
from chat4all_actors.kernel.tree import TreeNode

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS = 1.0
DEFAULT_BACKOFF = (0.1 * SECONDS, 0.2 * SECONDS, 0.4 * SECONDS, 0.8 * SECONDS, 1.6 * SECONDS)


class Strategy(enum.Enum):
    """What the crash of one child means for the others."""

    ONE_FOR_ONE = "one_for_one"
    """Nothing: it alone is restarted."""
    REST_FOR_ONE = "rest_for_one"
    """Those after it depend on it: they are stopped, last first, and restarted in order."""


@dataclass(frozen=True, slots=True)
class SupervisorStatistics:
    """A snapshot of a supervisor; totals run since it was made."""

    children: int
    running: int
    """Children that are ready."""
    restarts: int
    recent_restarts: int
    """Those that count against the budget now."""
    faults: int


class Supervisor:
    """Runs children, each in a scope that only the supervisor cancels.

    *Start*: in list order, each when the former is ready; then the supervisor itself is ready. A
    child that fails before it was ever ready ends the start: what runs is stopped and the error
    raised, with a note that names the child.

    *Crash*: a child that ends by itself, raising or not, is restarted after its back-off, and by
    `Strategy` the ones after it too. A restart that fails is the next fault. At more than
    `max_restarts` within `window` all children are stopped and `RestartBudgetExceeded` raised,
    with the last fault as its cause, for the supervisor above to decide.

    *Stop* (cancellation from outside, giving up, or `KeyboardInterrupt` and the like out of a
    child, which pass through in an exception group): in reverse order, each child finished before
    the one before it is cancelled. A child must bound its own shielded cleanup.

    Every fault of a child, also one during its stop, goes to `on_fault` (by default the log) when
    it happens, except the one that ends the start, which is raised.
    """

    def __init__(
        self,
        name: str,
        children: Sequence[Child],
        *,
        # Restarting
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        max_restarts: int = 3,
        window: float = 30 * SECONDS,
        backoff: float | tuple[float, ...] = DEFAULT_BACKOFF,
        # Telling
        on_fault: FaultHandler | None = None,
    ) -> None:
        """Make a supervisor of `children`, whose names must differ.

        `window` is in seconds; so is `backoff`: the delay before the first, second, ... restart in
        a row of one child, the last one for all further. A child that was ready for as long as the
        window starts anew at the first delay. Raises `ValueError` for what makes no sense.
        """
        if len({child.name for child in children}) != len(children):
            raise ValueError("the names of the children must differ")
        delays = backoff if isinstance(backoff, tuple) else (backoff,)
        if not delays or not all(0 <= delay < math.inf for delay in delays):
            raise ValueError("back-off delays must be finite and not negative, one at least")
        if max_restarts < 0 or not window > 0:
            raise ValueError("the budget needs a count that is not negative and a positive window")
        self.name = name
        self._children = tuple(children)
        self._strategy = strategy
        self._max_restarts = max_restarts
        self._window = window
        self._backoff = delays
        self._on_fault = on_fault
        self._places = [Place(child) for child in children]
        self._state = "stopped"
        self._changed = trio.Event()
        self._recent: deque[float] = deque()
        self._restarts = 0
        self._faults = 0

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Run the children until cancelled, or until this gives up; may be run again afterwards.

        Raises the error of a child that cannot start, `RestartBudgetExceeded`, and `RuntimeError`
        when it is running already.
        """
        if self._state != "stopped":
            raise RuntimeError(f"supervisor {self.name} is running already")
        self._state = "starting"
        self._places = [Place(child) for child in self._children]
        self._recent.clear()
        try:
            async with trio.open_nursery() as nursery:
                try:
                    verdict = await self._supervise(nursery, task_status)
                finally:
                    self._state = "stopping"
                    with trio.CancelScope(shield=True):
                        await self._stop_from(0)
        finally:
            self._state = "stopped"
        # Raised out here so that the nursery does not wrap it into a group.
        raise verdict

    def statistics(self) -> SupervisorStatistics:
        """Return the figures of this moment."""
        self._forget_old_restarts()
        return SupervisorStatistics(
            children=len(self._places),
            running=sum(place.state == "running" for place in self._places),
            restarts=self._restarts,
            recent_restarts=len(self._recent),
            faults=self._faults,
        )

    def tree(self) -> TreeNode:
        """Describe the supervisor and everything below."""
        detail = {
            "strategy": self._strategy.value,
            "restarts": self._restarts,
            "faults": self._faults,
        }
        children = tuple(place.tree() for place in self._places)
        return TreeNode(self.name, "supervisor", self._state, detail, children)

    async def _supervise(
        self, nursery: trio.Nursery, task_status: trio.TaskStatus[None]
    ) -> Exception:
        """Start and restart until it has to be given up; return the error to give up with."""
        while True:
            self._changed = trio.Event()  # before looking, so that no change is missed
            for index, place in enumerate(self._places):
                life = place.life
                if life is not None and life.ended.is_set() and not life.passing:
                    verdict = await self._take_end(index, place)
                    if verdict is not None:
                        return verdict
            next_due = self._start_due(nursery)
            if self._state == "starting" and all(place.ready for place in self._places):
                self._state = "running"
                task_status.started()
            with trio.CancelScope(deadline=next_due):
                await self._changed.wait()

    def _start_due(self, nursery: trio.Nursery) -> float:
        """Start what may start now; return when the next one may, by the clock alone."""
        now = trio.current_time()
        next_due = math.inf
        # A child that is restarted alone need not wait for those before it.
        in_order = self._state == "starting" or self._strategy is Strategy.REST_FOR_ONE
        for place in self._places:
            if place.life is None:
                if place.due <= now:
                    place.life = Life(self._wake)
                    nursery.start_soon(place.life.run, place.child, name=place.child.name)
                else:
                    next_due = min(next_due, place.due)
            if in_order and not place.ready:
                break
        return next_due

    async def _take_end(self, index: int, place: Place) -> Exception | None:
        """See that a child that failed is restarted, or return the error to give up with."""
        name = place.child.name
        life = place.clear()
        error = life.fault
        assert error is not None  # nobody cancelled it, and nothing is passing
        if not place.proven:
            error.add_note(f"while {self.name} started {name}")
            return error
        self._report(name, error)
        now = trio.current_time()
        self._forget_old_restarts()
        if len(self._recent) >= self._max_restarts:
            verdict = RestartBudgetExceeded(
                f"{self.name}: {name} failed after {self._max_restarts} restarts"
                f" within {self._window:g} s"
            )
            verdict.__cause__ = error
            return verdict
        self._recent.append(now)
        if life.ready_at is not None and now - life.ready_at >= self._window:
            place.attempt = 0
        delay = self._backoff[min(place.attempt, len(self._backoff) - 1)]
        place.attempt += 1
        place.restarts += 1
        self._restarts += 1
        if self._strategy is Strategy.REST_FOR_ONE:
            await self._stop_from(index + 1)
        place.due = trio.current_time() + delay
        return None

    async def _stop_from(self, index: int) -> None:
        """Stop the children from `index` on, last first; they may start again at once."""
        for place in reversed(self._places[index:]):
            if place.life is None:
                continue
            place.life.scope.cancel()
            await place.life.ended.wait()
            fault = place.clear().fault
            place.due = -math.inf
            if fault is not None:
                self._report(place.child.name, fault)

    def _wake(self) -> None:
        self._changed.set()

    def _report(self, name: str, error: Exception) -> None:
        self._faults += 1
        report_fault(self._on_fault, name, error)

    def _forget_old_restarts(self) -> None:
        while self._recent and self._recent[0] <= trio.current_time() - self._window:
            self._recent.popleft()
