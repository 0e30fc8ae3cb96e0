"""Messages that are written: at fixed times, or whenever one was answered."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Final

from .client import READY
from .plan import Loaded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .client import Client
    from .crowd import Crowd
    from .plan import Load

BATCH: Final = 64
"""Messages that are written between two looks at what arrives."""
TICK: Final = 0.001
"""Seconds: what is due within one is written together. A wake-up for each would cost as much as
the message, and the wait counts in its latency, which runs from when it was due."""
LOOK: Final = 0.02
"""Seconds between two looks at whether all answers have come."""
MICROSECONDS: Final = 1_000_000


def _us(seconds: float) -> int:
    return int(seconds * MICROSECONDS)


class _Writing:
    """What both loops have in common: how they end."""

    def __init__(
        self, crowd: Crowd, clients: Sequence[Client], load: Load, done: Callable[[Loaded], None]
    ) -> None:
        self._crowd = crowd
        self._clients = list(clients)
        self._load = load
        self._done = done
        self._news = -1
        self._quiet_since = 0.0
        tally = crowd.tally
        tally.measure_from, tally.measure_until = _us(load.measure_from), _us(load.until)
        tally.track_last = load.track_last

    def _settle(self) -> None:
        """Wait until everything is answered, or nothing has come for a while."""
        now = time.monotonic()
        if self._crowd.news != self._news:
            self._news, self._quiet_since = self._crowd.news, now
        waiting = any(client.waiting for client in self._clients)
        if waiting and now - self._quiet_since < self._load.patience:
            self._crowd.reactor.at(now + LOOK, self._settle)
            return
        self._done(
            Loaded(
                self._load.id,
                [
                    (
                        client.seat.room_number,
                        client.seat.speaker,
                        client.number,
                        len(client.waiting or ()),
                        client.refused or [],
                    )
                    for client in self._clients
                ],
            )
        )


class OpenLoop(_Writing):
    """Each message is due at its time, whatever becomes of the others; latency counts from then.

    The speakers take turns; one that is away just then is passed over.
    """

    def begin(self) -> None:
        """Wait for the first one."""
        random.Random(self._load.order).shuffle(self._clients)
        self._begun = 0
        self._turn = 0
        self._crowd.reactor.at(self._load.start, self._write)

    def _write(self) -> None:
        load, crowd = self._load, self._crowd
        now = time.monotonic()
        for _ in range(BATCH):
            due = load.start + self._begun / load.rate
            if due > now or due >= load.until:
                break
            self._begun += 1
            client = self._next()
            if client is None:
                crowd.tally.error("nobody was there to write a message")
            else:
                crowd.write(client, _us(due))
        crowd.flush()
        due = load.start + self._begun / load.rate
        if due < load.until:
            crowd.reactor.at(max(due, now + TICK), self._write)
        else:
            crowd.reactor.at(due, self._settle)

    def _next(self) -> Client | None:
        clients = self._clients
        for _ in range(len(clients)):
            self._turn = (self._turn + 1) % len(clients)
            client = clients[self._turn]
            if client.state == READY and not client.leaving:
                return client
        return None


class ClosedLoop(_Writing):
    """Each speaker has so many messages under way; the next one is due when one was answered."""

    def begin(self) -> None:
        """Wait for the beginning."""
        self._until = _us(self._load.until)
        self._writers = set(self._clients)
        self._crowd.reactor.at(self._load.start, self._open)
        self._crowd.reactor.at(self._load.until, self._close)

    def _open(self) -> None:
        self._crowd.on_answer = self._answered
        for client in self._clients:
            for _ in range(self._load.window):
                self._crowd.write(client, time.monotonic_ns() // 1000)
        self._crowd.flush()

    def _answered(self, client: Client) -> None:
        if client in self._writers and client.state == READY:
            now = time.monotonic_ns() // 1000
            if now < self._until:
                self._crowd.write(client, now)

    def _close(self) -> None:
        self._crowd.on_answer = None
        self._settle()
