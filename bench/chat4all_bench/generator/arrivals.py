"""Clients that connect at a rate, for the first time or again, until all are ready or failed."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

from .client import CLOSED
from .plan import Joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .client import Client
    from .crowd import Crowd

MOST_OPENING: Final = 500
"""Connections that are being opened at once: a server's backlog has an end too."""
LOOK: Final = 0.25
"""Seconds between two looks at those that do not get ready."""
STEP: Final = 0.002
"""Seconds between two connections at the least: those that are due in between go together."""


class Arrivals:
    """One command's clients; see `client.Arrival`."""

    def __init__(
        self,
        crowd: Crowd,
        clients: Iterable[Client],
        *,
        id_: int,
        rate: float,
        again: bool,
        timeout: float,
        done: Callable[[Joined], None],
    ) -> None:
        self._crowd = crowd
        self._absent = deque(clients)
        self._opening: dict[Client, float] = {}
        self._told = Joined(id_, 0, 0)
        self._left = len(self._absent)
        self._rate = rate
        self._start = time.monotonic()
        self._begun = 0
        self._again = again
        self._timeout = timeout
        self._done = done
        if self._left:
            crowd.reactor.at(self._start, self._connect)
            crowd.reactor.at(self._start + LOOK, self._look)
        else:
            done(self._told)

    def ready(self, client: Client) -> None:
        """See `client.Arrival`."""
        took = time.monotonic() - self._opening.pop(client)
        self._crowd.tally.connect(took, again=self._again)
        self._told.ready += 1
        self._one_less(client)

    def failed(self, client: Client) -> None:
        """See `client.Arrival`."""
        self._opening.pop(client, None)
        self._told.failed += 1
        self._one_less(client)

    def _one_less(self, client: Client) -> None:
        client.arrival = None
        self._left -= 1
        self._told.at = time.monotonic()
        if not self._left:
            self._done(self._told)

    def _connect(self) -> None:
        """Connect those that are due."""
        now = time.monotonic()
        due = int((now - self._start) * self._rate) + 1
        waiting = len(self._absent)
        while self._begun < due and waiting and len(self._opening) < MOST_OPENING:
            client = self._absent.popleft()
            if client.state != CLOSED:  # it still has answers to get, and leaves then
                self._absent.append(client)
                waiting -= 1
                continue
            waiting -= 1
            self._begun += 1
            client.arrival = self
            self._opening[client] = now
            self._crowd.connect(client)
        if self._absent:
            next_due = self._start + self._begun / self._rate
            self._crowd.reactor.at(max(next_due, now + STEP), self._connect)

    def _look(self) -> None:
        """Give up those that take too long; they are in the order in which they began."""
        now = time.monotonic()
        for client, began in list(self._opening.items()):
            if now - began < self._timeout:
                break
            client.close()
            self._crowd.tally.error(f"not ready in {self._timeout:g} s")
            self.failed(client)
        if self._left:
            self._crowd.reactor.at(now + LOOK, self._look)
