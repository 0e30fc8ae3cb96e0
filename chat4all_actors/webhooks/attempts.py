"""Attempts at one endpoint: how many at once, when again, and when there is no point."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, Protocol

import trio
from msgspec import Struct

from chat4all_storage.ports.webhooks import Report

from . import signing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chat4all_storage.ports.webhooks import Webhook

    from ..config import Settings
    from .events import Event
    from .sending import Outcome

JITTER: Final = 0.1
"""A tenth is added to a delay at random, so that what failed together does not come again so."""
SUSPECT: Final = 3
"""After so many attempts in a row without any answer the endpoint is left alone for a moment."""


class Posts(Protocol):
    """What makes a request: see `Sender`."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Make one attempt."""
        ...


class Shows(Protocol):
    """What makes of an event what a program is told."""

    async def show(self, event: Event, limit: int) -> bytes:
        """The event as JSON; beyond `limit` bytes without what it says.

        Raises:
            StorageError: what belongs to it can't be read now.
        """
        ...


class Gone(Exception):
    """The endpoint has answered that it is gone."""


class Tally(Struct):
    """What became of attempts since the last report."""

    delivered: int = 0
    failed: int = 0
    given_up: int = 0
    failure: str | None = None
    ended_well: bool = False

    def count(self, outcome: Outcome) -> None:
        """Another one."""
        self.ended_well = outcome.ok
        if outcome.ok:
            self.delivered += 1
        else:
            self.failed += 1
            self.failure = outcome.reason

    def report(self) -> Report:
        """It all, for the directory."""
        return Report(self.delivered, self.failed, self.given_up, self.failure, self.ended_well)


class Attempts:
    """At one endpoint."""

    def __init__(
        self,
        settings: Settings,
        webhook: Webhook,
        keys: Callable[[Webhook], Sequence[bytes]],
        shows: Shows,
        posts: Posts,
        *,
        clock: Callable[[], float],
    ) -> None:
        """`keys` gives the secrets that sign now."""
        self.webhook = webhook
        """As it stands, to be set when it changes."""
        self.failing_since = webhook.failing_since
        """No attempt has succeeded since: milliseconds since the epoch."""
        self.delivered = self.failed = 0
        self._settings = settings
        self._keys = keys
        self._shows = shows
        self._posts = posts
        self._clock = clock
        self._limit = trio.CapacityLimiter(settings.webhook_in_flight)
        self._silent = 0

    @property
    def suspect(self) -> bool:
        """Whether it seems not to be there at all."""
        return self._silent >= SUSPECT

    async def tell(self, event: Event, tally: Tally) -> Outcome:
        """Make one attempt at this event.

        Raises:
            Gone: the endpoint wants nothing more.
            StorageError: the event can't be read whole now; there was no attempt.
        """
        async with self._limit:
            body = await self._shows.show(event, self._settings.webhook_max_payload)
            at = int(self._clock())
            headers = signing.headers(event.id, at, body, self._keys(self.webhook))
            outcome = await self._posts.post(self.webhook.url, headers, body)
        tally.count(outcome)
        if outcome.ok:
            self.delivered += 1
            self.failing_since = None
        else:
            self.failed += 1
            if self.failing_since is None:
                self.failing_since = int(self._clock() * 1000)
        self._silent = self._silent + 1 if outcome.unreachable else 0
        if outcome.gone:
            raise Gone
        return outcome

    def delay(self, attempts: int, outcome: Outcome) -> float | None:
        """The seconds until the next attempt after so many; None: it was the last."""
        schedule = self._settings.webhook_schedule
        if attempts > len(schedule):
            return None
        seconds = schedule[attempts - 1] * (1 + random.uniform(0, JITTER))
        return max(seconds, outcome.retry_after)

    @property
    def hopeless(self) -> bool:
        """Whether all attempts have failed for so long that there is no point."""
        if self.failing_since is None:
            return False
        failing = self._clock() - self.failing_since / 1000
        return failing >= self._settings.webhook_pause_after
