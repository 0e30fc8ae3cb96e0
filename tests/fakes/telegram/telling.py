"""How a bot is told what happened: by its webhook, or when it polls.

Updates of one chat go one after the other, and one that is refused holds back its chat; those of
different chats go at once. What can be asked for beside that, which the real one does only now and
then: updates told twice, held back, and in another order.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2
import trio

from .parameters import Bad

if TYPE_CHECKING:
    from .methods import Methods

SLOWEST = 60.0
"""Seconds between attempts, in the end."""
WAITS = 60.0
"""Seconds for an answer."""
LONGEST_POLL = 50


@dataclass
class Told:
    """An update on its way."""

    chat: int
    update: dict[str, Any]
    times: int = 1


@dataclass
class Poll:
    """One that waits."""

    scope: trio.CancelScope
    conflict: str = ""
    """Why it was ended by somebody else."""

    def end(self, conflict: str) -> None:
        """Give its place to somebody else."""
        self.conflict = conflict
        self.scope.cancel()


@dataclass
class Telling:
    """Of one bot. All waits are shortened by `pace`: 0.01 makes 60 s of them 0.6 s."""

    pace: float
    nursery: trio.Nursery
    client: httpx2.AsyncClient
    methods: Methods = field(init=False)
    held: bool = False
    """Whether what happens is kept back."""
    twice: int = 0
    """How many updates from now on are told twice."""
    attempts: list[dict[str, Any]] = field(default_factory=list)
    """Each call of the webhook: the update's number, and the status that was answered."""
    _kept: list[Told] = field(default_factory=list)
    _queues: dict[int, deque[Told]] = field(default_factory=dict)
    _working: set[int] = field(default_factory=set)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(700_000_001))
    _changed: trio.Event = field(default_factory=trio.Event)
    _poll: Poll | None = None

    def happened(self, kind: str, chat: int, content: dict[str, Any]) -> None:
        """Tell it, if it was asked for."""
        if kind not in self.methods.webhook.kinds:
            return
        # As it is now: later edits are told by themselves.
        update = json.loads(json.dumps({"update_id": next(self._numbers), kind: content}))
        times, self.twice = (2, self.twice - 1) if self.twice else (1, 0)
        told = Told(chat, update, times)
        if self.held:
            self._kept.append(told)
        else:
            self._put(told)

    def release(self, *, reverse: bool) -> None:
        """Tell what was kept back."""
        self.held = False
        kept, self._kept = self._kept, []
        for told in reversed(kept) if reverse else kept:
            self._put(told)

    def pending(self) -> int:
        """Updates that were not taken yet."""
        return sum(map(len, self._queues.values()))

    @property
    def polled(self) -> bool:
        """Whether somebody waits for updates."""
        return self._poll is not None

    async def settled(self) -> None:
        """Wait until all that was not kept back is taken."""
        while self.pending():
            await self._changed.wait()

    def webhook_set(self) -> None:
        """There is another webhook, or none: who polls has lost."""
        if self._poll is not None:
            self._poll.end("Conflict: terminated by setWebhook request")
        for chat in self._queues:
            self._work(chat)

    def _put(self, told: Told) -> None:
        self._queues.setdefault(told.chat, deque()).append(told)
        self._work(told.chat)
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # --- by webhook

    def _work(self, chat: int) -> None:
        if self.methods.webhook.url and chat not in self._working:
            self._working.add(chat)
            self.nursery.start_soon(self._tell_all, chat)

    async def _tell_all(self, chat: int) -> None:
        queue = self._queues[chat]
        failures = 0
        while queue and self.methods.webhook.url:
            told = queue[0]
            wait = await self._tell(told)
            if wait is None:
                failures = 0
                told.times -= 1
                if told.times == 0:
                    queue.popleft()
                    self._notify()
                continue
            failures += 1
            # At once after the first failure.
            backoff = 0 if failures == 1 else min(2.0 ** (failures - 1), SLOWEST)
            await trio.sleep(max(wait, backoff) * self.pace)
        self._working.discard(chat)

    async def _tell(self, told: Told) -> float | None:
        """Call back; None: it was taken, else the seconds after which to try again at least."""
        webhook = self.methods.webhook
        headers = {"X-Telegram-Bot-Api-Secret-Token": webhook.secret} if webhook.secret else {}
        status, retry_after, error = 0, 0.0, "Connection refused"
        try:
            answer = await self.client.post(
                webhook.url, json=told.update, headers=headers, timeout=WAITS
            )
        except httpx2.TransportError:
            pass
        else:
            status = answer.status_code
            error = f"Wrong response from the webhook: {status} {answer.reason_phrase}"
            given = answer.headers.get("retry-after", "")
            retry_after = min(float(given), 3600.0) if given.isdecimal() else 0.0
        self.attempts.append({"update_id": told.update["update_id"], "status": status})
        if 200 <= status < 300:
            return None
        webhook.error_date, webhook.error = int(time.time()), error
        return retry_after

    # --- by polling

    async def poll(self, offset: int, limit: int, timeout: int) -> list[dict[str, Any]]:
        """What `getUpdates` answers.

        Raises:
            Bad: somebody else is told.
        """
        if self.methods.webhook.url:
            raise Bad(
                409,
                "Conflict: can't use getUpdates method while webhook is active; "
                "use deleteWebhook to delete the webhook first",
            )
        if self._poll is not None:
            self._poll.end(
                "Conflict: terminated by other getUpdates request; "
                "make sure that only one bot instance is running"
            )
        for queue in self._queues.values():
            while queue and queue[0].update["update_id"] < offset:
                queue.popleft()
        self._notify()
        updates: list[dict[str, Any]] = []
        with trio.move_on_after(min(timeout, LONGEST_POLL) * self.pace) as scope:
            poll = self._poll = Poll(scope)
            while not (updates := self._waiting(limit)):
                await self._changed.wait()
        if self._poll is poll:
            self._poll = None
        if poll.conflict:
            raise Bad(409, poll.conflict)
        return updates

    def _waiting(self, limit: int) -> list[dict[str, Any]]:
        updates = [told.update for queue in self._queues.values() for told in queue]
        updates.sort(key=lambda update: int(update["update_id"]))
        return updates[:limit]
