"""Messages that are to be sent: each is kept until it is answered for good.

A conversation's messages form a lane, answered in the order they were put in. With a `pipeline` of
1 (the default) a lane has one message on the wire, so nothing can overtake. With more, messages
follow each other without waiting; when one is refused for a time or gets no answer, those already
on the wire behind it may be stored before it, and the lane goes on one at a time until it is
answered. A lost connection does not change the order: all that is unanswered is sent again, in
order.

Invariant: `_open` holds exactly the lanes whose next message may be put on the wire, apart from
those in `_delays`, which wait for a time.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING

from msgspec.structs import replace

from chat4all_protocol.codes import ErrorCode

from .backoff import full_jitter
from .errors import ClientError, SendRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from chat4all_protocol.frames import AnyClientFrame, Error, Sent

    from .checks import Posted


class Entry:
    """One message and how far it has come."""

    __slots__ = ("conv", "done", "frame", "id", "not_before", "on_wire", "tried", "troubles")

    def __init__(self, frame: Posted, done: Callable[[Sent | ClientError], None]) -> None:
        self.conv = frame.conv
        self.id = frame.id
        self.frame = frame
        """To be sent with a new `rid` each time."""
        self.done = done
        """Called once, with the answer."""
        self.on_wire = False
        self.tried = False
        """It was put on the wire at least once: it may be stored already."""
        self.troubles = 0
        """How often it was refused for a time or left without an answer on a live connection."""
        self.not_before = 0.0

    def with_rid(self, rid: int) -> AnyClientFrame:
        """The frame for the wire."""
        return replace(self.frame, rid=rid)


class Outbox:
    """All messages without a final answer."""

    def __init__(self, *, pipeline: int, random: Callable[[], float]) -> None:
        self._pipeline = pipeline
        self._random = random
        self._lanes: dict[str, deque[Entry]] = {}
        self._entries: dict[tuple[str, str], Entry] = {}
        self._open: dict[str, None] = {}
        self._delays: list[tuple[float, str]] = []
        self._paused_until = 0.0
        self.on_wire = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        """Put a message in, behind the others of its conversation.

        Raises:
            ValueError: its id waits in this conversation already.
        """
        key = (entry.conv, entry.id)
        if key in self._entries:
            raise ValueError(f"message {entry.id} is being sent already")
        self._entries[key] = entry
        self._lanes.setdefault(entry.conv, deque()).append(entry)
        self._look(entry.conv, 0.0)

    def find(self, conv: str, id_: str) -> Entry | None:
        """The message of this id, if it waits."""
        return self._entries.get((conv, id_))

    def take(self, now: float) -> Entry | None:
        """The next message to be put on the wire now, lanes in turn; it counts as sent."""
        if now < self._paused_until:
            return None
        while self._delays and self._delays[0][0] <= now:
            self._look(heapq.heappop(self._delays)[1], now)
        if not self._open:
            return None
        conv = next(iter(self._open))
        del self._open[conv]
        entry = next(entry for entry in self._lanes[conv] if not entry.on_wire)
        entry.on_wire = entry.tried = True
        self.on_wire += 1
        self._look(conv, now)
        return entry

    def next_time(self) -> float:
        """When `take` may give a message that it does not give now, if nothing else happens."""
        if self._open:
            return self._paused_until
        return max(self._delays[0][0], self._paused_until) if self._delays else float("inf")

    def sent(self, answer: Sent, now: float) -> Entry | None:
        """The message is stored: forget it. None if it was not known any more."""
        entry = self._entries.get((answer.conv, answer.id))
        if entry is not None:
            self._drop(entry, now)
            entry.done(answer)
        return entry

    def refused(self, entry: Entry, error: Error, now: float) -> None:
        """The server did not store the message: give it up, or keep it for later."""
        if not self._holds(entry):
            return  # an earlier attempt was answered after all
        if not error.temporary:
            self._drop(entry, now)
            entry.done(SendRefused(error.code, error.message, error.field))
            return
        if error.retry_after_ms is not None:
            wait = error.retry_after_ms / 1000
        else:
            wait = full_jitter(entry.troubles, self._random)
        entry.troubles += 1
        entry.not_before = now + wait
        if error.code == ErrorCode.RATE_LIMITED:
            # The limit is the user's: any other message would be refused, too.
            self._paused_until = max(self._paused_until, entry.not_before)
        self._off_wire(entry, now)

    def unanswered(self, entry: Entry, now: float) -> None:
        """No answer in time on a live connection."""
        if not self._holds(entry):
            return
        entry.troubles += 1
        self._off_wire(entry, now)

    def disconnected(self, now: float) -> None:
        """What was on the wire has no answer and will be sent again, in order."""
        for entry in self._entries.values():
            entry.on_wire = False
        self.on_wire = 0
        for conv in self._lanes:
            self._look(conv, now)

    def withdraw(self, entry: Entry, now: float) -> bool:
        """Take out a message that was never put on the wire; False if it was."""
        if entry.tried:
            return False
        self._drop(entry, now)
        return True

    def fail(self, error: ClientError) -> None:
        """Nothing will be sent any more."""
        entries = list(self._entries.values())
        for kept in (self._entries, self._lanes, self._open, self._delays):
            kept.clear()
        self.on_wire = 0
        for entry in entries:
            entry.done(error)

    def _holds(self, entry: Entry) -> bool:
        return self._entries.get((entry.conv, entry.id)) is entry

    def _off_wire(self, entry: Entry, now: float) -> None:
        if entry.on_wire:
            entry.on_wire = False
            self.on_wire -= 1
        self._look(entry.conv, now)

    def _drop(self, entry: Entry, now: float) -> None:
        del self._entries[entry.conv, entry.id]
        lane = self._lanes[entry.conv]
        lane.remove(entry)
        if not lane:
            del self._lanes[entry.conv]
        self._off_wire(entry, now)

    def _look(self, conv: str, now: float) -> None:
        """Find out whether the lane's next message may go."""
        self._open.pop(conv, None)
        window = self._pipeline
        on_wire = 0
        waiting: Entry | None = None
        for entry in self._lanes.get(conv, ()):
            if entry.troubles:
                window = 1
            if entry.on_wire:
                on_wire += 1
            elif waiting is None:
                waiting = entry
            if waiting is not None and on_wire >= window:
                break
        if waiting is None or on_wire >= window:
            return
        if waiting.not_before > now:
            heapq.heappush(self._delays, (waiting.not_before, conv))
        else:
            self._open[conv] = None
