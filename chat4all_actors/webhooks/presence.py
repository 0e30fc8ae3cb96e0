"""Who comes and goes, for endpoints that ask to be told: best effort, once, and only what lasts.

A presence is nothing that is kept: it is told by the node that serves an endpoint, as that node
knows it by then, in one attempt. What an endpoint misses it is told no more; the next change comes.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

import trio

from .events import PRESENCES, Event, Presence, wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from chat4all_storage.ports.webhooks import Webhook

KNOWN: Final = 100_000
"""Users of whom it is remembered what was told last."""
WAITING: Final = 10_000
"""Users of whom an endpoint may still have to be told; of more it is told nothing."""


class WhoIsThere(Protocol):
    """What is known of the presence of users, on this node."""

    def listen(self, heard: Callable[[Iterable[str]], None]) -> None:
        """Have `heard`, and nobody else, called when the presence of users may have changed."""
        ...

    def shown(self, user: str) -> Presence:
        """What others may see of a user now."""
        ...

    async def acquaintances(self, user: str, others: Collection[str]) -> set[str]:
        """Those of others who share a conversation with the user; of what can't be read, none."""
        ...


class Nobody:
    """Where nothing is known of anybody."""

    def listen(self, heard: Callable[[Iterable[str]], None]) -> None:
        """See `WhoIsThere.listen`."""

    def shown(self, user: str) -> Presence:
        """See `WhoIsThere.shown`."""
        return Presence("offline", None)

    async def acquaintances(self, user: str, others: Collection[str]) -> set[str]:
        """See `WhoIsThere.acquaintances`."""
        await trio.lowlevel.checkpoint()
        return set()


class Onlooker:
    """One endpoint that is told."""

    def __init__(self, webhook: Webhook, who: WhoIsThere) -> None:
        self._user = webhook.username
        self._types = wanted(webhook.events) & frozenset(PRESENCES)
        self._who = who
        self._waiting: dict[str, Event] = {}
        self._wake = trio.Event()

    @property
    def wants(self) -> bool:
        """Whether it asked for any."""
        return bool(self._types)

    def see(self, events: Sequence[Event]) -> None:
        """These have changed; of a user the last counts."""
        for event in events:
            self._waiting.pop(event.key, None)
            if event.type in self._types and len(self._waiting) < WAITING:
                self._waiting[event.key] = event
        self._wake.set()

    async def next(self) -> list[Event]:
        """Wait for some that it may be told: a user of those who share a conversation."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            some, self._waiting = self._waiting, {}
            if self._user is not None and some:
                known = await self._who.acquaintances(self._user, [*some])
                some = {user: event for user, event in some.items() if user in known}
            if some:
                return list(some.values())


class Coming:
    """What comes to pass on this node, for all its endpoints."""

    def __init__(self, who: WhoIsThere, *, lasting: float, clock: Callable[[], float]) -> None:
        """What has lasted for `lasting` seconds is told; `clock` tells those since the epoch."""
        self.who = who
        self._lasting = lasting
        self._clock = clock
        self._onlookers: dict[Onlooker, None] = {}
        self._due: dict[str, float] = {}
        """Users who may have changed, in the order in which they are due."""
        self._told: OrderedDict[str, str] = OrderedDict()
        self._wake = trio.Event()

    def enter(self, onlooker: Onlooker) -> None:
        """Tell it, from now on."""
        self._onlookers[onlooker] = None

    def leave(self, onlooker: Onlooker) -> None:
        """Tell it no more."""
        self._onlookers.pop(onlooker, None)
        if not self._onlookers:  # from here on nothing is heard, so what was told gets old
            self._due.clear()
            self._told.clear()

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Tell until cancelled."""
        self.who.listen(self._heard)
        task_status.started()
        while True:
            while not self._due:  # the last onlooker may leave before this is awake
                self._wake = trio.Event()
                await self._wake.wait()
            await trio.sleep_until(next(iter(self._due.values())))
            self._tell(trio.current_time())

    def _heard(self, users: Iterable[str]) -> None:
        if not self._onlookers:
            return
        due = trio.current_time() + self._lasting
        for user in users:
            self._due.setdefault(user, due)
        self._wake.set()

    def _tell(self, now: float) -> None:
        events: list[Event] = []
        while self._due and (user := next(iter(self._due))) and self._due[user] <= now:
            del self._due[user]
            presence = self.who.shown(user)
            if self._told.get(user) == presence.status:
                continue
            self._told[user] = presence.status
            self._told.move_to_end(user)
            at = int(self._clock() * 1000)
            type_ = f"presence.{presence.status}"
            events.append(Event(type_, user, at, at, user=user, presence=presence))
        while len(self._told) > KNOWN:
            self._told.popitem(last=False)
        if events:
            for onlooker in self._onlookers:
                onlooker.see(events)
