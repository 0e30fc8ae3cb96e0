"""Work that gives way to other tasks: few of its steps are made between two looks at the sockets.

Trio makes a step of every task that can go on before it looks at the sockets again. So a burst of
costly steps, as of two hundred uploads that begin, is waited for at each of the steps that a
message takes through the server. What runs here takes turns: each of its steps, from one wait to
the next, is made in a pass of the scheduler in which `BUDGET` has not been used up, in the order in
which they became possible, and at least one in each pass.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, TypeVarTuple, Unpack

import trio
from trio.abc import Instrument

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

BUDGET: Final = 0.0003
"""Seconds of a pass after which nothing more of it is begun."""
SMOOTHING: Final = 0.1
"""How much the last step counts in what one is expected to take."""


class LowPriority(Instrument):
    """All such work of a trio run, in turns with each other."""

    def __init__(self) -> None:
        self._waiting: deque[trio.lowlevel.Task] = deque()
        self._called = 0
        """Those that waited and go on in the pass that comes, or in this one."""
        self._used = 0.0
        """Seconds of this pass."""
        self._expected = BUDGET
        """Seconds that a step takes."""
        self._watching = False

    @property
    def waiting(self) -> int:
        """Tasks that wait for their turn."""
        return len(self._waiting)

    async def run(
        self, function: Callable[[Unpack[Ts]], Coroutine[Any, Any, T]], *arguments: *Ts
    ) -> T:
        """Call `function` in this task, in turns; what it returned.

        A cancel reaches it when its turn has come. Tasks that it starts take no part by that.

        Raises:
            Exception: what it raised.
        """
        if not self._watching:
            trio.lowlevel.add_instrument(self)
            self._watching = True
        return await _InTurns(self, function(*arguments))

    def close(self) -> None:
        """Look at passes no longer; those who still wait have their turns, one in each."""
        if self._watching:
            trio.lowlevel.remove_instrument(self)
            self._watching = False

    def after_io_wait(self, timeout: float) -> None:
        """A pass begins: see trio's `Instrument`."""
        self._used = 0.0
        if self._waiting:
            for _ in range(int(BUDGET / self._expected) - self._called):
                self._call()

    def _call(self) -> None:
        if self._waiting:
            self._called += 1
            trio.lowlevel.reschedule(self._waiting.popleft())

    @property
    def free(self) -> bool:
        """Whether a step may be made at once."""
        return self._used < BUDGET and not self._waiting

    async def turn(self) -> None:
        """Wait until a step may be made."""
        if self._called or self._waiting:
            self._waiting.append(trio.lowlevel.current_task())
            if not self._called:
                self._call()  # so that there is a pass for those that wait
            await trio.lowlevel.wait_task_rescheduled(_not_now)
        else:
            self._called += 1  # a running task can't be rescheduled
            await trio.lowlevel.cancel_shielded_checkpoint()
        self._called -= 1

    def made(self, seconds: float) -> None:
        """A step was made, and took so long."""
        self._used += seconds
        self._expected += SMOOTHING * (seconds - self._expected)
        if not self._called:
            self._call()


class _InTurns(Generic[T]):
    """A coroutine of whose steps each waits for its turn.

    Between the coroutine and trio it hands on what each has for the other, as `yield from` does.
    """

    __slots__ = ("_coroutine", "_turns")

    def __init__(self, turns: LowPriority, coroutine: Coroutine[Any, Any, T]) -> None:
        self._turns = turns
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, T]:
        turns, coroutine = self._turns, self._coroutine
        answer: Any = None
        thrown: BaseException | None = None
        while True:
            if thrown is None and not turns.free:
                yield from turns.turn().__await__()
            began = perf_counter()
            try:
                trap = coroutine.send(answer) if thrown is None else coroutine.throw(thrown)
            except StopIteration as end:
                value: T = end.value
                return value
            finally:
                turns.made(perf_counter() - began)
            answer = thrown = None
            try:
                answer = yield trap
            except BaseException as error:
                # Not from trio, which sends outcomes: somebody closes the task, or misuses it.
                thrown = error


def _not_now(_: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED
