"""Events of other nodes that came before those before them, and wait for their turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .fanout import Passing

if TYPE_CHECKING:
    from .messages import Relayed


class Early:
    """Of one conversation. Made when the first event of another node comes."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[str, bytes]] = {}
        """By seq, the sender and the frame."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def first(self) -> int:
        """The lowest seq of those that wait."""
        return min(self._waiting)

    def add(self, relayed: Relayed, head: int) -> None:
        """Keep those that were not passed before."""
        for offset, came in enumerate(zip(relayed.senders, relayed.frames, strict=True)):
            if relayed.first + offset > head:
                self._waiting[relayed.first + offset] = came

    def take(self, head: int) -> tuple[list[Passing], list[str]]:
        """Those that follow the head without a hole, and who sent them."""
        passing: list[Passing] = []
        senders: list[str] = []
        while (came := self._waiting.pop(head + len(passing) + 1, None)) is not None:
            sender, frame = came
            passing.append(Passing(head + len(passing) + 1, 0, frame))
            senders.append(sender)
        reached = head + len(passing)
        for seq in [seq for seq in self._waiting if seq <= reached]:
            del self._waiting[seq]  # read from the store meanwhile
        return passing, senders
