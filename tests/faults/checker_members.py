"""Rules 9 to 11: what reaches whom, how soon, and how far members say that they are."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from itertools import accumulate
from math import inf
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from tests.faults.facts import name_of
from tests.faults.history import Announced, Introduced

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.faults.facts import Facts
    from tests.faults.history import Disruption, Event, Session, Watermark

REFUSALS: Final = frozenset({"NOT_FOUND", "RATE_LIMITED", "UNAVAILABLE"})
"""What an outsider may be told: never that there is something."""
SOON: Final = 0.5
"""Seconds that need no excuse."""


# --- 9: nothing leaves the members ----------------------------------------------------------------


def beyond_the_members(facts: Facts) -> Iterator[str]:
    """Nobody else writes in a conversation, or learns anything of it."""
    members = {name: frozenset(users) for name, users in facts.tables.members.items()}

    def outside(conversation: str, user: str) -> bool:
        return user not in members.get(conversation, ())

    for session in facts.history.sessions:
        told = {frame.conversation: type(frame).__name__.lower() for frame in session.frames}
        told |= session.overheard | dict.fromkeys(session.starts, "ready")
        for conversation, what in told.items():
            if outside(conversation, session.user):
                yield f"9: {session.user} is no member of {conversation}, and was told: {what}"
    for page in facts.history.pages:
        if outside(page.conversation, page.user):
            yield f"9: {page.user} is no member of {page.conversation}, and read a page"
    for trespass in facts.history.trespasses:
        if trespass.answer not in REFUSALS and outside(trespass.conversation, trespass.user):
            yield (
                f"9: {trespass.user} is no member of {trespass.conversation},"
                f" and {trespass.request} was answered with {trespass.answer}"
            )
    for conversation, log in facts.tables.logs.items():
        for event in log:
            if outside(conversation, event.sender):
                yield f"9: stored for somebody who is no member: {name_of(conversation, event)}"


# --- 10: what is stored arrives soon --------------------------------------------------------------


class Arrival(Struct, frozen=True):
    """An event that was owed to a session."""

    session: Session
    conversation: str
    event: Event
    since: float
    """When it could arrive: it was stored, the session was there, and no disruption kept it."""
    seconds: float
    """How long it took from then; `inf`: it never came."""


def late(facts: Facts, patience: float) -> Iterator[str]:
    """Who is connected has an event, or is told of the gap, so soon after it was stored."""
    if patience == inf:
        return
    for arrival in arrivals(facts, patience):
        if arrival.seconds > patience:
            session = arrival.session
            came = "never came" if arrival.seconds == inf else f"came {arrival.seconds:.2f} s late"
            yield (
                f"10: session {session.number} of {session.user} on node {session.node}: {came},"
                f" at {arrival.since:.2f}: {name_of(arrival.conversation, arrival.event)}"
            )


def arrivals(facts: Facts, patience: float) -> Iterator[Arrival]:
    """Every event that a session had to get.

    A session that ended before `patience` was over did not have to get what it did not get.
    """
    epoch = facts.history.epoch
    stored = {
        conversation: [event.ts / 1000 - epoch for event in log]
        for conversation, log in facts.tables.logs.items()
    }
    rooms: dict[str, list[str]] = defaultdict(list)
    for conversation, users in facts.tables.members.items():
        for user in users:
            rooms[user].append(conversation)
    disruptions = sorted(facts.history.disruptions, key=lambda each: each.start)
    for session in facts.history.sessions:
        if not session.attentive:
            continue
        seen = _seen(session)
        for conversation in rooms[session.user]:
            start = session.starts.get(conversation, 0)
            log, times = facts.log(conversation), stored.get(conversation, [])
            has = seen.get(conversation, {})
            home = facts.tables.homes.get(conversation)
            concerning = [
                each
                for each in disruptions
                if each.node in (None, session.node) and each.database in (None, home)
            ]
            for event, time in zip(log[start:], times[start:], strict=True):
                since = max(time, session.opened)
                if since > session.ended:
                    break
                at = has.get(event.seq, inf)
                if at - since > SOON:
                    since = _postponed(since, at, patience, concerning)
                if at < inf or since + patience < session.ended:
                    yield Arrival(session, conversation, event, since, max(0.0, at - since))


def _seen(session: Session) -> dict[str, dict[int, float]]:
    """When a session had each event, or was told that there is one that it may fetch."""
    seen: dict[str, dict[int, float]] = defaultdict(dict)
    for frame in session.frames:
        if isinstance(frame, Introduced):
            told = range(1, frame.head + 1)
        elif isinstance(frame, Announced):
            told = range(frame.first, frame.last + 1)
        else:
            told = range(frame.event.seq, frame.event.seq + 1)
        for seq in told:
            seen[frame.conversation].setdefault(seq, frame.at)
    return seen


def _postponed(
    since: float, at: float, patience: float, disruptions: Sequence[Disruption]
) -> float:
    """`since`, or the end of the last of the disruptions that kept it from arriving."""
    for each in disruptions:
        if each.start <= min(at, since + patience) and each.end > since:
            since = each.end
    return since


# --- 11: watermarks -------------------------------------------------------------------------------


class _Told(Struct, frozen=True):
    """Watermarks of one member by time, and the highest up to each."""

    times: list[float]
    recv: list[int]
    read: list[int]

    @classmethod
    def of(cls, marks: Sequence[Watermark]) -> _Told:
        ordered = sorted(marks, key=lambda mark: mark.at)
        return cls(
            [mark.at for mark in ordered],
            [0, *accumulate((mark.recv for mark in ordered), max)],
            [0, *accumulate((mark.read for mark in ordered), max)],
        )

    def before(self, time: float) -> tuple[int, int]:
        count = bisect_left(self.times, time)
        return self.recv[count], self.read[count]

    def until(self, time: float) -> tuple[int, int]:
        count = bisect_right(self.times, time)
        return self.recv[count], self.read[count]


def watermarks(facts: Facts) -> Iterator[str]:
    """They only rise, nobody is told more than the member said, and `read` implies `recv`."""
    claims = _by_member(facts.history.claims)
    told = _by_member(facts.history.watermarks)
    for (conversation, user), marks in told.items():
        who = f"11: {conversation}: {user}"
        claimed = _Told.of(claims.get((conversation, user), ()))
        known = _Told.of(marks)
        for mark in marks:
            if mark.read > mark.recv:
                yield f"{who} is told to have read {mark.read}, but received {mark.recv}"
            recv, read = claimed.until(mark.at)
            if mark.recv > recv or mark.read > read:
                yield f"{who} never said to be at {mark.recv}, {mark.read}"
            recv, read = known.before(-inf if mark.asked is None else mark.asked)
            if mark.recv < recv or mark.read < read:
                yield f"{who} fell back from {recv}, {read} to {mark.recv}, {mark.read}"
        recv, read = facts.tables.watermarks.get((conversation, user), (0, 0))
        highest = known.before(inf)
        if recv < highest[0] or read < highest[1]:
            yield f"{who} was at {highest[0]}, {highest[1]}, but the table says {recv}, {read}"
    for (conversation, user), (recv, read) in facts.tables.watermarks.items():
        if not read <= recv <= facts.tables.heads.get(conversation, 0):
            yield f"11: {conversation}: {user}: the table says {recv}, {read}, beyond what there is"


def _by_member(marks: Sequence[Watermark]) -> dict[tuple[str, str], list[Watermark]]:
    found: dict[tuple[str, str], list[Watermark]] = defaultdict(list)
    for mark in marks:
        found[mark.conversation, mark.user].append(mark)
    return found
