"""The one narrow way from trio to the asyncio drivers: an event loop in a thread of its own.

    async with open_bridge() as bridge:
        row = await bridge.call(connection.fetchrow, "select 1", timeout=5)

A call crosses twice, whatever it does on the other side (about 50-100 us in all), so callers with
many small operations put them into one coroutine. Bridges are independent of each other; a bridge
belongs to the trio run that opened it, and `call` may only be used from there.

*Time* on the asyncio side is real time: time-outs and graces expire as usual under a trio
`MockClock`, and no trio deadline is involved in them. They need the loop to run, so a coroutine
that blocks its thread stops the whole bridge.

*Cancellation.* A cancelled call cancels its asyncio task and waits, at most the grace, until it has
ended; only then `trio.Cancelled` is raised, and whatever the coroutine answered is dropped. So **a
cancelled call may have happened**, and the connection it used is to be probed or dropped. The same
holds for a call that timed out.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, TypeVarTuple, Unpack, cast

import outcome
import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

_new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
try:
    import uvloop
except ImportError:  # no wheel for this platform
    pass
else:
    _new_event_loop = uvloop.new_event_loop

SECONDS = 1.0

# Drivers end within milliseconds of a cancel; asyncpg may open a second connection to say it.
GRACE = 5 * SECONDS

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_log = logging.getLogger(__name__)


class BridgeClosed(Exception):
    """The bridge was closed, or its loop has died (then `__cause__` says of what)."""


@dataclass(frozen=True, slots=True)
class BridgeStatistics:
    """What went over a bridge since it was opened."""

    calls: int
    """Calls started."""
    in_flight: int
    """Calls whose callers still wait."""
    cancelled: int
    """Calls that ended with `trio.Cancelled`."""
    timed_out: int
    """Calls that exceeded their own time-out, whatever they answered then."""
    abandoned: int
    """Calls that had not ended a grace after their cancel or time-out."""


@asynccontextmanager
async def open_bridge(*, grace: float = GRACE) -> AsyncIterator[Bridge]:
    """Run an event loop (uvloop where there is one) in a thread for as long as the block lasts.

    Leaving the block cancels the calls that are still outstanding, which fail with `BridgeClosed`,
    and waits until the thread has ended. `grace`, in seconds, is how long a cancelled or timed out
    coroutine may take to end before it is left to itself.

    Raises `BridgeClosed` at the end of the block if the loop had died by then.
    """
    bridge = Bridge(grace)
    try:
        yield bridge
    except BaseException:
        await bridge._close()
        raise
    await bridge._close()
    if bridge._failure is not None:
        raise BridgeClosed("the event loop died") from bridge._failure


class Bridge:
    """An asyncio event loop that answers to trio tasks. Made by `open_bridge`."""

    def __init__(self, grace: float) -> None:
        # Of the trio thread.
        self._closed = False
        self._failure: BaseException | None = None
        self._waiting: set[_Call] = set()
        self._calls = self._cancelled = self._timed_out = self._abandoned = 0
        self._ended = trio.Event()
        # Of the loop thread.
        self._running: set[_Call] = set()
        self._ending = False
        # Of both, never changed.
        self._grace = grace
        self._token = trio.lowlevel.current_trio_token()
        self._loop: asyncio.AbstractEventLoop = _new_event_loop()
        self._stop = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="chat4all-bridge", daemon=True)
        self._thread.start()

    async def call(
        self,
        fn: Callable[[Unpack[Ts]], Coroutine[Any, Any, T]],
        *args: *Ts,
        timeout: float,
    ) -> T:
        """Run `fn(*args)` as an asyncio task on the bridge's loop; return or raise its outcome.

        Raises `TimeoutError` if it takes longer than `timeout` seconds, and `BridgeClosed` if the
        bridge is or becomes closed. See the module about what a cancel means.
        """
        if not 0 < timeout < math.inf:
            raise ValueError(f"timeout must be a positive number of seconds, not {timeout}")
        await trio.lowlevel.checkpoint_if_cancelled()
        call = _Call(self, fn, args, timeout)
        if self._closed:
            raise self._closed_error()
        try:
            self._loop.call_soon_threadsafe(call.start)
        except RuntimeError as error:  # the loop died; _on_thread_end has not run yet
            raise self._closed_error() from error
        self._calls += 1
        self._waiting.add(call)

        def cancel(raise_cancel: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
            call.raise_cancel = raise_cancel
            self._ask_to_end(call, BridgeClosed("the caller was cancelled"))
            return trio.lowlevel.Abort.FAILED  # until the task has ended

        return cast("T", await trio.lowlevel.wait_task_rescheduled(cancel))

    def statistics(self) -> BridgeStatistics:
        """Return the counters of this moment."""
        return BridgeStatistics(
            calls=self._calls,
            in_flight=len(self._waiting),
            cancelled=self._cancelled,
            timed_out=self._timed_out,
            abandoned=self._abandoned,
        )

    # The trio thread.

    def _closed_error(self) -> BridgeClosed:
        error = BridgeClosed("the bridge is closed")
        error.__cause__ = self._failure
        return error

    def _ask_to_end(self, call: _Call, reason: Exception) -> None:
        try:
            self._loop.call_soon_threadsafe(call.end, reason)
        except RuntimeError:
            # The loop is closed; _on_thread_end, already on its way, answers the call.
            _log.debug("a call was cancelled while its loop was closing")

    def _answer(self, call: _Call, answer: outcome.Outcome[Any]) -> None:
        """Wake the caller, once: what comes after the first answer is dropped."""
        if call not in self._waiting:
            return
        self._waiting.remove(call)
        self._timed_out += call.timed_out
        self._abandoned += call.abandoned
        if call.raise_cancel is not None:
            self._cancelled += 1
            answer = outcome.capture(call.raise_cancel)
        trio.lowlevel.reschedule(call.caller, answer)

    def _on_thread_end(self, failure: BaseException | None) -> None:
        self._closed = True
        self._failure = failure
        for call in tuple(self._waiting):
            # A task whose exception killed the loop is done, but its callback never ran.
            done = call.task is not None and call.task.done() and not call.task.cancelled()
            self._answer(call, call.result() if done else outcome.Error(self._closed_error()))
        self._ended.set()

    async def _close(self) -> None:
        self._closed = True
        try:
            self._loop.call_soon_threadsafe(self._request_stop)
        except RuntimeError:
            _log.debug("the loop was closed before its bridge")
        with trio.CancelScope(shield=True):  # bounded by the grace, on the loop's side
            await self._ended.wait()
        self._thread.join()

    # The loop thread.

    def _request_stop(self) -> None:
        if not self._stop.done():
            self._stop.set_result(None)

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            self._loop.run_until_complete(self._stop)
        except BaseException as error:  # kept for the callers and for the end of the block
            failure = error
        self._ending = True
        try:
            self._loop.run_until_complete(self._end_tasks(failure))
            self._loop.close()
        except BaseException as error:
            failure = failure or error
        try:
            self._token.run_sync_soon(self._on_thread_end, failure)
        except trio.RunFinishedError:
            _log.debug("the trio run ended before its bridge")

    async def _end_tasks(self, failure: BaseException | None) -> None:
        for call in tuple(self._running):
            reason = BridgeClosed("the event loop died" if failure else "the bridge was closed")
            reason.__cause__ = failure
            call.end(reason)
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            if not task.cancelling():  # started by a driver; the calls were told above
                task.cancel()
        if tasks:
            _, stuck = await asyncio.wait(tasks, timeout=self._grace)
            for task in stuck:
                _log.error("left behind at the end of the loop: %r", task)
        await self._loop.shutdown_asyncgens()


class _Driver(Protocol):
    def __call__(self, *args: Any) -> Coroutine[Any, Any, Any]: ...


class _Call:
    """One call: its caller in trio and its task in asyncio."""

    __slots__ = (
        "abandoned",
        "answered",
        "args",
        "bridge",
        "caller",
        "fn",
        "raise_cancel",
        "reason",
        "task",
        "timed_out",
        "timeout",
        "timer",
    )

    def __init__(
        self, bridge: Bridge, fn: Callable[..., Any], args: tuple[Any, ...], timeout: float
    ) -> None:
        self.bridge = bridge
        self.fn: _Driver = fn
        self.args = args
        self.timeout = timeout
        # Of the trio thread.
        self.caller = trio.lowlevel.current_task()
        self.raise_cancel: trio.lowlevel.RaiseCancelT | None = None
        # Of the loop thread, and of the trio thread once there is an answer.
        self.task: asyncio.Task[Any] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.reason: Exception | None = None  # why it was asked to end
        self.answered = self.timed_out = self.abandoned = False

    def start(self) -> None:
        if self.bridge._ending:
            return  # _on_thread_end answers
        loop = self.bridge._loop
        try:
            self.task = loop.create_task(self.fn(*self.args))
        except BaseException as error:  # from a plain function; it belongs to the caller
            self.answer(outcome.Error(error))
            return
        self.bridge._running.add(self)  # asyncio itself holds tasks weakly
        self.timer = loop.call_later(self.timeout, self.expire)
        self.task.add_done_callback(self.on_done)

    def expire(self) -> None:
        self.timed_out = self.reason is None
        self.end(TimeoutError(f"no answer within {self.timeout} s"))

    def end(self, reason: Exception) -> None:
        """Cancel the task. Only once: a second cancel would break into its clean-up."""
        if self.task is None or self.task.done() or self.reason is not None:
            return
        self.reason = reason
        self.task.cancel()
        if self.timer is not None:
            self.timer.cancel()
        self.timer = self.bridge._loop.call_later(self.bridge._grace, self.abandon)

    def abandon(self) -> None:
        """Answer for a task that goes on; how it ends is for asyncio's log."""
        self.abandoned = True
        assert self.reason is not None
        self.answer(outcome.Error(self.reason))

    def on_done(self, task: asyncio.Task[Any]) -> None:
        self.bridge._running.discard(self)
        if self.timer is not None:
            self.timer.cancel()
        if not self.answered:
            self.answer(self.result())

    def result(self) -> outcome.Outcome[Any]:
        """Return what the finished task came to."""
        assert self.task is not None
        if self.task.cancelled():
            by_itself = RuntimeError("the coroutine was cancelled on the asyncio side")
            return outcome.Error(self.reason or by_itself)
        error = self.task.exception()
        return outcome.Value(self.task.result()) if error is None else outcome.Error(error)

    def answer(self, answer: outcome.Outcome[Any]) -> None:
        self.answered = True
        try:
            self.bridge._token.run_sync_soon(self.bridge._answer, self, answer)
        except trio.RunFinishedError:
            _log.debug("the trio run ended before a call was answered")
