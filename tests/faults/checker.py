"""Does a history agree with what the server promises? Pure, and knows nothing of the server.

`check` gives every violation as a sentence; none means that the history is possible. The rules are
numbered as in README.md. Each is linear in the size of the history.
"""

from __future__ import annotations

from collections import defaultdict
from math import inf
from typing import TYPE_CHECKING

from tests.faults.checker_members import beyond_the_members, late, watermarks
from tests.faults.facts import Facts, name_of
from tests.faults.history import Acknowledged, Announced, Introduced

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.faults.history import Attempt, Event, Fetched, History, Operation, Session, Tables

    Logs = Mapping[str, list[Event]]


def check(history: History, tables: Tables, read_back: Logs, *, patience: float = inf) -> list[str]:
    """Every violation. `read_back` are the logs as the API told them at the end.

    `patience`: seconds within which what is stored must arrive where it can.
    """
    found = list(_same(tables.logs, read_back))
    for source, logs in (("table", tables.logs), ("API", read_back)):
        found += _numbered(source, logs)
        found += _once(source, logs)
    for conversation, head in tables.heads.items():
        if head != len(tables.logs.get(conversation, ())):
            found.append(f"1: {conversation}: the head is {head}, the log says otherwise")
    facts = Facts.of(history, tables)
    found += _operations(facts)
    found += _sent_by_somebody(facts)
    found += _real_time(facts)
    found += _pipelines(facts)
    for session in history.sessions:
        found += _session(session, facts)
    for page in history.pages:
        found += _page(page, facts)
    found += _everybody_has_everything(facts)
    found += beyond_the_members(facts)
    found += late(facts, patience)
    found += watermarks(facts)
    return found


def _label(operation: Operation) -> str:
    return f"{operation.conversation} id {operation.id} of {operation.sender}"


# --- 1, 2: the log itself -------------------------------------------------------------------------


def _same(logs: Logs, read_back: Logs) -> Iterator[str]:
    for conversation in logs.keys() | read_back.keys():
        if logs.get(conversation, []) != read_back.get(conversation, []):
            yield f"1: {conversation}: the API does not tell what the table holds"


def _numbered(source: str, logs: Logs) -> Iterator[str]:
    for conversation, log in logs.items():
        for expected, event in enumerate(log, 1):
            if event.seq != expected:
                yield f"1: {source}: {conversation}: seq {event.seq} stands at place {expected}"
                break


def _once(source: str, logs: Logs) -> Iterator[str]:
    for conversation, log in logs.items():
        seen: set[tuple[str, str]] = set()
        for event in log:
            if (event.sender, event.id) in seen:
                yield f"2: {source}: stored again: {name_of(conversation, event)}"
            seen.add((event.sender, event.id))


# --- 3, 4, 5: what was answered is true -----------------------------------------------------------


def _operations(facts: Facts) -> Iterator[str]:
    for operation in facts.history.operations:
        event = facts.place(operation)
        stored = [attempt for attempt in operation.attempts if attempt.seq is not None]
        for attempt in stored:
            if event is None:
                yield f"3: acknowledged at seq {attempt.seq} but not there: {_label(operation)}"
            elif (attempt.seq, attempt.ts) != (event.seq, event.ts):
                yield (
                    f"3: acknowledged at seq {attempt.seq} (ts {attempt.ts}) but stands at"
                    f" {event.seq} (ts {event.ts}): {_label(operation)}"
                )
        if sum(not attempt.dup for attempt in stored) > 1:
            yield f"3: acknowledged as new more than once: {_label(operation)}"
        if event is not None:
            if operation.outcome == "fail":
                yield f"4: refused but stored: {name_of(operation.conversation, event)}"
            if event.text != operation.text:
                yield f"5: stored with another body: {name_of(operation.conversation, event)}"


def _sent_by_somebody(facts: Facts) -> Iterator[str]:
    sent = {(each.conversation, each.sender, each.id): each for each in facts.history.operations}
    for key, event in facts.placed.items():
        operation = sent.get(key)
        if operation is None or not operation.attempts:
            yield f"5: nobody sent {name_of(key[0], event)}"
            continue
        known = facts.known[key[0]]
        at = known[event.seq] if 0 < event.seq < len(known) else inf
        before = [attempt for attempt in operation.attempts if attempt.sent < at]
        if not before:
            yield f"5: seen before it was sent: {name_of(key[0], event)}"
        elif all(attempt.error is not None for attempt in before):
            yield f"4: stored by an attempt that was refused: {name_of(key[0], event)}"


# --- 6: order -------------------------------------------------------------------------------------


def _storing_attempt(operation: Operation) -> Attempt | None:
    """The attempt that surely stored a message that is there, if that can be told."""
    for attempt in operation.attempts:
        if attempt.seq is not None and not attempt.dup:
            return attempt
    possible = [attempt for attempt in operation.attempts if attempt.error is None]
    return possible[0] if len(possible) == 1 else None


def _real_time(facts: Facts) -> Iterator[str]:
    """Whatever was known before a message was sent stands before it."""
    for operation in facts.history.operations:
        event = facts.place(operation)
        possible = [attempt.sent for attempt in operation.attempts if attempt.error is None]
        if event is None or not possible:
            continue
        storing = _storing_attempt(operation)
        sent = min(possible) if storing is None else storing.sent
        after = facts.known_after[operation.conversation]
        if 0 < event.seq < len(after) and after[event.seq] < sent:
            yield (
                f"6: a later seq was known {sent - after[event.seq]:.6f} s before this was sent:"
                f" {name_of(operation.conversation, event)}"
            )


def _pipelines(facts: Facts) -> Iterator[str]:
    """The messages of a session in a conversation are stored in the order sent.

    That holds from one message to a later one when the later one was surely stored by its attempt
    in this session: the earlier one, unless it was refused, had its turn before.
    """
    lanes: dict[tuple[int, str], list[tuple[Attempt, Operation]]] = defaultdict(list)
    for operation in facts.history.operations:
        for attempt in operation.attempts:
            lanes[attempt.session, operation.conversation].append((attempt, operation))
    for (session, conversation), lane in lanes.items():
        lane.sort(key=lambda item: item[0].sent)
        highest, absent = 0, None
        for attempt, operation in lane:
            event = facts.place(operation)
            if event is not None and _storing_attempt(operation) is attempt:
                if event.seq < highest:
                    yield (
                        f"6: session {session} sent it after what stands at seq {highest}:"
                        f" {name_of(conversation, event)}"
                    )
                if absent is not None:
                    yield (
                        f"6: session {session}: stored, but what was sent before is not:"
                        f" {name_of(conversation, event)} after id {absent.id}"
                    )
            if attempt.error is None:
                if event is None:
                    absent = operation
                else:
                    highest = max(highest, event.seq)


# --- 7: what each session received ----------------------------------------------------------------


def _session(session: Session, facts: Facts) -> Iterator[str]:
    positions = dict(session.starts)
    introduced: dict[str, int] = {}
    who = f"7: session {session.number} of {session.user} on {session.device}"
    for frame in session.frames:
        conversation = frame.conversation
        log = facts.log(conversation)
        if isinstance(frame, Introduced):
            introduced[conversation] = positions[conversation] = frame.head
            continue
        position = positions.get(conversation)
        if position is None:
            yield f"{who}: an event of {conversation}, which it was not told of"
            continue
        if isinstance(frame, Announced):
            first, last = frame.first, frame.last
            if last < first or last > len(log):
                yield f"{who}: {conversation}: gap {first}..{last} names no events"
            if last == position == introduced.get(conversation):
                continue  # from the client's cursor to where the conversation was introduced
        else:
            event = frame.event
            first = last = event.seq
            if not 0 < first <= len(log) or log[first - 1] != event:
                yield f"{who}: received what the log does not hold: {name_of(conversation, event)}"
            if isinstance(frame, Acknowledged) and frame.dup and first <= position:
                continue  # the answer to a retry stands outside the order
        if first != position + 1:
            yield f"{who}: {conversation}: seq {first} follows {position} without a gap"
        positions[conversation] = max(position, last)


# --- 8: nobody misses anything --------------------------------------------------------------------


def _page(page: Fetched, facts: Facts) -> Iterator[str]:
    """A page is exactly the range asked for, as it stood, and says truly whether it goes on."""
    log = facts.log(page.conversation)
    count = len(page.events)
    if page.after is not None:
        asked, bound = f"after {page.after}", inf
        first, last = page.after, page.after + count
        wrong_more = page.more and (not count or last >= len(log))
        ended = not page.more
    else:
        asked, bound = "the last", inf
        if page.before is not None:
            asked, bound = f"before {page.before}", page.before - 1
        last = page.events[-1].seq if page.events else 0
        first = last - count
        wrong_more = page.more != (count > 0 and first > 0)
        ended = last < bound
    what = f"8: page of {page.conversation}, {asked}, limit {page.limit}"
    if count > page.limit or first < 0 or last > bound or log[first:last] != page.events:
        yield f"{what}: not the events of that range"
    if wrong_more:
        yield f"{what}: `more` is {page.more}, with events {first + 1}..{last}"
    after = facts.known_after.get(page.conversation, [])
    if ended and last < len(after) and after[last] < page.sent:
        yield f"{what}: ends at {last}, though a later event was known before"


def _everybody_has_everything(facts: Facts) -> Iterator[str]:
    """Over all sessions of a device, and what it fetched of announced gaps: exactly the log."""
    seen: dict[tuple[str, str], dict[str, set[int]]] = {}
    gaps: dict[tuple[str, str], dict[str, set[int]]] = {}
    for session in facts.history.sessions:
        device = (session.user, session.device)
        has = seen.setdefault(device, defaultdict(set))
        told = gaps.setdefault(device, defaultdict(set))
        for frame in session.frames:
            if isinstance(frame, Announced):
                told[frame.conversation].update(range(frame.first, frame.last + 1))
            elif isinstance(frame, Introduced):
                told[frame.conversation].update(range(1, frame.head + 1))
            else:
                has[frame.conversation].add(frame.event.seq)
    for page in facts.history.pages:
        device = (page.user, page.device)
        # What came after the gap meanwhile is in its page, too, and need not be pushed again.
        announced = gaps[device][page.conversation] if device in seen else ()
        if page.after is not None and page.after + 1 in announced:
            seen[device][page.conversation].update(event.seq for event in page.events)
    for (user, name), has in seen.items():
        for conversation, members in facts.tables.members.items():
            if user not in members:
                continue
            missing = [e.seq for e in facts.log(conversation) if e.seq not in has[conversation]]
            if missing:
                yield (
                    f"8: {user} on {name} never saw {len(missing)} events of {conversation},"
                    f" the first is seq {missing[0]}"
                )
