"""All timelines: which events pass on, what is fetched, and the cursors that follow from it.

Durable events wait for the application in a queue of bounded length. When it is full, further
events are not kept but remembered as missing, and fetched when there is room again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from chat4all_protocol.frames import FETCH_LIMIT

from .cursors import Cursors
from .link import CatchUp
from .timeline import Timeline

if TYPE_CHECKING:
    from chat4all_protocol.frames import Conv, ConvState, Error, Msg, Page, Ready

    from .conversations import Conversations

logger = logging.getLogger(__name__)

MAX_CURSORS: Final = 1000
"""Cursors that one `connect` may hold."""
MAX_FETCHES: Final = 4
"""Catch-up fetches on the wire at once."""
RETRY: Final = 1.0
"""Seconds until a fetch that brought nothing is made again; doubled each time, up to 30."""


class History:
    """Where the client and the application stand in every conversation."""

    def __init__(
        self, conversations: Conversations, kept: Cursors | None, event_buffer: int
    ) -> None:
        self._conversations = conversations
        self._buffer = event_buffer
        self._timelines: dict[str, Timeline] = {}
        """Those with the latest activity last."""
        self._behind: dict[str, None] = {}
        """Those that may have something to fetch."""
        self._fetches = 0
        self._handled: dict[str, int] = {}
        self._fresh = kept is None
        self._complete = kept is not None and kept.complete
        self.queued = 0
        """Durable events that wait for the application."""
        self.dirty = False
        """`saved` changed since `save` was called last."""
        if kept is not None:
            for conv, position in kept.positions.items():
                self._timelines[conv] = Timeline(position)
                self._handled[conv] = position

    # --- cursors --------------------------------------------------------------------------------

    def cursors(self) -> dict[str, int]:
        """The cursors for `connect`: the latest conversations."""
        cursors: dict[str, int] = {}
        for conv, timeline in reversed(self._timelines.items()):
            if not (timeline.searching or timeline.closed):
                cursors[conv] = timeline.position
                if len(cursors) == MAX_CURSORS:
                    break
        return cursors

    def save(self) -> Cursors:
        """Where the application stands, to be kept."""
        self.dirty = False
        return Cursors(positions=dict(self._handled), complete=self._complete)

    def handled(self, event: Msg) -> None:
        """The application is done with `event`, and so with all before it."""
        self._stands(event.conv, event.seq)

    def _stands(self, conv: str, seq: int) -> None:
        self._handled.pop(conv, None)
        self._handled[conv] = seq
        self.dirty = True

    # --- connections and membership -------------------------------------------------------------

    def connected(self, ready: Ready, sent: dict[str, int]) -> None:
        """A new connection, opened with the cursors `sent`, is live."""
        for state in ready.convs:
            self._listed(state, sent)
        if ready.more:
            listed = {state.conv for state in ready.convs}
            for conv, timeline in self._timelines.items():
                if conv not in sent and conv not in listed and not timeline.closed:
                    timeline.recheck()
        # Requests that the last connection took with it, and conversations that are still behind.
        self._behind = dict.fromkeys(self._timelines)
        if self._fresh:
            self._fresh = False
            self._complete = not ready.more
            self.dirty = True

    def _listed(self, state: ConvState, sent: dict[str, int]) -> None:
        timeline = self._timelines.get(state.conv)
        if timeline is None:
            if self._fresh:
                self._start(state.conv, state.head)
            elif self._complete:
                self._discover(state.conv, state.type, state.head)
            else:
                # Not among those listed when the client first came: where it stood is not known.
                self._start(state.conv, min(max(state.recv, state.read), state.head), state.head)
        elif timeline.closed:
            timeline.reopen(state.head)
        elif timeline.searching:
            timeline.announce(state.head)
        elif state.head < timeline.position:
            timeline.check(state.head)
        elif state.conv not in sent:
            timeline.announce(state.head)

    def changed(self, conv: Conv) -> None:
        """A conversation was created or changed."""
        timeline = self._timelines.get(conv.conv)
        if conv.left:
            if timeline is not None:
                timeline.close()
        elif timeline is None:
            if self._complete:
                self._discover(conv.conv, conv.type, conv.head)
            else:
                self._start(conv.conv, conv.head)
                self._timelines[conv.conv].tentative = True
        elif timeline.closed:
            timeline.reopen(conv.head)

    def _discover(self, conv: str, type_: str | None, head: int) -> None:
        """A conversation that is new to the user: it begins with the user's membership."""
        if type_ == "private" or head == 0:
            self._start(conv, 0, head)
            return
        timeline = self._timelines[conv] = Timeline(0)
        timeline.search_start(head, self._conversations.user)
        self._behind[conv] = None

    def _start(self, conv: str, position: int, head: int | None = None) -> None:
        self._timelines[conv] = Timeline(position, head)
        self._behind[conv] = None
        self._stands(conv, position)

    # --- events ---------------------------------------------------------------------------------

    @property
    def room(self) -> int:
        """Durable events that may still be queued."""
        return max(0, self._buffer - self.queued)

    def receive(self, event: Msg) -> list[Msg]:
        """An event came; returns those that pass on now."""
        timeline = self._at(event.conv, event.seq)
        searching = timeline.searching
        passed = timeline.receive(event, self.room)
        self._after(event.conv, timeline, passed, searching)
        return passed

    def announce(self, conv: str, first: int, last: int) -> None:
        """Events `first` to `last` exist and may not be pushed."""
        timeline = self._at(conv, first)
        timeline.announce(last)
        self._behind[conv] = None

    def taken(self) -> None:
        """The application took an event from the queue."""
        self.queued -= 1

    def drain(self) -> list[Msg]:
        """What waited for room and passes on now; to be called after `taken`."""
        passed: list[Msg] = []
        if self.room == 1:  # else there was room before, and what could pass did
            for conv in self._behind:
                passed += self._timelines[conv].drain(self.room - len(passed))
            self.queued += len(passed)
        return passed

    def _at(self, conv: str, seq: int) -> Timeline:
        """The timeline in which event `seq` is about to happen."""
        timeline = self._timelines.pop(conv, None)
        if timeline is not None:
            self._timelines[conv] = timeline  # the latest activity goes last
        elif self._complete:
            self._discover(conv, None, seq)
        else:
            self._start(conv, seq - 1)
        return self._timelines[conv]

    def _after(self, conv: str, timeline: Timeline, passed: list[Msg], searching: bool) -> None:
        """Note what became of a timeline after events came."""
        self.queued += len(passed)
        if searching and not timeline.searching:
            self._stands(conv, timeline.position - len(passed))
        if timeline.position < timeline.goal or timeline.bounds() is not None:
            self._behind[conv] = None
        else:
            self._behind.pop(conv, None)

    # --- fetching -------------------------------------------------------------------------------

    def take(self, now: float) -> CatchUp | None:
        """The next fetch to be made now."""
        if not self._behind or self._fetches >= MAX_FETCHES or self.room < FETCH_LIMIT // 2:
            return None
        for conv in list(self._behind):
            timeline = self._timelines[conv]
            bounds = timeline.bounds()
            if bounds is None:
                if timeline.position >= timeline.goal and not timeline.fetching:
                    del self._behind[conv]
            elif timeline.not_before <= now:
                timeline.fetching = True
                self._fetches += 1
                return CatchUp(conv, timeline, *bounds)
        return None

    def next_time(self) -> float:
        """When `take` has something to give, if nothing else happens."""
        if not self._behind or self._fetches >= MAX_FETCHES or self.room < FETCH_LIMIT // 2:
            return float("inf")
        waiting = (self._timelines[conv] for conv in self._behind)
        times = (timeline.not_before for timeline in waiting if timeline.bounds() is not None)
        return min(times, default=float("inf"))

    def page(self, request: CatchUp, page: Page, now: float) -> list[Msg]:
        """The answer to a fetch; returns the events that pass on now."""
        self._fetches -= 1
        timeline = request.timeline
        if timeline.closed:
            return []
        searching = timeline.searching
        passed = timeline.page(request.after, page, self.room)
        if timeline.troubles:
            logger.warning("conversation %s: nothing after %d", request.conv, timeline.position)
            timeline.not_before = now + min(30.0, RETRY * 2.0 ** min(timeline.troubles - 1, 5))
        self._after(request.conv, timeline, passed, searching)
        return passed

    def refused(self, request: CatchUp, error: Error, now: float) -> None:
        """A fetch failed: later again, or never if the user may not read there any more."""
        self._fetches -= 1
        timeline = request.timeline
        timeline.fetching = False
        if error.temporary:
            wait = RETRY if error.retry_after_ms is None else error.retry_after_ms / 1000
            timeline.not_before = now + wait
        else:
            timeline.close()

    def unanswered(self, request: CatchUp) -> None:
        """No answer came: it is to be asked for again."""
        self._fetches -= 1
        request.timeline.fetching = False

    # --- figures --------------------------------------------------------------------------------

    @property
    def catching_up(self) -> int:
        """Conversations with events that are still to be fetched."""
        return sum(
            timeline.position < timeline.goal and not timeline.closed
            for timeline in (self._timelines[conv] for conv in self._behind)
        )
