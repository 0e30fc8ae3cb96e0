"""Sends what is due through one account, while it is held.

Each delivery is begun, called and finished, in this order and durably: a holder that dies in
between leaves `sending`, which its successor finds as `unknown`. Chats are sent to side by side,
each in its order, within the rates; while the account can't be used, or its breaker is open, what
is due waits.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Final, NoReturn

import trio
from msgspec import Struct

from chat4all_connectors.errors import NotSupported, Refused, SendError
from chat4all_storage.ports.changes import Failure
from chat4all_storage.ports.deliveries import Finish
from chat4all_storage.ports.errors import StorageError

from .breaker import Breaker, BreakerSettings
from .composing import IN_WORDS, calls, without
from .finishing import Finishing
from .rates import Rates
from .retries import (
    DEFAULT_SCHEDULE,
    Again,
    ChatMoved,
    Failed,
    InTemplate,
    Schedule,
    Stopped,
    Unknown,
    decide,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from chat4all_connectors.capabilities import Capabilities
    from chat4all_storage.ports.channels import ChannelStores
    from chat4all_storage.ports.deliveries import Delivery

    from .breaker import Trial
    from .calling import Caller
    from .composing import Call
    from .content import Content
    from .retries import Decision

logger = logging.getLogger(__name__)

SECONDS: Final = 1.0
STORE_RETRY: Final = 1 * SECONDS
"""Until a store that failed is asked again."""
EARLY: Final = 0.001 * SECONDS
"""Something may be sent so early: times are rounded, and waiting for less brings none nearer."""


class Pace(Struct, frozen=True, kw_only=True):
    """How an account is sent to."""

    schedule: Schedule = DEFAULT_SCHEDULE
    breaker: BreakerSettings = BreakerSettings()
    at_once: int = 16
    """Calls under way, each for another chat."""
    grace: float = 2 * SECONDS
    """For calls under way to end, when the account is given up: within what is left of a lease."""
    interval: float = 1 * SECONDS
    """Between looks for what is due without a nudge: what other nodes have routed, too."""


DEFAULT_PACE: Final = Pace()


class SendingStatistics(Struct, frozen=True):
    """What became of deliveries since this holding began, and how it stands."""

    sent: int
    failed: int
    unknown: int
    under_way: int
    breaker: str


class Sending:
    """Of one account and one holder."""

    def __init__(
        self,
        account: str,
        holder: str,
        *,
        # What is sent
        stores: ChannelStores,
        content: Content,
        caller: Caller,
        # When
        pace: Pace = DEFAULT_PACE,
        # Telling
        unusable: Callable[[str], None],
        given_up: Callable[[Failure], Awaitable[None]],
    ) -> None:
        """`unusable` is told why the account can't be used; it is to `resume` later.

        `given_up` notes what failed for good.
        """
        self._account = account
        self._holder = holder
        self._deliveries = stores.deliveries
        self._contacts = stores.contacts
        self._content = content
        self._caller = caller
        self._pace = pace
        self._rates = Rates(caller.can.account_rate, caller.can.chat_rate)
        self._breaker = Breaker(pace.breaker)
        self._unusable = unusable
        self._given_up = given_up
        self._usable = True
        self._finishing = Finishing(self._finish)
        self._leaving = trio.Event()
        self._doubtful: list[Delivery] = []
        """Deliveries that may have been begun, and were not called."""
        self._busy: set[str] = set()
        """Chats for which a call is under way."""
        self._wake = trio.Event()
        self._sent = self._failed = self._unknown = 0

    def nudge(self) -> None:
        """There may be something new."""
        self._wake.set()

    def resume(self) -> None:
        """The account can be used again."""
        self._usable = True
        self.nudge()

    def statistics(self) -> SendingStatistics:
        """The figures of this moment."""
        return SendingStatistics(
            self._sent,
            self._failed,
            self._unknown,
            len(self._busy),
            self._breaker.state(trio.current_time()),
        )

    def chats_under_way(self) -> frozenset[str]:
        """Chats to which something is being sent."""
        return frozenset(self._busy)

    async def run(self) -> NoReturn:
        """Send until cancelled; calls that are under way may end for a moment longer."""
        async with trio.open_nursery() as nursery:
            calls = await nursery.start(self._keep_calls)
            try:
                while True:
                    self._wake = trio.Event()  # before looking, so that nothing is missed
                    wait = await self._begin_due(calls)
                    with trio.move_on_after(wait):
                        await self._wake.wait()
            finally:
                self._leaving.set()

    async def _keep_calls(self, *, task_status: trio.TaskStatus[trio.Nursery]) -> None:
        """The home of calls. One that is broken off is of unknown outcome, and never made again."""
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._finishing.run)
                task_status.started(nursery)
                await self._leaving.wait()
                with trio.move_on_after(self._pace.grace):
                    while self._busy:
                        self._wake = trio.Event()
                        await self._wake.wait()
                nursery.cancel_scope.cancel()

    async def _begin_due(self, nursery: trio.Nursery) -> float:
        """Begin what may be sent now; seconds until it is to be looked again."""
        room = self._pace.at_once - len(self._busy)
        if not self._usable or room <= 0:
            return self._pace.interval
        try:
            await self._settle()
            # More than there is room for, as some may have to wait for their rates.
            found, next_due = await self._deliveries.due(self._account, 4 * self._pace.at_once)
            chosen, wait = self._choose(found, room)
            begun = await self._begin(chosen) if chosen else set[int]()
        except StorageError as error:
            logger.warning("account %s waits for its store: %s", self._account, error)
            return STORE_RETRY
        for delivery, trial in chosen:
            if delivery.id in begun:
                self._busy.add(delivery.chat)
                nursery.start_soon(self._carry, delivery, trial)
            else:
                self._breaker.given_up(trial)
        if next_due is not None:
            wait = min(wait, next_due)
        return max(0.0, min(wait, self._pace.interval))

    async def _begin(self, chosen: Sequence[tuple[Delivery, Trial]]) -> set[int]:
        """Note that these are begun, durably; those for which that was done."""
        self._doubtful = [delivery for delivery, _ in chosen]
        try:
            # What was begun is called, too, though the account is given up meanwhile.
            with trio.CancelScope(shield=True):
                ids = [delivery.id for delivery in self._doubtful]
                begun = await self._deliveries.begin(self._holder, self._account, ids)
        except StorageError:
            for _, trial in chosen:
                self._breaker.given_up(trial)
            raise
        self._doubtful = []
        return begun

    async def _settle(self) -> None:
        """Those may stand as begun whose beginning was not answered: nothing of them was called."""
        if self._doubtful:
            back = [
                Finish(id=each.id, state="queued", attempts=each.attempts)
                for each in self._doubtful
            ]
            await self._deliveries.finish(self._holder, self._account, back)
            self._doubtful = []

    def _choose(
        self, found: Sequence[Delivery], room: int
    ) -> tuple[list[tuple[Delivery, Trial]], float]:
        """Those that may be sent now, and seconds until the first of the others may."""
        chosen: list[tuple[Delivery, Trial]] = []
        now, wait = trio.current_time(), math.inf
        for delivery in found:
            may_call_at = self._breaker.ready_at(now)
            if may_call_at is None:
                break  # one call is tried: its end looks again
            if delivery.chat in self._busy:
                continue  # so does the end of this chat's
            ready_at = max(self._rates.ready_at(delivery.chat, now), may_call_at)
            if ready_at > now + EARLY:
                wait = min(wait, ready_at - now)
            elif len(chosen) < room:
                self._rates.take(delivery.chat, now)
                chosen.append((delivery, self._breaker.begin()))
        return chosen, wait

    async def _carry(self, delivery: Delivery, trial: Trial) -> None:
        """Make the call of a delivery that was begun, and note what became of it."""
        try:
            decision = await self._attempt(delivery, trial)
            finish = (
                decision if isinstance(decision, Finish) else await self._follow(delivery, decision)
            )
            await self._finishing.note(finish)
            if isinstance(decision, ChatMoved):
                moved = decision.chat  # after it was queued again, so that it moves, too
                await self._patiently(
                    lambda: self._contacts.note_moved(self._account, delivery.chat, moved)
                )
        finally:
            self._breaker.given_up(trial)
            self._busy.discard(delivery.chat)
            self.nudge()

    async def _finish(self, finished: Sequence[Finish]) -> None:
        await self._patiently(
            lambda: self._deliveries.finish(self._holder, self._account, finished)
        )

    async def _attempt(self, delivery: Delivery, trial: Trial) -> Finish | Decision:
        """What has become of it, or what is to be done about an error."""
        try:
            call = await self._call_of(delivery, self._caller.can)
            try:
                return await self._make(delivery, trial, call)
            except (Refused, NotSupported) as error:
                if type(call) not in IN_WORDS:
                    raise
                self._decide(delivery, trial, error, template=False)
                words = await self._call_of(delivery, without(self._caller.can, call))
                return await self._make(delivery, trial, words)
        except StorageError as error:
            # Nothing was called, or a file can't be read: so nothing was sent.
            logger.warning("account %s waits for its store: %s", self._account, error)
            return self._again(delivery, STORE_RETRY, delivery.attempts, None)
        except SendError as error:
            decision = self._decide(delivery, trial, error, template=self._caller.has_template)
        if not isinstance(decision, InTemplate):
            return decision
        try:
            return self._done(delivery, trial, await self._caller.send_template(delivery))
        except SendError as error:
            return self._decide(delivery, trial, error, template=False)

    async def _make(self, delivery: Delivery, trial: Trial, call: Call | None) -> Finish:
        if call is None:
            return Finish(id=delivery.id, state="sent")
        return self._done(delivery, trial, await self._caller.make(delivery, call))

    async def _call_of(self, delivery: Delivery, can: Capabilities) -> Call | None:
        """None: there is nothing to show, or less than when it was routed."""
        shown = await self._content.of(delivery)
        if shown is None:
            return None
        public = self._caller.public
        found = calls(shown.happened, can, author=shown.author, public=public)
        return found[delivery.part] if delivery.part < len(found) else None

    def _done(self, delivery: Delivery, trial: Trial, message: str | None) -> Finish:
        self._breaker.ended(trial, trio.current_time(), None)
        self._sent += 1
        return Finish(id=delivery.id, state="sent", message=message)

    def _decide(
        self, delivery: Delivery, trial: Trial, error: SendError, *, template: bool
    ) -> Decision:
        self._breaker.ended(trial, trio.current_time(), error)
        schedule = self._pace.schedule
        decision = decide(error, delivery.attempts, template=template, schedule=schedule)
        # The class alone, as who is affected stands in the store.
        logger.info("account %s: %s", self._account, type(error).__name__)
        return decision

    async def _follow(self, delivery: Delivery, decision: Decision) -> Finish:
        """Do what else follows from a decision; how the delivery ends this time."""
        account, chat, now = self._account, delivery.chat, trio.current_time()
        match decision:
            case Again(after=after, attempts=attempts, holds=holds, reason=reason):
                if holds is not None:
                    self._rates.hold(holds, chat, now + after, now)
                return self._again(delivery, after, attempts, reason)
            case ChatMoved(attempts=attempts, reason=reason):
                return self._again(delivery, 0.0, attempts, reason)
            case Stopped(reason=reason):
                self._usable = False
                self._unusable(reason)
                return self._again(delivery, 0.0, delivery.attempts, reason)
            case Failed(unreachable=unreachable, reason=reason):
                if unreachable:
                    await self._patiently(
                        lambda: self._contacts.note_reachable(account, chat, reachable=False)
                    )
                # Before it is noted as failed, which is never found again.
                await self._patiently(lambda: self._given_up(_failure(delivery, reason)))
                self._failed += 1
                return Finish(
                    id=delivery.id,
                    state="failed",
                    attempts=delivery.attempts + 1,
                    reason=reason,
                )
            case Unknown(reason=reason):
                self._unknown += 1
                return Finish(
                    id=delivery.id,
                    state="unknown",
                    attempts=delivery.attempts + 1,
                    reason=reason,
                )
            case InTemplate():
                raise AssertionError("it was tried, and nothing asks for it twice")

    def _again(self, delivery: Delivery, delay: float, attempts: int, reason: str | None) -> Finish:
        return Finish(id=delivery.id, state="queued", delay=delay, attempts=attempts, reason=reason)

    async def _patiently(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write until it is done; when the lease runs out meanwhile, this is cancelled."""
        while True:
            try:
                return await write()
            except StorageError as error:
                logger.warning("account %s waits for its store: %s", self._account, error)
                await trio.sleep(STORE_RETRY)


def _failure(delivery: Delivery, reason: str) -> Failure:
    place = (delivery.conversation, delivery.seq)
    return Failure(*place, delivery.address, delivery.account, reason)
