"""From what has changed in a database to the events that somebody is told.

Whose events they are is decided when they are told: a user is told what happens in conversations
that it is a member of then, since it came. Whoever has left is told nothing more of it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct

from chat4all_storage.ports.changes import CREATED as CREATION
from chat4all_storage.ports.changes import Failure
from chat4all_storage.ports.shard import Range
from chat4all_storage.sharding import everywhere

from .events import CREATED, DELIVERED, FAILED, FILE_READY, OF_KINDS, READ, Event

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from chat4all_storage.ports.changes import Changed
    from chat4all_storage.ports.events import StoredEvent
    from chat4all_storage.ports.files import File
    from chat4all_storage.ports.shard import Conversation
    from chat4all_storage.storage import Storage

SECONDS: Final = 1000
"""Times here are milliseconds."""
FIRST_LOOK: Final = 2
"""Events that are read to see with which one a commit began: most have one of a conversation."""
CREATED_WITHIN: Final = 60 * SECONDS
"""A conversation that is named without events was created then, else it got another id."""
CLOCKS: Final = 60 * SECONDS
"""What clocks of databases may differ by; what is told again has the same id."""
AT_ONCE: Final = 8
"""Conversations that are read at once."""
PAGE: Final = 1000
"""Conversations of one look for those of a user."""
NEVER: Final = 2**62


class Audience(Struct, frozen=True):
    """Who is told."""

    user: str | None
    """The member whose eyes count; None: everything is seen."""
    types: frozenset[str]
    since: int
    """What happened before is not told."""

    def sees(self, stored: Conversation, seq: int) -> bool:
        """Whether it may be told what has this number."""
        if self.user is None:
            return True
        member = stored.members.get(self.user)
        return member is not None and seq >= member.since


class Placed(Struct, frozen=True):
    """An event, and where in the journal it is."""

    row: int
    entry: int
    """Of the row: its heads, then both watermarks of each that rose, then its file or failure."""
    event: Event


class Circle:
    """The conversations of a user, as the journal tells it; of nobody in particular: all."""

    def __init__(self, storage: Storage, user: str | None) -> None:
        self._storage = storage
        self._user = user
        self._ids: set[str] | None = None

    async def load(self) -> None:
        """Look up all there are. What comes later is in rows that were not taken yet.

        Raises:
            StorageError: not all databases answer.
        """
        if self._user is None or self._ids is not None:
            return
        found: set[str] = set()
        read = partial(everywhere.active, self._storage.shards, NEVER, self._user)
        last: str | None = None
        while page := await read(last, PAGE):
            found.update(each.conversation for each in page)
            last = page[-1].conversation
        self._ids = found

    def take(self, rows: Iterable[Changed]) -> None:
        """Learn where the user came in."""
        if self._ids is not None:
            self._ids.update(
                conversation
                for row in rows
                for conversation, user in row.joined
                if user == self._user
            )

    def has(self, conversation: str) -> bool:
        """Whether the user may be a member; certain is only that it is not."""
        return self._ids is None or conversation in self._ids


class Source:
    """Reads what rows of journals, and ranges of logs, are about."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def of_rows(
        self,
        rows: Collection[Changed],
        audience: Audience,
        circle: Circle,
        known: Mapping[str, int],
    ) -> tuple[list[Placed], dict[str, int]]:
        """The events of these rows, in their order, and how far their conversations come in them.

        `known` has the number up to which events of a conversation were told before.

        Raises:
            StorageError: not all of it can be read now.
        """
        circle.take(rows)
        named = {id_ for row in rows for id_, _ in row.heads if circle.has(id_)}
        named.update(rise.conversation for row in rows for rise in row.rises)
        named.update(row.failure.conversation for row in rows if row.failure is not None)
        stored = await self._conversations(filter(circle.has, named))
        stored = {
            id_: each
            for id_, each in stored.items()
            if audience.user is None or audience.user in each.members
        }
        heads = [(id_, head) for row in rows for id_, head in row.heads if id_ in stored]
        logged, reached = await self._runs(heads, known)
        found: list[Placed] = []
        for row in rows:
            for entry, (id_, head) in enumerate(row.heads):
                if (conversation := stored.get(id_)) is not None:
                    if head == CREATION:
                        events = _created(conversation, row.at, audience)
                    else:
                        events = _logged(conversation, logged.get((id_, head), []), audience)
                    found += [Placed(row.id, entry, event) for event in events]
            entry = len(row.heads)
            for rise in row.rises:
                if (conversation := stored.get(rise.conversation)) is not None:
                    marks = _risen(
                        conversation, rise.user, rise.recv, rise.read, row.at, row.at, audience
                    )
                    found += [
                        Placed(row.id, entry + (event.type == READ), event) for event in marks
                    ]
                entry += 2
            if row.file is not None and (
                event := await self.of_file(row.file.id, row.at, audience)
            ):
                found.append(Placed(row.id, entry, event))
            if row.failure is not None and (conversation := stored.get(row.failure.conversation)):
                failed = _failed(conversation, row.failure, row.at, audience)
                found += [Placed(row.id, entry, event) for event in failed]
        return found, reached

    async def of_range(
        self, conversation: str, after: int, upto: int, audience: Audience, limit: int
    ) -> tuple[list[Event], int]:
        """Events of a log, the first `limit` at most, and up to where these are all there are.

        Raises:
            StorageError: they can't be read now.
        """
        stored = (await self._conversations([conversation])).get(conversation)
        if stored is None:
            return [], upto
        found: list[Event] = []
        if after < CREATION:
            found += _created(stored, stored.created_at, audience)
            after = CREATION
        (events,) = await self._storage.shards.history([Range(conversation, after, upto, limit)])
        found += _logged(stored, events, audience)
        return found, events[-1].seq if len(events) == limit else upto

    async def of_rises(self, conversation: str, since: int, audience: Audience) -> list[Event]:
        """The watermarks of a conversation that rose since a time, as they stand; and failures.

        Raises:
            StorageError: they can't be read now.
        """
        stored = (await self._conversations([conversation])).get(conversation)
        if stored is None:
            return []
        found: list[Event] = []
        for name, member in stored.members.items():
            recv_at, read_at = member.recv_at or 0, member.read_at or 0
            recv = member.recv if recv_at >= since else None
            read = member.read if read_at >= since else None
            found += _risen(stored, name, recv, read, recv_at, read_at, audience)
        # Of another database, with a clock of its own.
        deliveries = self._storage.channels.deliveries
        for each in await deliveries.failures(conversation, since - CLOCKS):
            failure = Failure(each.conversation, each.seq, each.address, each.account, each.reason)
            found += _failed(stored, failure, each.steps[-1].at, audience)
        return sorted(found, key=lambda event: event.at)

    async def of_file(self, id_: str, at: int, audience: Audience) -> Event | None:
        """That a file is ready, if it is (still).

        Raises:
            StorageError: that can't be found out now.
        """
        if FILE_READY not in audience.types or at < audience.since:
            return None
        file: File | None = await self._storage.files.find(id_)
        if file is None or file.state != "ready" or audience.user not in (None, file.owner):
            return None
        return Event(FILE_READY, id_, 1, file.completed_at or at, file=file)

    async def _conversations(self, ids: Iterable[str]) -> dict[str, Conversation]:
        found: dict[str, Conversation] = {}
        limit = trio.CapacityLimiter(AT_ONCE)

        async def read(id_: str) -> None:
            async with limit:
                if (stored := await self._storage.shards.conversation(id_)) is not None:
                    found[id_] = stored

        wanted = list(ids)
        if len(wanted) == 1:
            await read(wanted[0])
            return found
        errors: list[Exception] = []

        async def attempt(id_: str) -> None:
            try:
                await read(id_)
            except Exception as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            for id_ in wanted:
                nursery.start_soon(attempt, id_)
        if errors:
            raise errors[0]
        return found

    async def _runs(
        self, heads: Iterable[tuple[str, int]], known: Mapping[str, int]
    ) -> tuple[dict[tuple[str, int], list[StoredEvent]], dict[str, int]]:
        """The events that each of these commits has stored, by the conversation and the last one.

        And the last one of each conversation.

        Where it is not known with which it began, their time tells: it is the same for all.
        """
        runs: dict[tuple[str, int], list[StoredEvent]] = {}
        open_: dict[tuple[str, int], int] = {}
        starts: dict[tuple[str, int], int | None] = {}
        reached: dict[str, int] = {}
        for id_, head in heads:
            before = reached.get(id_, known.get(id_))
            if head == CREATION:
                continue
            if before is not None and before >= head:
                before = None  # told before, perhaps: it has moved between databases
            starts[id_, head] = before
            open_[id_, head] = FIRST_LOOK if before is None else head - before
            reached[id_] = max(head, reached.get(id_, known.get(id_, 0)))
        while open_:
            asked = list(open_.items())
            ranges = [Range(id_, max(head - size, 0), head, size) for (id_, head), size in asked]
            answers = await self._storage.shards.history(ranges)
            open_ = {}
            for (place, size), events in zip(asked, answers, strict=True):
                if starts[place] is None:
                    if events and events[0].ts == events[-1].ts and events[0].seq > 1:
                        open_[place] = 2 * size
                        continue
                    events = [event for event in events if event.ts == events[-1].ts]
                runs[place] = events
        return runs, reached


def _created(stored: Conversation, at: int, audience: Audience) -> list[Event]:
    if CREATED not in audience.types or abs(at - stored.created_at) > CREATED_WITHIN:
        return []
    if stored.created_at < audience.since or not audience.sees(stored, CREATION):
        return []
    return [Event(CREATED, stored.id, CREATION, stored.created_at, stored)]


def _logged(stored: Conversation, events: Iterable[StoredEvent], audience: Audience) -> list[Event]:
    return [
        Event(OF_KINDS[event.kind], stored.id, event.seq, event.ts, stored, event)
        for event in events
        if OF_KINDS[event.kind] in audience.types
        and event.ts >= audience.since
        and audience.sees(stored, event.seq)
    ]


def _risen(
    stored: Conversation,
    user: str,
    recv: int | None,
    read: int | None,
    recv_at: int,
    read_at: int,
    audience: Audience,
) -> list[Event]:
    marks = ((DELIVERED, recv, recv_at), (READ, read, read_at))
    return [
        Event(type_, stored.id, seq, at, stored, user=user)
        for type_, seq, at in marks
        if seq is not None
        and type_ in audience.types
        and at >= audience.since
        and audience.sees(stored, seq)
    ]


def _failed(stored: Conversation, failure: Failure, at: int, audience: Audience) -> list[Event]:
    if FAILED not in audience.types or at < audience.since:
        return []
    if not audience.sees(stored, failure.seq):
        return []
    seq, user = failure.seq, failure.user
    return [Event(FAILED, stored.id, seq, at, stored, user=user, failure=failure)]
