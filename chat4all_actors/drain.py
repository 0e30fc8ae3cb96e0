"""Emptying a node that stops: clients are told a batch at a time, not closed before they moved.

All clients at once would be a storm for the nodes that they come to. So each round a batch is told
to connect elsewhere, and goes on being served here until it has (its device's new connection
replaces the session) or until its patience is over.
"""

from __future__ import annotations

import logging
import math
import random
from typing import TYPE_CHECKING, Final, Protocol

import trio
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

logger = logging.getLogger(__name__)

SECONDS: Final = 1.0
ROUND: Final = 0.1 * SECONDS
BATCH: Final = 100
"""Clients told in a round at least: few are told at once."""
SPREAD: Final = 0.6
"""Part of the drain time after which all have been told, however many they are."""
PATIENCE: Final = 0.25
"""Part of the drain time that a client may take to move at most; the rest is for the closes."""
MAX_PATIENCE: Final = 6 * SECONDS
JITTER: Final = 0.25
"""Part of the patience over which the clients of a batch are spread."""
ALONE_PATIENCE: Final = 0.5 * SECONDS
"""For clients that have nowhere to move to: only so that `reconnect` is read before the close."""
LEAVING: Final = 0.05
"""Part of the drain time that is kept for leaving the cluster."""
ALONE_JITTER: Final = 2 * SECONDS
"""They come back to this node when it has started again, over so long a time."""


class Movable(Protocol):
    """A session, as a drain sees it."""

    def drain(self, after_ms: int) -> None:
        """Ask the client to connect elsewhere in so many milliseconds."""

    def finish(self) -> None:
        """Answer what was accepted, and close; nothing if it has ended."""


class Door(Protocol):
    """What lets clients in, as a drain sees it."""

    @property
    def sessions(self) -> Collection[Movable]:
        """All there are."""
        ...

    @property
    def open(self) -> int:
        """Connections that are open."""
        ...

    def stop_accepting(self) -> None:
        """Let nobody in any more."""

    async def wait_empty(self) -> None:
        """Wait until no connection is open."""


class Plan(Struct, frozen=True):
    """How the clients of a node are moved."""

    batch: int
    """Clients told in a round."""
    jitter: float
    """Seconds over which the clients of a batch are to come."""
    patience: float
    """Seconds from telling a client to closing it."""


def plan(clients: int, timeout: float, *, alone: bool) -> Plan:
    """How to move so many clients within `timeout` seconds.

    `alone`: there is no other node for them.
    """
    rounds = max(1, int(SPREAD * timeout / ROUND))
    batch = max(BATCH, math.ceil(clients / rounds))
    patience = min(PATIENCE * timeout, MAX_PATIENCE)
    if alone:
        return Plan(batch, ALONE_JITTER, min(patience, ALONE_PATIENCE))
    return Plan(batch, JITTER * patience, patience)


async def empty(door: Door, timeout: float, *, alone: bool) -> None:
    """Move everybody away, and wait until no connection is open; bounded by `timeout`."""
    door.stop_accepting()
    sessions = list(door.sessions)
    how = plan(len(sessions), timeout, alone=alone)
    with trio.move_on_after((1 - LEAVING) * timeout) as patience:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(move_away, sessions, how)
            await door.wait_empty()
            nursery.cancel_scope.cancel()
    if patience.cancelled_caught:
        logger.warning("the drain took too long for %d connections", door.open)


async def move_away(
    sessions: Sequence[Movable], how: Plan, *, chance: Callable[[], float] = random.random
) -> None:
    """Tell all sessions, and finish each batch when its patience is over.

    `chance` gives numbers in [0, 1).
    """
    async with trio.open_nursery() as nursery:
        for start in range(0, len(sessions), how.batch):
            if start:
                await trio.sleep(ROUND)
            batch = sessions[start : start + how.batch]
            for session in batch:
                session.drain(int(chance() * how.jitter * 1000))
            nursery.start_soon(_finish, batch, how.patience)


async def _finish(batch: Sequence[Movable], patience: float) -> None:
    await trio.sleep(patience)
    for session in batch:
        session.finish()
