"""All stores of a node, opened together."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio
from msgspec import Struct, field

from .memory.accounts import memory_accounts
from .memory.channels import memory_channels
from .memory.directory import MemoryDirectory
from .memory.files import MemoryFiles
from .memory.log import wall_clock_ms
from .memory.objects import MemoryObjects
from .memory.shard import MemoryShard
from .ports.errors import Rejected, Unavailable
from .ports.events import DEFAULT_RULES
from .ports.logical_shards import default_placement
from .postgres.accounts import postgres_accounts
from .postgres.channels import postgres_channels
from .postgres.connections import with_connection
from .postgres.directory import PostgresDirectory
from .postgres.files import PostgresFiles
from .postgres.identity import Identity, LateOpening, address_of, claim_database, read_identity
from .postgres.migrations import migrate, pending
from .postgres.shard import PostgresShard
from .postgres.webhooks import PostgresWebhooks
from .sharding.shards import Shards

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from .bridge import Bridge
    from .ports.accounts import AccountStores
    from .ports.channels import ChannelStores
    from .ports.directory import Directory
    from .ports.events import Rules
    from .ports.files import Files
    from .ports.objects import ObjectStore
    from .ports.webhooks import Webhooks


logger = logging.getLogger(__name__)


class Storage(Struct, frozen=True):
    """What the node keeps its truth in."""

    directory: Directory
    shards: Shards
    accounts: AccountStores
    files: Files
    webhooks: Webhooks
    channels: ChannelStores
    cluster: str = "memory"
    """The lasting name of the directory's database: what all nodes on it have in common."""
    objects: ObjectStore = field(default_factory=MemoryObjects)
    """The bytes of files."""


def memory_storage(
    databases: int = 1,
    *,
    rules: Rules = DEFAULT_RULES,
    clock_ms: Callable[[], int] = wall_clock_ms,
) -> Storage:
    """Stores in memory, for simulations."""
    shards = [
        MemoryShard(f"memory-{number}", rules=rules, clock_ms=clock_ms)
        for number in range(databases)
    ]
    places = default_placement(databases)
    directory = MemoryDirectory([shards[index].name for index in places], clock_ms=clock_ms)
    return Storage(
        directory,
        Shards(shards, places, directory),
        memory_accounts(directory),
        MemoryFiles(clock_ms, note_ready=shards[0].note_ready),
        directory.webhooks,
        memory_channels(clock_ms, directory.audit),
    )


@asynccontextmanager
async def open_postgres(
    bridge: Bridge,
    dsns: Sequence[str],
    *,
    apply_migrations: bool = True,
    rules: Rules = DEFAULT_RULES,
) -> AsyncIterator[Storage]:
    """Stores in these databases, the first of which is also the directory.

    A further database that can't be reached now is opened when it can be, if it was used before.

    Raises:
        Unavailable: the directory can't be reached, or a database that was never used with it.
        Rejected: a schema does not fit, a database that holds shards is missing, or one belongs to
            another directory (the order of the databases has changed).
    """
    first = await _first_look(bridge, dsns[0], apply_migrations)
    directory = PostgresDirectory(bridge, dsns[0])
    shards: list[PostgresShard] = []
    try:
        found = [_Found(dsns[0], first.name)]
        for dsn in dsns[1:]:
            found.append(await _find(bridge, dsn, directory, first.name, apply_migrations))
        names = [each.name for each in found]
        if len(set(names)) < len(names):
            raise Rejected("the same database is configured twice")
        claim = partial(claim_database, directory=first.name)
        for each in found:
            if not each.away:
                identity = await with_connection(bridge, each.dsn, claim, timeout=10.0)
                identity.check(first.name)  # another node may have come first
        for each in found:
            prepare = None
            if each.away:
                prepare = LateOpening(each.name, first.name, apply_migrations=apply_migrations)
            shards.append(PostgresShard(bridge, each.dsn, each.name, rules=rules, prepare=prepare))
        placement = await directory.place_shards(names)
        await directory.note_databases(
            {each.name: address_of(each.dsn) for each in found if not each.away}
        )
        yield Storage(
            directory,
            Shards(shards, placement, directory),
            postgres_accounts(directory.database),
            PostgresFiles(directory.database),
            PostgresWebhooks(directory.database),
            postgres_channels(directory.database),
            cluster=first.name,
        )
    finally:
        with trio.CancelScope(shield=True):  # bounded: each close has a time-out
            await directory.close()
            for shard in shards:
                await shard.close()


class _Found(Struct, frozen=True):
    """A configured database, as it is found at the start."""

    dsn: str
    name: str
    away: bool = False
    """It can't be reached now; its name is what the directory knows of it."""


async def _find(
    bridge: Bridge, dsn: str, directory: PostgresDirectory, its_name: str, apply_migrations: bool
) -> _Found:
    """A further database, which may be away if it was used before."""
    try:
        identity = await _first_look(bridge, dsn, apply_migrations)
    except Unavailable as error:
        name = await directory.database_at(address_of(dsn))
        if name is None:
            raise
        logger.warning("starting without database %s: %s", name, error)
        return _Found(dsn, name, away=True)
    identity.check(its_name)
    return _Found(dsn, identity.name)


async def _first_look(bridge: Bridge, dsn: str, apply_migrations: bool) -> Identity:
    """A database's identity, after its schema was brought up to date (or found to be so)."""
    if apply_migrations:
        await migrate(bridge, dsn)
    elif missing := await pending(bridge, dsn):
        raise Rejected(f"the schema lacks {', '.join(missing)}; run: chat4all migrate")
    return await with_connection(bridge, dsn, read_identity, timeout=10.0)
