"""Requests that the application waits for: `fetch`, `create`, `info`, `mode`."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from msgspec.structs import replace

from .backoff import full_jitter
from .errors import ClientError, OutcomeUnknown, RequestRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from chat4all_protocol.frames import (
        AnyClientFrame,
        Conv,
        Create,
        Error,
        Fetch,
        Info,
        Mode,
        Ok,
        Page,
    )


class Call:
    """One request, sent again until it is answered."""

    __slots__ = ("cancelled", "done", "frame", "not_before", "repeatable", "troubles")

    def __init__(
        self,
        frame: Fetch | Create | Info | Mode,
        done: Callable[[Page | Conv | Ok | ClientError], None],
        *,
        repeatable: bool,
    ) -> None:
        self.frame = frame
        self.done = done
        """Called once, with the answer."""
        self.repeatable = repeatable
        """Doing it twice is no different from doing it once."""
        self.cancelled = False
        self.not_before = 0.0
        self.troubles = 0

    def with_rid(self, rid: int) -> AnyClientFrame:
        """The frame for the wire."""
        return replace(self.frame, rid=rid)


class Calls:
    """The requests that are not on the wire."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._queue: deque[Call] = deque()

    def add(self, call: Call) -> None:
        """Ask for it as soon as possible."""
        self._queue.append(call)

    def take(self, now: float) -> Call | None:
        """The next request to be put on the wire now."""
        for call in list(self._queue):
            if call.cancelled:
                self._queue.remove(call)
            elif call.not_before <= now:
                self._queue.remove(call)
                return call
        return None

    def next_time(self) -> float:
        """When `take` has something to give."""
        return min((call.not_before for call in self._queue), default=float("inf"))

    def refused(self, call: Call, error: Error, now: float) -> None:
        """Nothing was done: give it up, or ask again later."""
        if not error.temporary:
            call.done(RequestRefused(error.code, error.message, error.field))
            return
        wait = full_jitter(call.troubles, self._random)
        if error.retry_after_ms is not None:
            wait = error.retry_after_ms / 1000
        call.troubles += 1
        call.not_before = now + wait
        self._queue.append(call)

    def unanswered(self, call: Call) -> None:
        """The answer did not come in time, or the connection broke."""
        if call.repeatable:
            self._queue.appendleft(call)
        else:
            call.done(
                OutcomeUnknown("no answer came; look whether it was done before trying again")
            )

    def fail(self, error: ClientError) -> None:
        """Nothing will be asked any more."""
        while self._queue:
            self._queue.popleft().done(error)
