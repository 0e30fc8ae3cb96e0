"""Who may open a WebSocket, and when.

An address has so many at a time and begins so many in a minute; all together begin so many a
second, and those beyond wait for their turn, or are told when to come back.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import trio

from ..limits.admission import Gate, Overloaded
from ..limits.limits import HANDSHAKES
from .http.errors import Refused

if TYPE_CHECKING:
    from ..config import Settings
    from ..limits.limits import Limits
    from .patience import Patience

RETRY_AFTER: Final = 5.0
"""Seconds that a client is told to wait, where nothing says when there will be room."""


class Doorkeeper:
    """Lets in the clients of a node."""

    def __init__(self, settings: Settings, limits: Limits, patience: Patience) -> None:
        self._limits = limits
        self._patience = patience
        self._gate = Gate(
            settings.handshake_rate, settings.handshake_burst, settings.handshake_patience
        )
        self.refused = 0
        """How many were turned away because there were too many."""

    async def let_in(self, address: str) -> None:
        """Wait until a WebSocket of this address may begin; it takes a place until `leave`.

        Raises:
            Refused: it may not, and has no place.
        """
        connections = self._limits.connections
        if not connections.enter(address):
            self.refused += 1
            why = "this address holds as many connections as it may"
            raise Refused(429, why, retry_after=RETRY_AFTER)
        try:
            self._pass_rate(address)
            await self._pass_gate()
        except BaseException:
            connections.leave(address)
            raise

    def leave(self, address: str) -> None:
        """A WebSocket of this address is over."""
        self._limits.connections.leave(address)

    def _pass_rate(self, address: str) -> None:
        if wait := self._limits.take(HANDSHAKES, address):
            self.refused += 1
            why = "too many connections from this address in short time"
            raise Refused(429, why, retry_after=wait)

    async def _pass_gate(self) -> None:
        try:
            wait = self._gate.take()
        except Overloaded as error:
            self.refused += 1
            why = "too many clients are connecting"
            raise Refused(503, why, retry_after=error.retry_after) from error
        if wait:
            with self._patience.limit(math.inf):
                await trio.sleep(wait)
        if self._patience.over:
            raise stopping()


def stopping() -> Refused:
    """What is answered to whom a node that stops does not serve any more."""
    return Refused(503, "this node is stopping", retry_after=RETRY_AFTER)
