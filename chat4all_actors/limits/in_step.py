"""Keeping the limits of all nodes in step, in the background.

Twice a second a node tells a `Tally` (Redis) what it has accepted since the last time, all keys in
one call, and learns how far all nodes together are ahead with these keys. What was too much is a
debt: nobody accepts more until it is paid by waiting. So a key that comes to another node does not
find a fresh budget there, and over any minute all nodes accept at most a fifth more than one would.
A node that is alone tells nothing; what it knows is told when others come, with what is used then.

While the tally, or the backbone, does not work, every node takes only its part of each limit: what
it is, divided by the nodes that lived last. The first exchange that succeeds ends that.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Final, NoReturn

import trio

from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.tally import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chat4all_storage.ports.tally import Standing, Tally

    from .gcra import RateLimiter

logger = logging.getLogger(__name__)

SECONDS: Final = 1.0
ROUND: Final = 0.5 * SECONDS
"""From one exchange to the next."""
HURRY: Final = 0.1 * SECONDS
"""And when something is urgent."""
SOLE: Final = 1.5 * SECONDS
"""So long after an exchange a key that no other node uses is taken to be this node's alone."""
RECENT: Final = 1 * SECONDS
"""A tally that knows less than we do is late by so much at most, else it has lost its memory."""
MAX_KEYS: Final = 2000
"""Of one exchange, which keeps the node for some milliseconds; the others follow at once."""
LEAVING: Final = 1 * SECONDS
"""For the last exchange of a node that stops."""
UNKNOWN: Final = 2
"""Nodes that are assumed before it is known how many there are."""


class InStep:
    """One node's part in it."""

    def __init__(
        self,
        limiters: Mapping[str, RateLimiter],
        tally: Tally | None,
        *,
        secret: str,
        node: Callable[[], str],
        peers: Callable[[], int | None],
        at_least: int = 1,
    ) -> None:
        """`secret`, the same on all nodes, hides whom a key of the tally belongs to.

        `node` is this node's name; `peers` tells how many others live, or None when that can't be
        known now; there are `at_least` so many nodes.
        """
        self._limiters = {name: each for name, each in limiters.items() if each.rate.per_minute}
        self._tally = tally
        self._secret = hashlib.blake2b(secret.encode(), person=b"rate limit keys").digest()
        self._node = node
        self._peers = peers
        self._at_least = at_least
        self._nodes = max(at_least, UNKNOWN)
        self._failing = False
        self._urgent = trio.Event()
        if tally is not None:
            for limiter in self._limiters.values():
                limiter.share(self._hurry)

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Exchange until cancelled; what is left is told then, when the tally answers."""
        if self._tally is None:
            task_status.started()
            await trio.sleep_forever()
        self._divide()
        task_status.started()
        try:
            while True:
                await trio.sleep(HURRY)
                with trio.move_on_after(ROUND - HURRY):
                    await self._urgent.wait()
                self._urgent = trio.Event()
                await self._exchange(self._tally)
        finally:
            if not self._failing:  # clients go to another node at once
                with trio.move_on_after(LEAVING, shield=True):
                    await self._exchange(self._tally)

    def _hurry(self) -> None:
        self._urgent.set()

    async def _exchange(self, tally: Tally) -> None:
        self._divide()  # the backbone may know before the tally does not answer
        collected = self._collect()
        if self._failing:
            # Calls without an answer may be carried out later, all at once: they tell nothing.
            self._restore(collected)
            collected = []
            usages = [Usage(self._hidden("", "probe"), 0.0, 0.0, 0.0)]
        else:
            usages = [usage for _, _, _, usage in collected]
        failed = False
        standings: list[Standing] = []
        try:
            if usages:
                standings = await tally.exchange(self._node(), usages)
        except Unavailable as error:
            failed = True
            if not self._failing:
                logger.warning("each node takes only its part of the rate limits: %s", error)
        if failed:
            self._restore(collected)
        else:
            self._settle(collected, standings)
        if self._failing and not failed:
            logger.info("the rate limits are in step with those of the other nodes")
            self._hurry()
        self._failing = failed
        self._divide()

    @staticmethod
    def _restore(collected: list[tuple[RateLimiter, str, int, Usage]]) -> None:
        for limiter, key, count, _ in collected:
            limiter.restore(key, count)

    def _collect(self) -> list[tuple[RateLimiter, str, int, Usage]]:
        collected: list[tuple[RateLimiter, str, int, Usage]] = []
        for name, limiter in self._limiters.items():
            rate = limiter.rate
            for key, count, ahead in limiter.collect(MAX_KEYS - len(collected)):
                usage = Usage(
                    key=self._hidden(name, key),
                    cost=count * rate.interval,
                    known=max(0.0, ahead - RECENT),
                    ceiling=rate.ceiling,
                )
                collected.append((limiter, key, count, usage))
            if limiter.used:
                self._hurry()
        return collected

    def _settle(
        self, collected: list[tuple[RateLimiter, str, int, Usage]], standings: list[Standing]
    ) -> None:
        now = trio.current_time()
        # A probe has an answer that nobody waits for.
        for (limiter, key, _, _), standing in zip(collected, standings, strict=False):
            sole_until = now + SOLE if standing.nodes == 1 else now
            limiter.settle(key, standing.ahead, sole_until)

    def _divide(self) -> None:
        """Tell the limiters how many nodes there are, and whether they know of each other."""
        peers = self._peers()
        if peers is not None:
            self._nodes = max(self._at_least, 1 + peers)
        apart = self._failing or peers is None
        for limiter in self._limiters.values():
            limiter.divide(self._nodes, apart=apart)

    def _hidden(self, name: str, key: str) -> str:
        data = f"{name}:{key}".encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(data, digest_size=12, key=self._secret)
        return f"{name}:{digest.hexdigest()}"
