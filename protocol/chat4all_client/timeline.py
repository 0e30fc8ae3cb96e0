"""One conversation's events in order: what passes on, what waits, what has to be fetched.

Invariants: everything up to `position` was passed on, once; what waits lies above `position + 1`
or found no room; `position < goal` tells that more is known to exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chat4all_protocol.frames import MemberBody

if TYPE_CHECKING:
    from chat4all_protocol.frames import Msg, Page

MAX_WAITING: Final = 200
"""Events of one conversation that are held back behind a hole; further ones are fetched later."""
MAX_SEARCH: Final = 10
"""Pages that are looked through for the place where the user joined."""


class Timeline:
    """Where the client stands in one conversation."""

    __slots__ = (
        "_check",
        "_search",
        "_searched",
        "_seen",
        "_stood",
        "closed",
        "fetching",
        "goal",
        "not_before",
        "position",
        "searching",
        "tentative",
        "troubles",
        "user",
        "waiting",
    )

    def __init__(self, position: int, goal: int | None = None) -> None:
        self.position = position
        """The last `seq` passed on."""
        self.goal = position if goal is None else max(goal, position)
        """The greatest `seq` known to exist."""
        self.waiting: dict[int, Msg] = {}
        self.fetching = False
        self.closed = False
        """The user is no member any more: nothing can be fetched."""
        self.not_before = 0.0
        """When the next fetch may be made."""
        self.troubles = 0
        """Fetches that brought nothing, in a row."""
        self.tentative = False
        """The position is a head that was told before any event: earlier ones may still come."""
        self._check: int | None = None
        self._seen = 0  # the last event that came while the position was in doubt
        self._stood = 0  # the position that is in doubt; events that come meanwhile move on from it
        self.searching = False
        """The place to start from is still looked for."""
        self._search: int | None = None  # it lies below this
        self._searched = 0
        self.user = ""

    # --- events -------------------------------------------------------------------------------

    def receive(self, event: Msg, room: int) -> list[Msg]:
        """Take an event in; returns those that pass on now, at most `room`."""
        if self.closed:
            self.reopen(event.seq - 1)
        seq = event.seq
        if self.tentative:
            self.tentative = False
            self.position = min(self.position, seq - 1)
        self.goal = max(self.goal, seq)
        if self._check is not None:
            self._seen = max(self._seen, seq)
        if seq <= self.position or room <= 0:
            return []
        if self.searching and self._joins(event):
            self._begin_at(seq)
        if seq > self.position + 1 or self.searching:
            if len(self.waiting) < MAX_WAITING:
                self.waiting.setdefault(seq, event)
            return []
        self.waiting.setdefault(seq, event)
        return self.drain(room)

    def drain(self, room: int) -> list[Msg]:
        """What waits and can pass on now, at most `room`."""
        passed: list[Msg] = []
        while len(passed) < room and not self.searching:
            event = self.waiting.pop(self.position + 1, None)
            if event is None:
                break
            self.position += 1
            passed.append(event)
        return passed

    def announce(self, seq: int) -> None:
        """Events up to `seq` exist."""
        self.goal = max(self.goal, seq)

    # --- membership ---------------------------------------------------------------------------

    def close(self) -> None:
        """The user is no member any more."""
        self.closed = True
        self.fetching = False
        self._check = None
        self.searching = False
        self.waiting.clear()
        self.goal = self.position

    def reopen(self, head: int) -> None:
        """The user is a member again, from `head` on."""
        self.closed = False
        self.position = self.goal = max(self.position, head)

    # --- fetching -----------------------------------------------------------------------------

    def search_start(self, head: int, user: str) -> None:
        """Begin where `user` last joined, or at the first event."""
        self.user = user
        self.searching = True
        self.announce(head)

    def check(self, head: int) -> None:
        """The server's `head` is below the position: find out which of the two is right."""
        self._check, self._stood = head, self.position
        self._seen = 0

    def recheck(self) -> None:
        """Ask whether there is anything above the position."""
        self._check = self._stood = self.position
        self._seen = 0

    def bounds(self) -> tuple[int | None, int | None] | None:
        """`after` and `before` of the next fetch; None when nothing is to be fetched."""
        if self.closed or self.fetching:
            return None
        if self.searching:
            return None, self._search
        if self._check is not None:
            return self._check, None
        if self.position < self.goal and self.position + 1 not in self.waiting:
            return self.position, None
        return None

    def page(self, after: int | None, page: Page, room: int) -> list[Msg]:
        """Take the answer to a fetch in; returns the events that pass on now."""
        self.fetching = False
        if after is None:
            if self.searching:
                self._searched_page(page)
            return self.drain(room)
        before = self.position
        checked, self._check = self._check, None
        passed: list[Msg] = []
        for event in page.items:
            passed += self.receive(event, room - len(passed))
        last = page.items[-1].seq if page.items else after
        if page.more:
            self.announce(last + 1)
        if checked is not None and last < self._stood:
            if page.more and last > checked:
                self._check = last
            elif not page.more:
                # The log ends below what had been passed on when it was asked for: the server lost
                # history and counts anew.
                self.position = last
                self.goal = max(last, self._seen)
                self.waiting.clear()
            self.troubles = 0
        elif self.position == before and room > 0 and self.bounds() is not None:
            self.troubles += 1
        else:
            self.troubles = 0
        return passed

    def _searched_page(self, page: Page) -> None:
        self._searched += 1
        for event in reversed(page.items):
            if self._joins(event):
                self._begin_at(event.seq)
                return
        first = page.items[0].seq if page.items else 1
        if page.more and page.items and self._searched < MAX_SEARCH:
            self._search = first
        else:
            self._begin_at(first)

    def _joins(self, event: Msg) -> bool:
        body = event.body
        return event.kind == "join" and isinstance(body, MemberBody) and body.user == self.user

    def _begin_at(self, seq: int) -> None:
        self.searching = False
        self.position = seq - 1
        self.waiting = {key: event for key, event in self.waiting.items() if key >= seq}
