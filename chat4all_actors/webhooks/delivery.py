"""One endpoint, told everything in its turn; and what failed, when it is due.

*In its turn* (`_follow`): rows of the journals, page by page. Events of one conversation go one
after the other, conversations beside each other. At the first that fails the rest of its
conversation becomes a *backlog*; then the position advances, together with the backlogs and in one
transaction. *Behind* (`_catch_up`): what of a conversation has a backlog goes through that alone,
so its order holds, until the backlog is told whole and forgotten.

A crash at any point repeats what was told since the last advance, with the same ids.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn

import trio
from msgspec.structs import replace

from chat4all_storage.ports.errors import StorageError
from chat4all_storage.ports.webhooks import NewBacklog

from .attempts import Gone, Tally
from .events import FILE_READY, wanted
from .looking_back import look_back
from .positions import MARGIN, Position, decode, encode
from .presence import Onlooker
from .source import Audience, Circle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from chat4all_storage.ports.webhooks import Backlog, Webhook, Webhooks, WebhookState
    from chat4all_storage.storage import Storage

    from ..config import Settings
    from .attempts import Attempts
    from .events import Event
    from .presence import Coming
    from .source import Source
    from .tail import Tail

logger = logging.getLogger(__name__)

ROWS: Final = 50
"""Of a journal, that are told before the position advances."""
EVENTS: Final = 100
"""Of a backlog, likewise."""
BACKLOGS: Final = 32
"""That are looked at together."""
IDLE: Final = 5.0
"""Seconds after which an endpoint looks again, whatever it has heard."""
AWAY: Final = 2.0
"""Seconds before what a database did not answer is tried again."""
KNOWN: Final = 10_000
"""Conversations of which it is remembered how far they were told."""


class Lost(Exception):
    """Another node serves the endpoint by now, or it is gone."""


class Delivery:
    """To one endpoint, for as long as this node serves it."""

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        attempts: Attempts,
        source: Source,
        tails: Sequence[Tail],
        coming: Coming,
        *,
        holder: str,
    ) -> None:
        self.attempts = attempts
        self._coming = coming
        self._settings = settings
        self._storage = storage
        self._webhooks: Webhooks = storage.webhooks
        self._source = source
        self._tails = tails
        self._holder = holder
        self._id = attempts.webhook.id
        self._positions = decode(attempts.webhook.positions)
        self._circle = Circle(storage, attempts.webhook.username)
        self._known: dict[str, int] = {}
        self.stopped = False
        """It was found to be gone, or failing for too long."""
        self._more = trio.Event()
        """Something else than rows is to be done."""
        self._due = trio.Event()
        """There are backlogs that were not there before."""

    @property
    def webhook(self) -> Webhook:
        """As it stands."""
        return self.attempts.webhook

    def changed(self, webhook: Webhook) -> None:
        """Its owner may have changed it."""
        known, self.attempts.webhook = self.webhook, webhook
        if webhook.replay_from != known.replay_from:
            self._more.set()

    async def run(self) -> None:
        """Tell it everything, until it is gone, given up for now, or another node's."""
        try:
            with ExitStack() as reading:
                for tail in self._tails:
                    reading.enter_context(tail.reading())
                await self._serve()
        except* Gone:
            await self._stop("disabled", "it has answered 410: it is gone")
        except* _Hopeless:
            days = self._settings.webhook_pause_after / 86_400
            await self._stop("paused", f"every attempt has failed for {days:g} days")
        except* Lost:
            logger.debug("webhook %s is served elsewhere", self._id)

    async def _serve(self) -> None:
        onlooker = Onlooker(self.webhook, self._coming.who)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._again, self._follow)
            nursery.start_soon(self._again, self._catch_up)
            if not onlooker.wants:
                return
            self._coming.enter(onlooker)
            try:
                await self._look_on(onlooker)
            finally:
                self._coming.leave(onlooker)

    async def _look_on(self, onlooker: Onlooker) -> NoReturn:
        """Tell it who comes and goes, once each; nothing of that counts for its reports."""
        while True:
            for event in await onlooker.next():
                if not self.attempts.suspect:
                    await self.attempts.tell(event, Tally())

    async def _stop(self, state: WebhookState, reason: str) -> None:
        if await self._webhooks.stop(self._id, self._holder, state, reason):
            self.stopped = True
            logger.warning("webhook %s is %s: %s", self._id, state, reason)

    async def _again(self, step: Callable[[], Awaitable[None]]) -> None:
        """Do this for ever; what a database does not answer is tried again."""
        while True:
            try:
                await step()
            except StorageError as error:
                logger.debug("webhook %s waits for a database: %s", self._id, error)
                await trio.sleep(AWAY)

    @property
    def _audience(self) -> Audience:
        webhook = self.webhook
        return Audience(webhook.username, wanted(webhook.events), webhook.since)

    # --- in its turn --------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Look at all journals once, and wait if there is nothing more."""
        await self._circle.load()
        if (since := self.webhook.replay_from) is not None:
            await self._look_back(since, done=since)
            self.attempts.webhook = _looked_back(self.webhook, since)
        moved = False
        failed: StorageError | None = None
        # One that is behind first: a conversation that has moved goes on elsewhere.
        for tail in sorted(self._tails, key=self._come):
            try:
                moved |= await self._follow_one(tail)
            except StorageError as error:
                failed = error  # the others go on
        if failed is not None:
            raise failed
        if not moved:
            with trio.move_on_after(IDLE) as idle:
                await self._any_news()
            if idle.cancelled_caught:
                await self._advance([], Tally())  # so that the time of the position does

    def _come(self, tail: Tail) -> int:
        position = self._positions.get(tail.store.name)
        return 0 if position is None else position.at

    async def _any_news(self) -> None:
        self._more = trio.Event()
        async with trio.open_nursery() as nursery:

            async def first(wait: Callable[[], Awaitable[None]]) -> None:
                await wait()
                nursery.cancel_scope.cancel()

            for tail in self._tails:
                nursery.start_soon(first, tail.news)
            nursery.start_soon(first, self._more.wait)

    async def _follow_one(self, tail: Tail) -> bool:
        """Take a page of one journal; whether there was anything."""
        name = tail.store.name
        position = self._positions.get(name)
        now = await tail.now()
        if position is None or position.lost(now, self._settings.journal_kept):
            end = Position(await tail.store.journal_end(), now)
            since = self.webhook.since if position is None else position.at - MARGIN
            logger.info("webhook %s is caught up from the logs of %s", self._id, name)
            self._circle = Circle(self._storage, self.webhook.username)
            await self._circle.load()  # who came in is in the rows that are lost
            await self._look_back(since, done=None)
            self._positions[name] = end
            await self._advance([], Tally())
            return True
        found = await tail.after(position.row, limit=ROWS)
        placed, reached = await self._source.of_rows(
            found.rows, self._audience, self._circle, self._known
        )
        row = found.rows[-1].id if found.rows else position.row
        self._positions[name] = Position(row, found.at)
        if placed:
            try:
                await self._tell_page([each.event for each in placed])
            except BaseException:
                self._positions[name] = position
                raise
        self._note(reached)
        return bool(found.rows)

    def _note(self, reached: dict[str, int]) -> None:
        self._known.update(reached)
        while len(self._known) > KNOWN:
            del self._known[next(iter(self._known))]

    async def _tell_page(self, events: list[Event]) -> None:
        """Tell these, but what has a backlog or fails; then advance."""
        groups: dict[str, list[Event]] = {}
        for event in events:
            groups.setdefault(event.key, []).append(event)
        behind = await self._webhooks.behind(self._id, list(groups))
        backlogs = [self._backlog(groups[key], 0, 0.0) for key in behind]
        tally = Tally()
        async with trio.open_nursery() as nursery:
            for key, group in groups.items():
                if key not in behind:
                    nursery.start_soon(self._tell_group, group, backlogs, tally)
        await self._advance(backlogs, tally)

    async def _tell_group(
        self, events: list[Event], backlogs: list[NewBacklog], tally: Tally
    ) -> None:
        for number, event in enumerate(events):
            if self.attempts.suspect:
                # Nothing was there for others: this one is tried with them.
                delay = self._settings.webhook_schedule[0]
                backlogs.append(self._backlog(events[number:], 0, delay))
                return
            try:
                outcome = await self.attempts.tell(event, tally)
            except StorageError:
                backlogs.append(self._backlog(events[number:], 0, AWAY))
                return
            if not outcome.ok:
                delay = self.attempts.delay(1, outcome) or 0.0
                backlogs.append(self._backlog(events[number:], 1, delay))
                return

    def _backlog(self, events: list[Event], attempts: int, delay: float) -> NewBacklog:
        """What is left of a conversation, from the first of these on."""
        logged = [event.seq for event in events if event.logged]
        rises = [event.at for event in events if not event.logged]
        first = events[0]
        # All up to here was told: a watermark is told after what it is about.
        after = logged[0] - 1 if logged else self._known.get(first.key, first.seq)
        return NewBacklog(
            key=first.key,
            file=first.type == FILE_READY,
            after=after,
            upto=max(logged, default=after),
            rises=min(rises, default=None),
            attempts=attempts,
            delay=delay,
        )

    async def _advance(self, backlogs: list[NewBacklog], tally: Tally) -> None:
        positions = encode(self._positions)
        report = tally.report()
        if not await self._webhooks.advance(self._id, self._holder, positions, backlogs, report):
            raise Lost
        if backlogs:
            self._due.set()
        if self.attempts.hopeless:
            raise _Hopeless

    async def _look_back(self, since: int, *, done: int | None) -> None:
        keep = partial(self._webhooks.look_back, self._id, self._holder)
        if not await look_back(self._storage.shards, self.webhook.username, since, keep, done=done):
            raise Lost
        self._due.set()

    # --- behind -------------------------------------------------------------------------------

    async def _catch_up(self) -> None:
        """Tell all that is due, and wait for what comes to be."""
        self._due = trio.Event()
        due, later = await self._webhooks.due(self._id, BACKLOGS)
        async with trio.open_nursery() as nursery:
            for backlog in due:
                nursery.start_soon(self._try_backlog, backlog)
        if not due:
            with trio.move_on_after(min(later if later is not None else IDLE, IDLE)):
                await self._due.wait()

    async def _try_backlog(self, backlog: Backlog) -> None:
        try:
            await self._tell_backlog(backlog)
        except StorageError as error:
            logger.debug("webhook %s waits for a database: %s", self._id, error)
            await trio.sleep(AWAY)

    async def _tell_backlog(self, backlog: Backlog) -> None:
        """Tell a part of it, up to what fails."""
        tally, after, told_rises = Tally(), backlog.after, False
        events, reached = await self._events_of(backlog)
        if reached >= backlog.upto and backlog.rises is not None:
            events = events + await self._source.of_rises(
                backlog.key, backlog.rises, self._audience
            )
            told_rises = True
        attempts, delay = 0, 0.0
        for number, event in enumerate(events):
            outcome = await self.attempts.tell(event, tally)
            if outcome.ok:
                after = max(after, event.seq) if event.logged else after
                continue
            attempts = backlog.attempts + 1 if number == 0 else 1
            again = self.attempts.delay(attempts, outcome)
            if again is not None:
                told_rises, delay, reached = False, again, after
                break
            tally.given_up += 1
            logger.info("webhook %s: event %s is given up", self._id, event.id)
            attempts = 0
            if event.logged:
                told_rises, reached = False, event.seq
                break
        if not await self._webhooks.settle(
            self._id,
            self._holder,
            backlog,
            tally.report(),
            after=max(reached, after),
            told_rises=told_rises,
            attempts=attempts,
            delay=delay,
        ):
            raise Lost
        if self.attempts.hopeless:
            raise _Hopeless

    async def _events_of(self, backlog: Backlog) -> tuple[list[Event], int]:
        if backlog.file:
            event = await self._source.of_file(backlog.key, self.webhook.since, self._audience)
            return ([] if event is None else [event]), backlog.upto
        if backlog.after >= backlog.upto:
            return [], backlog.upto
        return await self._source.of_range(
            backlog.key, backlog.after, backlog.upto, self._audience, EVENTS
        )


class _Hopeless(Exception):
    """Every attempt has failed for so long that there is no point."""


def _looked_back(webhook: Webhook, since: int) -> Webhook:
    return replace(webhook, replay_from=None) if webhook.replay_from == since else webhook
