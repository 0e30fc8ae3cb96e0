"""Actors on demand: plain state and a mailbox, a task only while there is something to do."""

from __future__ import annotations

import enum
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import trio

from chat4all_actors.kernel.errors import ActorFailed, ActorStopped, AskTimeout
from chat4all_actors.kernel.faults import split_faults
from chat4all_actors.kernel.mailbox import Mailbox, MailboxStatistics
from chat4all_actors.kernel.reply import Reply
from chat4all_actors.kernel.tree import TreeNode

if TYPE_CHECKING:
    from collections.abc import Callable

    from chat4all_actors.kernel.pool import Pool

M = TypeVar("M")
T = TypeVar("T")


class ActorState(enum.Enum):
    """Where an actor is in its life; the last two are final."""

    IDLE = "idle"
    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ActorStatistics:
    """A snapshot of an actor."""

    state: ActorState
    batches: int
    """Batches handled to the end."""
    pending_asks: int
    mailbox: MailboxStatistics


class Actor(ABC, Generic[M]):
    """One owner of some state, which messages reach one batch after the other.

    An idle actor is two small objects. The first message starts a task (a *burst*) in the pool,
    which ends when the mailbox is empty; there is never more than one burst of one actor.
    Invariant: a mailbox that is not empty has a burst, running or about to.

    A message that reaches an idle actor, and needs nothing to be waited for, needs no burst: the
    actor may handle it on the stack of whoever tells it (`receive_nowait`, a *step*). A step is
    to the others what a burst is: what is told meanwhile waits in the mailbox, a fault is the
    actor's and not the teller's, a stop is obeyed when it is over.

    An actor lives until `stop`, a fault in `receive`, or the stop of its pool. Then exactly one
    of `on_stop` and `on_fault` is called, once, and every ask that is still open fails; it is
    never restarted. Give subclasses ``__slots__`` where there are many of them.
    """

    __slots__ = ("_asks", "_batches", "_leftover", "_mailbox", "_pool", "_state", "name")

    batch_limit: ClassVar[int] = 256
    """Most messages in one batch. Between batches other tasks get their turn."""

    def __init__(self, name: str, pool: Pool, capacity: int = 1024) -> None:
        """Join `pool` as an idle actor whose mailbox holds `capacity` messages.

        Raises `PoolClosed`.
        """
        self.name = name
        self._pool = pool
        self._mailbox: Mailbox[M] = Mailbox(capacity, name)
        self._state = ActorState.IDLE
        self._batches = 0
        # The open asks (a dict, as it keeps order); what a stop found in the mailbox while a
        # batch was in hand. None while there is nothing, which is nearly always.
        self._asks: dict[Reply[Any], None] | None = None
        self._leftover: list[M] | None = None
        pool.attach(self)

    @abstractmethod
    async def receive(self, batch: list[M]) -> None:
        """Handle the messages of `batch`, oldest first.

        The list is the actor's own: what is handled may be removed from it, and what is still in
        it when this raises counts as unhandled. Bad input is an answer (`Reply.fail`); an
        exception out of here is a fault and the end of the actor.
        """

    def receive_nowait(self, message: M) -> bool:
        """Handle `message` at once, or do nothing and be False, if something has to be waited for.

        Then it comes through the mailbox to `receive`, as all do by default. Whoever tells the
        message waits for this: it has to be short. It has the context variables of that one.
        An exception is a fault, as in `receive`.
        """
        return False

    def on_fault(self, error: BaseException, unhandled: list[M]) -> None:
        """React to a fault in `receive`; the mailbox is closed already.

        `unhandled` is the batch in hand, part of which may have had its effect, followed by what
        was left in the mailbox. Replies in it may be failed here; else they get `ActorFailed`.
        """

    def on_stop(self, unhandled: list[M]) -> None:
        """React to the end of an actor that was stopped; the mailbox is closed already.

        `unhandled` is what was left in the mailbox. When the pool was stopped in the middle of a
        batch, that batch comes first, part of which may have had its effect. Replies in it may be
        failed here; else they get `ActorStopped`.
        """

    @property
    def state(self) -> ActorState:
        """The present state; running from the first message until the mailbox is empty."""
        return self._state

    def tell_nowait(self, message: M) -> None:
        """Send a message; raises `MailboxFull` or `ActorStopped`, then nothing was sent."""
        if self._state is ActorState.IDLE and self._step(message):
            return
        self._mailbox.put_nowait(message)
        if self._state is ActorState.IDLE:
            self._start_burst()

    def reply_nowait(self, message: M) -> None:
        """Send the answer to a request this actor made; never refused for want of room.

        Raises `ActorStopped`.
        """
        if self._state is ActorState.IDLE and self._step(message):
            return
        self._mailbox.put_reply(message)
        if self._state is ActorState.IDLE:
            self._start_burst()

    async def tell(self, message: M) -> None:
        """Send a message, waiting for room; a tell that is cancelled has not sent.

        Raises `ActorStopped`.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._mailbox.full:
            # Full is not empty, so a burst is there already and will find the message.
            await self._mailbox.put(message)
        else:
            self.tell_nowait(message)
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def ask(
        self,
        make: Callable[[Reply[T]], M],
        timeout: float,
    ) -> T:
        """Send the message that `make` builds around a reply, and return the answer to it.

        `timeout` is in seconds, for room in the mailbox and for the answer together. Raises what
        the reply was failed with; `AskTimeout`; `ActorStopped` and `ActorFailed` when the actor
        ends first, even with the message in hand; `ValueError` for a time-out that is none.
        """
        if not 0 < timeout < math.inf:
            raise ValueError("the time-out must be positive and finite")
        reply: Reply[T] = Reply()
        message = make(reply)
        if self._asks is None:
            self._asks = {}
        self._asks[reply] = None
        try:
            with trio.move_on_after(timeout):
                await self.tell(message)
                return await reply.wait()
        finally:
            reply.abandon()
            if self._asks is not None:
                self._asks.pop(reply, None)
                self._asks = self._asks or None
        raise AskTimeout(f"{self.name}: no answer within {timeout:g} s")

    def stop(self) -> None:
        """Take no more messages and end after the batch in hand; at once when idle.

        Stopping again has no effect.
        """
        if self._state is ActorState.IDLE:
            self._end([], None)
        elif self._state is ActorState.RUNNING and self._leftover is None:
            self._leftover = self._mailbox.close()

    def statistics(self) -> ActorStatistics:
        """Return the figures of this moment."""
        return ActorStatistics(
            state=self._state,
            batches=self._batches,
            pending_asks=len(self._asks or ()),
            mailbox=self._mailbox.statistics(),
        )

    def tree(self) -> TreeNode:
        """Return the node that stands for this actor in the tree of its pool."""
        detail = {"mailbox": len(self._mailbox), "batches": self._batches}
        return TreeNode(self.name, "actor", self._state.value, detail)

    def _step(self, message: M) -> bool:
        """Let an idle actor handle `message` here and now; False if it has to be awaited."""
        self._state = ActorState.RUNNING
        handled = True
        unhandled: list[M] = []
        fault: Exception | None = None
        rest: BaseException | None = None
        try:
            handled = self.receive_nowait(message)
            if handled:
                self._batches += 1
        except BaseException as error:
            fault, rest = split_faults(error)
            unhandled = [message]
        if unhandled or self._leftover is not None:
            self._end(unhandled, fault)
        elif self._mailbox:
            self._start_burst()  # told something meanwhile
        else:
            self._state = ActorState.IDLE
        if rest is not None:
            raise rest
        return handled

    def _start_burst(self) -> None:
        self._state = ActorState.RUNNING
        self._pool.start_burst(self._burst, self.name)

    async def _burst(self) -> None:
        mailbox = self._mailbox
        batch: list[M] = []
        fault: Exception | None = None
        rest: BaseException | None = None
        try:
            while self._leftover is None and (batch := mailbox.take_nowait(self.batch_limit)):
                await self.receive(batch)
                self._batches += 1
                batch = []
                if mailbox:
                    await trio.lowlevel.checkpoint()
        except BaseException as error:
            fault, rest = split_faults(error)
        if fault is not None or rest is not None or self._leftover is not None:
            self._end(batch, fault)
        else:
            # No checkpoint since the mailbox was seen empty: nothing can have come in between.
            self._state = ActorState.IDLE
        if rest is not None:
            raise rest

    def _end(self, batch: list[M], fault: Exception | None) -> None:
        self._state = ActorState.STOPPED if fault is None else ActorState.FAILED
        leftover, self._leftover = self._leftover or [], None
        unhandled = batch + leftover + self._mailbox.close()
        self._pool.detach(self)
        if fault is not None:
            self._pool.report(self.name, fault)
        try:
            if fault is not None:
                self.on_fault(fault, unhandled)
            else:
                self.on_stop(unhandled)
        except Exception as error:
            self._pool.report(self.name, error)
        finally:
            asks, self._asks = self._asks, None
            for reply in asks or ():
                reply.abandon(self._gone(fault))

    def _gone(self, fault: Exception | None) -> ActorStopped:
        """Make an error of its own for each asker, as raising one changes it."""
        if fault is None:
            return ActorStopped(f"{self.name}: stopped before it answered")
        error = ActorFailed(f"{self.name}: failed before it answered")
        error.__cause__ = fault
        return error
