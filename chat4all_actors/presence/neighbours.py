"""The other nodes: which are there or were lost, whose snapshot is awaited, who is owed ours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NoReturn

import trio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .carrier import Carrier, RosterSnapshot

DEPARTED_KEPT: Final = 1000
"""Nodes that left, of which late items are told apart."""
SNAPSHOT_PAUSE: Final = 0.02
"""Seconds between two parts for one node: about 1.5 MB a second."""
ASK_AGAIN: Final = 5.0
"""Seconds until a node is asked again whose snapshot has not come whole."""


class Neighbours:
    """Of one node. Only `run` waits."""

    def __init__(self) -> None:
        self.there: dict[str, None] = {}
        """Those that live."""
        self._departed: dict[str, None] = {}
        self._lost: dict[str, tuple[float, int]] = {}
        """When to give up the users of a lost node, and when it was lost (clock, milliseconds)."""
        self._incomplete: dict[str, float] = {}
        """Nodes whose snapshot is awaited, and when to ask for it."""
        self._snapshots: dict[str, Iterator[RosterSnapshot]] = {}
        """What is still to be told to those who lack ours."""
        self._lacking = trio.Event()

    # --- how they come and go -----------------------------------------------------------------

    def joined(self, node: str) -> None:
        """A node is there, perhaps again, and tells all it has."""
        self._departed.pop(node, None)
        self.there[node] = None
        self._incomplete[node] = trio.current_time() + ASK_AGAIN

    def lost(self, node: str, at: int, *, expiry: float) -> None:
        """A node died at `at`; its users are given up after `expiry` seconds."""
        self._forget(node)
        self._lost[node] = (trio.current_time() + expiry, at)

    def left(self, node: str) -> None:
        """A node ended as it should: nothing that it told counts now."""
        self._forget(node)
        self._departed[node] = None
        if len(self._departed) > DEPARTED_KEPT:
            del self._departed[next(iter(self._departed))]

    def has_left(self, node: str) -> bool:
        """Whether what comes of the node comes too late."""
        return node in self._departed

    def expired(self, now: float) -> list[tuple[str, int]]:
        """Lost nodes whose users are to be given up, and when each was lost."""
        found = [(node, at) for node, (expiry, at) in self._lost.items() if expiry <= now]
        for node, _ in found:
            del self._lost[node]
        return found

    def _forget(self, node: str) -> None:
        self.there.pop(node, None)
        self._incomplete.pop(node, None)
        self._snapshots.pop(node, None)
        self._lost.pop(node, None)

    # --- their snapshots ----------------------------------------------------------------------

    def missed(self, node: str, *, wait: float) -> bool:
        """Something of a node was lost: its snapshot is asked for; False if it is not there.

        Not at once: it is likely to be the first of many.
        """
        if node not in self.there:
            return False
        due = trio.current_time() + wait
        self._incomplete[node] = min(self._incomplete.get(node, math.inf), due)
        return True

    def whole(self, node: str) -> None:
        """The snapshot of a node has come."""
        self._incomplete.pop(node, None)

    def to_ask(self, now: float) -> list[str]:
        """Those to be asked for their snapshot now; they are asked again later."""
        found = [node for node, due in self._incomplete.items() if due <= now]
        self._incomplete.update(dict.fromkeys(found, now + ASK_AGAIN))
        return found

    @property
    def incomplete(self) -> int:
        """How many snapshots are awaited."""
        return len(self._incomplete)

    @property
    def busy(self) -> bool:
        """Whether there is anything to look after, now or later."""
        return bool(self._incomplete or self._lost)

    # --- ours ---------------------------------------------------------------------------------

    def owe(self, node: str, snapshot: Iterator[RosterSnapshot]) -> None:
        """A node lacks our snapshot."""
        self._snapshots[node] = snapshot
        self._lacking.set()

    async def run(self, carrier: Carrier) -> NoReturn:
        """Send snapshots, part by part, until cancelled."""
        while True:
            await self._lacking.wait()
            self._lacking = trio.Event()
            while self._snapshots:
                for node, parts in list(self._snapshots.items()):
                    part = next(parts, None)
                    if part is not None:
                        carrier.send(node, part)
                    else:
                        del self._snapshots[node]
                await trio.sleep(SNAPSHOT_PAUSE)
