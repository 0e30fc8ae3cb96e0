"""Keeps children running: starts them in order, restarts what crashes, stops in reverse order."""

from __future__ import annotations

import enum
import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NoReturn

import trio

from chat4all_actors.kernel.errors import ChildReturned, RestartBudgetExceeded
from chat4all_actors.kernel.faults import FaultHandler, report_fault, split_faults
from chat4all_actors.kernel.tree import TreeNode

if TYPE_CHECKING:
    from collections.abc import Sequence

Restart = Literal["permanent", "transient", "temporary"]
RestartHandler = Callable[[str, BaseException, float], None]
"""Called with the child's name, its fault, and the delay in seconds until the restart."""

SECONDS = 1.0
DEFAULT_BACKOFF = (0.1 * SECONDS, 0.2 * SECONDS, 0.4 * SECONDS, 0.8 * SECONDS, 1.6 * SECONDS)


class Strategy(enum.Enum):
    """What the crash of one child means for the others."""

    ONE_FOR_ONE = "one_for_one"
    """Nothing: it alone is restarted."""
    REST_FOR_ONE = "rest_for_one"
    """Those after it depend on it: they are stopped, last first, and restarted in order."""


@dataclass(frozen=True, slots=True)
class Child:
    """The specification of a child.

    `run` is called with the keyword ``task_status`` and must call ``task_status.started()`` when
    it is ready. `restart`: a *permanent* child is restarted whenever it ends, a *transient* one
    only when it raised, a *temporary* one never. `tree` describes what is below the child.
    """

    name: str
    run: Callable[..., Awaitable[object]]
    restart: Restart = "permanent"
    tree: Callable[[], TreeNode] | None = None


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


class _Life:
    """One life of one child, from start to end; the task status its `run` is given."""

    __slots__ = ("changed", "ended", "fault", "passing", "ready_at", "scope")

    def __init__(self, changed: Callable[[], None]) -> None:
        # Shielded: trio cancels in no order, so only the supervisor may cancel a child.
        self.scope = trio.CancelScope(shield=True)
        self.ready_at: float | None = None
        self.ended = trio.Event()
        self.fault: Exception | None = None
        self.passing = False
        """An interrupt is on its way through: the nursery is about to cancel the supervisor."""
        self.changed = changed

    def started(self, value: object = None) -> None:
        if self.ready_at is not None:
            raise RuntimeError("a child is started only once")
        self.ready_at = trio.current_time()
        self.changed()

    async def run(self, child: Child) -> None:
        rest: BaseException | None = None
        try:
            with self.scope:
                await child.run(task_status=self)
        except BaseException as error:
            self.fault, rest = split_faults(error)
        self.passing = rest is not None
        self.ended.set()
        self.changed()
        if rest is not None:
            raise rest


class _Slot:
    """The place of a child: its present life, or when the next one may begin, or neither."""

    __slots__ = ("attempt", "child", "due", "life", "proven", "restarts")

    def __init__(self, child: Child) -> None:
        self.child = child
        self.life: _Life | None = None
        self.due: float | None = -math.inf
        self.proven = False
        """It was ready once, so a failing start is a matter of restarts."""
        self.attempt = 0
        """Restarts in a row, without a life as long as the window in between."""
        self.restarts = 0

    @property
    def settled(self) -> bool:
        """Ready, or finished for good."""
        return self.due is None if self.life is None else self.life.ready_at is not None

    @property
    def state(self) -> str:
        if self.life is None:
            return "finished" if self.due is None else "waiting"
        if self.life.scope.cancel_called:
            return "stopping"
        return "starting" if self.life.ready_at is None else "running"


class Supervisor:
    """Runs children, each in a scope that only the supervisor cancels.

    *Start*: in list order, each when the former is ready; then the supervisor itself is ready. A
    child that fails before it was ever ready ends the start: what runs is stopped and the error
    raised, with a note that names the child.

    *Crash*: a child that ends against its `Child.restart` is restarted after its back-off, and by
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
        on_restart: RestartHandler | None = None,
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
        self._on_restart = on_restart
        self._on_fault = on_fault
        self._slots = [_Slot(child) for child in children]
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
        self._slots = [_Slot(child) for child in self._children]
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
            children=len(self._slots),
            running=sum(slot.state == "running" for slot in self._slots),
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
        children = tuple(_describe(slot) for slot in self._slots)
        return TreeNode(self.name, "supervisor", self._state, detail, children)

    async def _supervise(
        self, nursery: trio.Nursery, task_status: trio.TaskStatus[None]
    ) -> Exception:
        """Start and restart until it has to be given up; return the error to give up with."""
        while True:
            self._changed = trio.Event()  # before looking, so that no change is missed
            for index, slot in enumerate(self._slots):
                life = slot.life
                if life is not None and life.ended.is_set() and not life.passing:
                    verdict = await self._take_end(index, slot, life)
                    if verdict is not None:
                        return verdict
            next_due = self._start_due(nursery)
            if self._state == "starting" and all(slot.settled for slot in self._slots):
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
        for slot in self._slots:
            if slot.life is None and slot.due is not None:
                if slot.due <= now:
                    slot.due = None
                    slot.life = _Life(self._wake)
                    nursery.start_soon(slot.life.run, slot.child, name=slot.child.name)
                else:
                    next_due = min(next_due, slot.due)
            if in_order and not slot.settled:
                break
        return next_due

    async def _take_end(self, index: int, slot: _Slot, life: _Life) -> Exception | None:
        """Deal with a child that ended by itself; return the error to give up with, if any."""
        child = slot.child
        slot.life = None
        ready_at = life.ready_at
        slot.proven = slot.proven or ready_at is not None
        error = life.fault
        if error is None:
            if ready_at is None:
                error = ChildReturned(f"{child.name} returned before it was ready")
            elif child.restart == "permanent":
                error = ChildReturned(f"{child.name} returned although it is permanent")
            else:
                return None
        if not slot.proven:
            error.add_note(f"while {self.name} started {child.name}")
            return error
        self._report(child.name, error)
        if child.restart == "temporary":
            return None
        now = trio.current_time()
        self._forget_old_restarts()
        if len(self._recent) >= self._max_restarts:
            verdict = RestartBudgetExceeded(
                f"{self.name}: {child.name} failed after {self._max_restarts} restarts"
                f" within {self._window:g} s"
            )
            verdict.__cause__ = error
            return verdict
        self._recent.append(now)
        if ready_at is not None and now - ready_at >= self._window:
            slot.attempt = 0
        delay = self._backoff[min(slot.attempt, len(self._backoff) - 1)]
        slot.attempt += 1
        slot.restarts += 1
        self._restarts += 1
        if self._on_restart is not None:
            self._on_restart(child.name, error, delay)
        if self._strategy is Strategy.REST_FOR_ONE:
            slot.due = math.inf  # waiting, but not before those after it are gone
            await self._stop_from(index + 1)
        slot.due = trio.current_time() + delay
        return None

    async def _stop_from(self, index: int) -> None:
        """Stop the children from `index` on, last first; they are due again unless temporary."""
        for slot in reversed(self._slots[index:]):
            life = slot.life
            if life is None:
                continue
            by_itself = life.ended.is_set()
            life.scope.cancel()
            await life.ended.wait()
            slot.life = None
            slot.proven = slot.proven or life.ready_at is not None
            finished = by_itself and life.fault is None and slot.child.restart == "transient"
            if not finished and slot.child.restart != "temporary":
                slot.due = -math.inf
            if life.fault is not None:
                self._report(slot.child.name, life.fault)

    def _wake(self) -> None:
        self._changed.set()

    def _report(self, name: str, error: Exception) -> None:
        self._faults += 1
        report_fault(self._on_fault, name, error)

    def _forget_old_restarts(self) -> None:
        while self._recent and self._recent[0] <= trio.current_time() - self._window:
            self._recent.popleft()


def _describe(slot: _Slot) -> TreeNode:
    child = slot.child
    node = child.tree() if child.tree is not None else TreeNode(child.name, "task", slot.state)
    detail = {**node.detail, "restarts": slot.restarts} if slot.restarts else node.detail
    return replace(node, name=child.name, state=slot.state, detail=detail)
