"""Whether every client gets every message of its room once and in order.

A stream is what one speaker writes in one room: numbers 1, 2, 3, … For each stream a client holds
the greatest number that it has received; what was passed over is remembered until it comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


class Streams:
    """All streams, as all clients of one process see them."""

    def __init__(self) -> None:
        self.doubled = 0
        self.reordered = 0
        self._missing: dict[tuple[int, int], set[int]] = {}

    def arrived(
        self, received: list[int], client: int, speaker: int, number: int, *, late: bool = False
    ) -> bool:
        """Note a message; whether it is the first time. `received` is the client's, by speaker.

        `late`: it was announced that it comes after others, so that is no disorder.
        """
        greatest = received[speaker]
        if number == greatest + 1:
            received[speaker] = number
            return True
        if number > greatest:
            missing = self._missing.setdefault((client, speaker), set())
            missing.update(range(greatest + 1, number))
            received[speaker] = number
            return True
        missing = self._missing.get((client, speaker), set())
        if number not in missing:
            self.doubled += 1
            return False
        missing.remove(number)
        if not late:
            self.reordered += 1
        return True

    def lost(
        self,
        received: list[int],
        client: int,
        speaker: int,
        written: int,
        refused: Collection[int] = (),
    ) -> int:
        """How many of the first `written` messages of a stream have not come to this client."""
        absent = self._missing.get((client, speaker))
        tail = range(received[speaker] + 1, written + 1)
        if not absent and not tail:
            return 0
        absent = absent or set()
        not_stored = sum(1 for number in set(refused) if number in absent or number in tail)
        return len(absent) + len(tail) - not_stored
