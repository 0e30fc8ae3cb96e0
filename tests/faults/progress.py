"""How far a run has come, and waiting for it: nothing in a run waits for time to pass."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.history import Attempt


class Progress:
    """What was acknowledged."""

    def __init__(self) -> None:
        self.heads: dict[str, int] = defaultdict(int)
        """The last seq that was acknowledged in each conversation."""
        self.fresh = 0
        """Messages that were sent and acknowledged since the last `restart`."""
        self.sent: dict[str, float] = {}
        """When the last message was sent that was acknowledged, by conversation."""
        self._since = 0.0
        self._waiting = trio.lowlevel.ParkingLot()

    def acknowledged(self, attempt: Attempt, conversation: str) -> None:
        """A message was."""
        assert attempt.seq is not None
        self.heads[conversation] = max(self.heads[conversation], attempt.seq)
        self.sent[conversation] = max(self.sent.get(conversation, 0.0), attempt.sent)
        if attempt.sent > self._since:
            self.fresh += 1
        self.changed()

    def restart(self) -> None:
        """Count anew: a fault has happened."""
        self._since = trio.current_time()
        self.fresh = 0

    def changed(self) -> None:
        """Anything else happened: who waits looks again."""
        self._waiting.unpark_all()

    async def reach(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition()`."""
        while not condition():
            await self._waiting.park()
