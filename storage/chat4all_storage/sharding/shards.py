"""The conversations in all databases, as one store that knows where each of them is.

Reads and creations find their database by the placement, are not kept waiting for one that does
not answer (`breaker`), and follow a logical shard that moves: a store that does not serve it
answers `Moved`, and is never asked for what it may have lost. What is written takes the same way
through `shard_logs`.
"""

from __future__ import annotations

import logging
import math
from functools import partial
from typing import TYPE_CHECKING, Final, Generic, NoReturn, Protocol, TypeVar

import trio
from msgspec import Struct

from ..ports.errors import Moved, StorageError
from ..ports.logical_shards import ALL_SHARDS, logical_shard
from .breaker import Breaker
from .placement import Placement

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from chat4all_protocol.frames import ConversationType

    from ..ports.changes import Failure
    from ..ports.directory import Directory
    from ..ports.events import StoredEvent
    from ..ports.queries import Carrier, Reaction, Receipt, Revision
    from ..ports.shard import (
        Conversation,
        Membership,
        Page,
        Range,
        Replay,
        Resumed,
        ShardStore,
    )

logger = logging.getLogger(__name__)

T = TypeVar("T")

SECONDS: Final = 1.0
POLL_INTERVAL: Final = 1 * SECONDS
"""Between two looks at the placement: an idle node, too, learns where a shard has gone."""
WATCH_INTERVAL: Final = 0.25 * SECONDS
REFRESH_TIMEOUT: Final = 1 * SECONDS
MOVE_RETRIES: Final = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Seconds before each further try for a shard on the move: for a moment it is in neither place."""
PORTION_RETRIES: Final = (0.0, 0.05, 0.0)
"""Likewise when all databases are asked: what a session does not get then comes a little later."""


class Portioned(Protocol):
    """What one database answers, of the logical shards that it serves."""

    @property
    def unserved(self) -> frozenset[int]:
        """Logical shards of which nothing is in the answer."""
        ...


P = TypeVar("P", bound=Portioned)


class Told(Struct, Generic[P], frozen=True):
    """What all databases have answered."""

    answers: list[tuple[P, frozenset[int]]]
    """Each with the logical shards that it is the answer for; what it says of others is old."""
    missing: frozenset[int]
    """The logical shards of which nothing is known now."""
    error: StorageError | None
    """Why a database has not answered, if one has not."""


class Resumption(Struct, frozen=True):
    """What a session starts from, out of the databases that have answered."""

    memberships: list[Membership]
    events: dict[str, list[StoredEvent]]
    missing: frozenset[int]
    """The logical shards of which nothing is known now."""


class Shards:
    """All databases of conversations."""

    def __init__(
        self, stores: Sequence[ShardStore], places: Sequence[int | None], directory: Directory
    ) -> None:
        """Stores, which of them (by index) has each logical shard, and who knows of changes."""
        self.all = tuple(stores)
        self.breakers = tuple(Breaker(store.name) for store in stores)
        self.placement = Placement(places)
        self._directory = directory
        self._by_name = {store.name: index for index, store in enumerate(stores)}
        self._refreshing: trio.Event | None = None

    # --- reading and creating -----------------------------------------------------------------

    async def history(self, ranges: Sequence[Range]) -> list[list[StoredEvent]]:
        """See `ShardStore.history`; the ranges may be of any conversations."""
        return await self._gather(
            [each.conversation for each in ranges],
            lambda store, positions: store.history([ranges[position] for position in positions]),
        )

    async def members(self, conversations: Sequence[str]) -> dict[str, tuple[int, list[str]]]:
        """See `ShardStore.members`; of one moment in each database."""

        async def read(
            store: ShardStore, positions: list[int]
        ) -> list[tuple[int, list[str]] | None]:
            asked = [conversations[position] for position in positions]
            found = await store.members(asked)
            return [found.get(id_) for id_ in asked]

        found = await self._gather(conversations, read)
        return {id_: each for id_, each in zip(conversations, found, strict=True) if each}

    async def page(
        self, conversation: str, reader: str, *, after: int | None, before: int | None, limit: int
    ) -> Page | None:
        """See `ShardStore.page`."""
        return await self._at(
            conversation,
            lambda store: store.page(conversation, reader, after=after, before=before, limit=limit),
        )

    async def resume(
        self,
        user: str,
        cursors: Mapping[str, int],
        *,
        shards: frozenset[int] = ALL_SHARDS,
        details: int,
        replay: Replay,
        patience: float,
    ) -> Resumption:
        """See `ShardStore.resume`: one query to each database that has any of `shards`.

        A database that has not answered after `patience` seconds is left out, and so is one that
        fails; `replay` is what each of them may answer.

        Raises:
            Unavailable: not one of them has answered.
        """

        def read(store: ShardStore, wanted: frozenset[int]) -> Awaitable[Resumed]:
            here = {id_: at for id_, at in cursors.items() if logical_shard(id_) in wanted}
            return store.resume(user, here, details=details, replay=replay)

        told = await self.ask_all(read, shards=shards, patience=patience)
        if told.error is not None and told.missing == shards:
            raise told.error
        memberships: list[Membership] = []
        events: dict[str, list[StoredEvent]] = {}
        for found, served in told.answers:
            memberships += [
                each for each in found.memberships if logical_shard(each.conversation) in served
            ]
            for id_, missed in found.events.items():
                if logical_shard(id_) in served:
                    events[id_] = missed
        memberships.sort(key=lambda each: (-each.active_at, each.conversation))
        return Resumption(memberships, events, told.missing)

    async def ask_all(
        self,
        read: Callable[[ShardStore, frozenset[int]], Awaitable[P]],
        *,
        shards: frozenset[int] = ALL_SHARDS,
        patience: float = math.inf,
    ) -> Told[P]:
        """What every database answers to `read` that has any of the shards, with those; at once.

        Shards that turn out to be served elsewhere are asked for there. A database that fails, or
        has not answered after `patience` seconds, is left out.
        """
        answers: list[tuple[P, frozenset[int]]] = []
        missing = shards
        failed: dict[int, StorageError] = {}

        async def ask(index: int, wanted: frozenset[int]) -> None:
            nonlocal missing
            call = partial(read, self.all[index], wanted)
            try:
                answer = await self.breakers[index].call(call, patience=patience)
            except StorageError as error:
                failed[index] = error
                return
            served = wanted - answer.unserved
            missing -= served
            answers.append((answer, served))

        for delay in PORTION_RETRIES:
            wanted = [
                (index, held & missing)
                for index in range(len(self.all))
                if index not in failed and (held := self.placement.held_by(index)) & missing
            ]
            if len(wanted) == 1:
                await ask(*wanted[0])
            else:
                async with trio.open_nursery() as nursery:
                    for index, held in wanted:
                        nursery.start_soon(ask, index, held)
            if all(self.placement.of(shard) in failed for shard in missing):
                break
            # What was answered with a fence has moved, or is just moving.
            await self.refresh()
            await trio.sleep(delay)
        return Told(answers, missing, next(iter(failed.values()), None))

    async def conversation(self, conversation: str) -> Conversation | None:
        """See `ShardStore.conversation`."""
        return await self._at(conversation, lambda store: store.conversation(conversation))

    async def create(
        self,
        conversation: str,
        type_: ConversationType,
        title: str | None,
        creator: str,
        roles: dict[str, str],
        *,
        metadata: bytes | None = None,
        digest: int = 0,
        trace: bytes | None = None,
    ) -> tuple[Conversation, bool]:
        """See `ShardStore.create`."""
        return await self._at(
            conversation,
            lambda store: store.create(
                conversation,
                type_,
                title,
                creator,
                roles,
                metadata=metadata,
                digest=digest,
                trace=trace,
            ),
            writes=True,
        )

    async def note_failure(self, failure: Failure) -> None:
        """See `ChangesReader.note_failure`."""
        await self._at(failure.conversation, lambda store: store.note_failure(failure), writes=True)

    async def receipts(self, conversation: str, seq: int, reader: str) -> list[Receipt] | None:
        """See `Queries.receipts`."""
        return await self._at(conversation, lambda store: store.receipts(conversation, seq, reader))

    async def revisions(self, conversation: str, seq: int, reader: str) -> list[Revision] | None:
        """See `Queries.revisions`."""
        return await self._at(
            conversation, lambda store: store.revisions(conversation, seq, reader)
        )

    async def reactions(self, conversation: str, seq: int, limit: int) -> list[Reaction]:
        """See `Queries.reactions`."""
        return await self._at(conversation, lambda store: store.reactions(conversation, seq, limit))

    async def carrying(
        self, carriers: Sequence[Carrier], reader: str | None
    ) -> dict[Carrier, list[bytes]]:
        """See `Queries.carrying`; or an error, if a database does not answer."""

        async def read(store: ShardStore, positions: list[int]) -> list[list[bytes]]:
            asked = [carriers[position] for position in positions]
            found = await store.carrying(asked, reader)
            return [found.get(carrier, []) for carrier in asked]

        found = await self._gather([conversation for conversation, _ in carriers], read)
        return {carrier: bodies for carrier, bodies in zip(carriers, found, strict=True) if bodies}

    async def _at(
        self,
        conversation: str,
        fn: Callable[[ShardStore], Awaitable[T]],
        *,
        writes: bool = False,
    ) -> T:
        """What `fn` returns for the store that has the conversation."""

        async def run() -> T:
            index = self._index(conversation)
            return await self.breakers[index].call(partial(fn, self.all[index]), writes=writes)

        return await self._following(run)

    async def _gather(
        self,
        conversations: Sequence[str],
        fn: Callable[[ShardStore, list[int]], Awaitable[list[T]]],
    ) -> list[T]:
        """What `fn` returns for the positions in each database, in one list."""
        found: dict[int, T] = {}

        async def run() -> None:
            rest = [position for position in range(len(conversations)) if position not in found]
            for group in self.split([conversations[position] for position in rest]):
                positions = [rest[each] for each in group]
                index = self._index(conversations[positions[0]])
                read = partial(fn, self.all[index], positions)
                found.update(zip(positions, await self.breakers[index].call(read), strict=True))

        await self._following(run)
        return [found[position] for position in range(len(conversations))]

    async def _following(self, fn: Callable[[], Awaitable[T]]) -> T:
        """What `fn` returns, tried again for a while when a shard turns out to have moved."""
        for delay in MOVE_RETRIES:
            try:
                return await fn()
            except Moved:
                await self.refresh()
                await trio.sleep(delay)
        return await fn()

    # --- where everything is ------------------------------------------------------------------

    def of(self, conversation: str) -> ShardStore:
        """The store of the database that has the conversation.

        Raises:
            Unavailable: this node was not told of that database.
        """
        return self.all[self._index(conversation)]

    def split(self, conversations: Sequence[str]) -> list[list[int]]:
        """The positions in `conversations` that are together in one database."""
        places: dict[int | None, list[int]] = {}
        for position, conversation in enumerate(conversations):
            index = self.placement.of(logical_shard(conversation))
            places.setdefault(index, []).append(position)
        return list(places.values())

    def _index(self, conversation: str) -> int:
        return self.placement.require(logical_shard(conversation))

    async def refresh(self) -> None:
        """Ask the directory where the shards are now; if it does not answer, nothing is new."""
        if self._refreshing is not None:
            await self._refreshing.wait()
            return
        self._refreshing = done = trio.Event()
        try:
            with trio.move_on_after(REFRESH_TIMEOUT):
                names = await self._directory.placement()
                if self.placement.update([self._by_name.get(name) for name in names]):
                    logger.info("logical shards have moved")
        except StorageError as error:
            logger.debug("the placement can't be read: %s", error)
        finally:
            self._refreshing = None
            done.set()

    # --- looking after it ---------------------------------------------------------------------

    def readable(self) -> frozenset[int]:
        """The logical shards whose database is not known to be out of reach."""
        return frozenset(
            shard
            for shard in ALL_SHARDS
            if (index := self.placement.of(shard)) is not None and not self.breakers[index].open
        )

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Watch the databases and the placement, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._poll)
            for store, breaker in zip(self.all, self.breakers, strict=True):
                nursery.start_soon(_watch, store, breaker)
            task_status.started()
        raise AssertionError("only a cancel ends the nursery")

    async def _poll(self) -> None:
        while True:
            await trio.sleep(POLL_INTERVAL)
            await self.refresh()


async def _watch(store: ShardStore, breaker: Breaker) -> None:
    while True:
        await trio.sleep(WATCH_INTERVAL)
        await breaker.watch(lambda: store.history([]))
