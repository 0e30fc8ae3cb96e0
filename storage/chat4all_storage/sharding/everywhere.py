"""Questions that every database has a part of the answer to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from ..ports.errors import StorageError, Unavailable
from ..ports.logical_shards import logical_shard
from ..ports.queries import Portion
from ..ports.shard import Range

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..ports.changes import Activity
    from ..ports.events import StoredEvent
    from ..ports.queries import Found, Listed, Place
    from ..ports.shard import ShardStore
    from .shards import Shards


class _Placed(Protocol):
    @property
    def conversation(self) -> str: ...


PAGE: Final = 100
"""Conversations read at once from each database, where all are wanted."""

LAST_ID: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"

C = TypeVar("C", bound=_Placed)


async def find(shards: Shards, id_: str, reader: str) -> list[Found]:
    """See `Queries.find`; what is found is told even when a database does not answer.

    Raises:
        StorageError: a database does not answer, and the others have nothing.
    """
    found, missing = await _gather(shards, lambda store: store.find(id_, reader))
    if missing is not None and not found:
        raise missing
    return found


async def listing(shards: Shards, user: str, *, before: Place | None, limit: int) -> list[Listed]:
    """See `Queries.listing`; of all databases, or an error.

    Raises:
        StorageError: a database does not answer.
    """
    read: Callable[[ShardStore], Awaitable[Portion[Listed]]] = lambda store: store.listing(  # noqa: E731
        user, before=before, limit=limit
    )
    found, missing = await _gather(shards, read)
    if missing is not None:
        raise missing
    found.sort(key=lambda each: (-each.active_at, each.conversation))
    return found[:limit]


async def conversations_of(shards: Shards, user: str) -> list[Listed]:
    """All conversations of a user, read in pages.

    Raises:
        StorageError: a database does not answer.
    """
    found: dict[str, Listed] = {}
    before: Place | None = None
    while page := await listing(shards, user, before=before, limit=PAGE):
        found.update((each.conversation, each) for each in page)
        before = page[-1].place
    return list(found.values())


async def export(shards: Shards, mine: Listed, after: int, limit: int) -> list[StoredEvent]:
    """The first events after `after` that a member may take with it: those since it came.

    None are left when the answer is empty; what came after `mine` was read is not in it.

    Raises:
        StorageError: the database does not answer.
    """
    wanted = Range(mine.conversation, max(after, mine.since), mine.head, limit)
    return (await shards.history([wanted]))[0]


async def active(
    shards: Shards, since: int, user: str | None, after: str | None, limit: int
) -> list[Activity]:
    """See `ChangesReader.active`; of all databases. None are left when the answer is empty.

    Raises:
        StorageError: a database does not answer.
    """

    async def read(store: ShardStore, _: frozenset[int]) -> Portion[Activity]:
        return Portion(*await store.active(since, user, after=after, limit=limit))

    told = await shards.ask_all(read)
    if told.missing:
        raise told.error or Unavailable("a shard is on the move")
    found: list[Activity] = []
    upto = LAST_ID
    for portion, served in told.answers:
        found += [each for each in portion.items if logical_shard(each.conversation) in served]
        if len(portion.items) == limit:  # it may have more, which come before others then
            upto = min(upto, portion.items[-1].conversation)
    return sorted(
        (each for each in found if each.conversation <= upto), key=lambda each: each.conversation
    )


async def _gather(
    shards: Shards, read: Callable[[ShardStore], Awaitable[Portion[C]]]
) -> tuple[list[C], StorageError | None]:
    """What the databases know, each of the shards that it serves; why any of it is missing."""
    told = await shards.ask_all(lambda store, _: read(store))
    found = [
        each
        for portion, served in told.answers
        for each in portion.items
        if logical_shard(each.conversation) in served
    ]
    if not told.missing:
        return found, None
    return found, told.error or Unavailable("a shard is on the move")
