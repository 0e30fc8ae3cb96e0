"""A home for what is temporary: tasks and actors that come and go and are never restarted."""

from __future__ import annotations

from contextvars import Context
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Protocol

import trio

from chat4all_actors.kernel.errors import PoolClosed
from chat4all_actors.kernel.faults import FaultHandler, report_fault, split_faults
from chat4all_actors.kernel.tree import TreeNode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_NOBODYS = Context()
"""Empty; tasks that are started in it get copies."""


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """A snapshot of a pool; totals run since it was made."""

    members: int
    actors: int
    started: int
    """Members ever started."""
    finished: int
    """Members ever finished, in whatever way."""
    faults: int
    """Crashes of members and of actors."""


class Resident(Protocol):
    """What a pool knows about an actor that lives in it."""

    def stop(self) -> None:
        """Stop after the batch in hand."""

    def tree(self) -> TreeNode:
        """Describe it."""


class Member:
    """A temporary task in a pool."""

    __slots__ = ("_finished", "name", "running", "scope")

    def __init__(self, name: str) -> None:
        """For the pool."""
        self.name = name
        self.running = True
        self.scope = trio.CancelScope(shield=True)
        """For the pool. Shielded: only `cancel` ends it, and the pool calls that in its turn."""
        self._finished: trio.Event | None = None

    def cancel(self) -> None:
        """Cancel the task; returns at once, also when it has finished before."""
        self.scope.cancel()

    async def wait(self) -> None:
        """Wait until the task has finished, in whatever way."""
        if not self.running:
            await trio.lowlevel.checkpoint()
            return
        if self._finished is None:
            self._finished = trio.Event()
        await self._finished.wait()

    def end(self) -> None:
        """For the pool: the task has finished."""
        self.running = False
        if self._finished is not None:
            self._finished.set()


class Pool:
    """Runs members and the bursts of actors, and isolates their faults.

    A crash ends only the one that crashed: it is counted and passed to `on_fault`. What is no
    `Exception` (`KeyboardInterrupt`) goes through and takes the pool down.

    Cancelling `run` stops in order. Newcomers are refused and all members cancelled; their
    cleanup may still use the actors. When the last member is gone, all actors are stopped, the
    bursts that are busy by cancellation.
    """

    def __init__(self, name: str, *, on_fault: FaultHandler | None = None) -> None:
        """Make an empty pool.

        `on_fault` gets the name of the member or actor and the exception; by default it is logged.
        """
        self.name = name
        self._on_fault = on_fault
        self._member_nursery: trio.Nursery | None = None
        self._burst_nursery: trio.Nursery | None = None
        self._open = False
        # Used as ordered sets, so that stops happen in a reproducible order.
        self._members: dict[Member, None] = {}
        self._actors: dict[Resident, None] = {}
        self._started = 0
        self._finished = 0
        self._faults = 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Live until cancelled; ready as soon as it runs. May run again afterwards.

        Raises `RuntimeError` when it is running already.
        """
        if self._burst_nursery is not None:
            raise RuntimeError(f"pool {self.name} is running already")
        closing = trio.Event()
        async with trio.open_nursery() as outer:
            # Everything below is shielded from a cancellation of the pool; only this task notices
            # it, so that the stop can take its order.
            outer.start_soon(_set_when_cancelled, closing)
            with trio.CancelScope(shield=True):
                try:
                    await self._house(closing, task_status)
                finally:
                    self._member_nursery = self._burst_nursery = None

    def start_soon(
        self, name: str, async_fn: Callable[..., Awaitable[object]], *args: Any
    ) -> Member:
        """Start ``async_fn(*args)`` as a member; raises `PoolClosed`."""
        self._check_open()
        assert self._member_nursery is not None  # open, hence running
        member = Member(name)
        self._members[member] = None
        self._started += 1
        self._member_nursery.start_soon(self._run_member, member, async_fn, args, name=name)
        return member

    def attach(self, actor: Resident) -> None:
        """For actors: move in; raises `PoolClosed`."""
        self._check_open()
        self._actors[actor] = None

    def detach(self, actor: Resident) -> None:
        """For actors: move out."""
        del self._actors[actor]

    def start_burst(self, burst: Callable[[], Awaitable[object]], name: str) -> None:
        """For actors that live here: start a burst, which reports its faults itself."""
        # Cannot be None: the nursery stays open until the last actor is stopped.
        assert self._burst_nursery is not None
        # A burst works for all who have told the actor something, not only for who woke it: it
        # has none of the context variables of that one.
        _NOBODYS.run(partial(self._burst_nursery.start_soon, burst, name=name))

    def report(self, name: str, error: BaseException) -> None:
        """For actors: count a fault and pass it to the handler."""
        self._faults += 1
        report_fault(self._on_fault, name, error)

    def statistics(self) -> PoolStatistics:
        """Return the figures of this moment."""
        return PoolStatistics(
            members=len(self._members),
            actors=len(self._actors),
            started=self._started,
            finished=self._finished,
            faults=self._faults,
        )

    def tree(self, max_children: int = 100) -> TreeNode:
        """Describe the pool with its first `max_children` members and actors, oldest first."""
        if self._burst_nursery is None:
            state = "stopped"
        else:
            state = "running" if self._open else "stopping"
        nodes = chain(
            (TreeNode(member.name, "member", "running") for member in self._members),
            (actor.tree() for actor in self._actors),
        )
        children = tuple(islice(nodes, max_children))
        count = len(self._members) + len(self._actors)
        detail = {
            "members": len(self._members),
            "actors": len(self._actors),
            "started": self._started,
            "faults": self._faults,
        }
        return TreeNode(self.name, "pool", state, detail, children, count - len(children))

    def _check_open(self) -> None:
        if not self._open:
            raise PoolClosed(f"pool {self.name} is not running")

    async def _house(self, closing: trio.Event, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as bursts:
            try:
                async with trio.open_nursery() as members:
                    self._burst_nursery, self._member_nursery = bursts, members
                    self._open = True
                    try:
                        task_status.started()
                        await closing.wait()
                    finally:
                        self._open = False
                        for member in self._members:
                            member.cancel()
            finally:
                for actor in tuple(self._actors):
                    actor.stop()
                bursts.cancel_scope.cancel()

    async def _run_member(
        self, member: Member, async_fn: Callable[..., Awaitable[object]], args: tuple[Any, ...]
    ) -> None:
        rest: BaseException | None = None
        try:
            # Here, not in a method of the member: every coroutine on the stack of a task that
            # sleeps for hours costs a quarter of a KiB.
            try:
                with member.scope:
                    await async_fn(*args)
            finally:
                member.end()
        except BaseException as error:
            fault, rest = split_faults(error)
            if fault is not None:
                self.report(member.name, fault)
        del self._members[member]
        self._finished += 1
        if rest is not None:
            raise rest


async def _set_when_cancelled(event: trio.Event) -> None:
    try:
        await trio.sleep_forever()
    finally:
        event.set()
