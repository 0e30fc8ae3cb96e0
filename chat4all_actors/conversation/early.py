"""What came before the events before it, and waits for its turn: of other nodes, and of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chat4all_storage.ports.events import Outcome, Status

from ..fanout import Passing
from ..wire import framed, message

if TYPE_CHECKING:
    from chat4all_storage.log.entries import Answer, Entry

    from ..messages import Post, Relayed

CHANGES: Final = ("join", "leave", "change")
"""Kinds of events that change the members or the conversation itself."""


class Early:
    """Of one conversation. Made when the first event waits, or comes from another node."""

    __slots__ = ("_waiting", "answers", "hole", "told")

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[str, bytes]] = {}
        """By seq, the sender and the frame."""
        self.answers: list[tuple[Entry[Post], Answer]] = []
        """Of the log, in order; the first one waits for events before it."""
        self.hole = -1
        """The head behind which something was missing when it was looked at last."""
        self.told: dict[int, bytes] = {}
        """Frames of the answers' events that other nodes were told already, by seq."""

    def __len__(self) -> int:
        """How many events of other nodes wait."""
        return len(self._waiting)

    @property
    def waits(self) -> bool:
        """Whether anything waits, of other nodes or of the log."""
        return bool(self._waiting or self.answers)

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

    def take_untold(self) -> list[tuple[list[Passing], list[str]]]:
        """Runs of consecutive events among the answers that no other node was told yet, and who
        sent them; none after an event that changes who is to be told.
        """
        runs: list[tuple[list[Passing], list[str]]] = []
        last = 0
        for entry, answer in self.answers:
            if not isinstance(answer, Outcome) or answer.status is not Status.STORED:
                continue
            if entry.append.kind in CHANGES:
                break
            if answer.seq in self.told:
                continue
            data = self.told[answer.seq] = framed(message(entry.context.event(answer)))
            if not runs or answer.seq != last + 1:
                runs.append(([], []))
            passing, senders = runs[-1]
            passing.append(Passing(answer.seq, answer.ts, data))
            senders.append(entry.append.sender)
            last = answer.seq
        return runs
