"""A history, arranged for the rules that look something up in it."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from msgspec import Struct

from tests.faults.history import Acknowledged, Pushed

if TYPE_CHECKING:
    from tests.faults.history import Event, History, Operation, Tables

    Key = tuple[str, str, str]


class Facts(Struct):
    """The history by what the rules look up. Made by `of`."""

    history: History
    tables: Tables
    placed: dict[Key, Event]
    """Where a message stands, if it does."""
    known: dict[str, list[float]]
    """For each seq (from 1) of a log: when somebody first knew that it stands there."""
    known_after: dict[str, list[float]]
    """For each seq (from 0): when somebody first knew of any event after it."""

    @classmethod
    def of(cls, history: History, tables: Tables) -> Facts:
        """The facts of this history."""
        placed = {
            (conversation, event.sender, event.id): event
            for conversation, log in tables.logs.items()
            for event in log
        }
        known = {conversation: [inf] * (len(log) + 1) for conversation, log in tables.logs.items()}

        def note(conversation: str, seq: int, at: float) -> None:
            times = known.get(conversation, [])
            if 0 < seq < len(times) and at < times[seq]:
                times[seq] = at

        for session in history.sessions:
            for frame in session.frames:
                if isinstance(frame, Pushed | Acknowledged):
                    note(frame.conversation, frame.event.seq, frame.at)
        for page in history.pages:
            for event in page.events:
                note(page.conversation, event.seq, page.answered)
        after: dict[str, list[float]] = {}
        for conversation, times in known.items():
            earliest = inf
            column = after[conversation] = [inf] * len(times)
            for seq in range(len(times) - 1, -1, -1):
                column[seq] = earliest
                earliest = min(earliest, times[seq])
        return cls(history, tables, placed, known, after)

    def log(self, conversation: str) -> list[Event]:
        """The log as the table holds it."""
        return self.tables.logs.get(conversation, [])

    def place(self, operation: Operation) -> Event | None:
        """Where an operation's message stands, if it does."""
        return self.placed.get((operation.conversation, operation.sender, operation.id))


def name_of(conversation: str, event: Event) -> str:
    """How an event is called in a violation."""
    return f"{conversation} seq {event.seq} (id {event.id} of {event.sender})"
