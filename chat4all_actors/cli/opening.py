"""What several commands open: databases, configured or embedded, files, and the signing key."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from chat4all_storage.bridge import open_bridge
from chat4all_storage.embedded.embedded import EmbeddedError, find_embedded, open_embedded
from chat4all_storage.local.objects import LocalObjects
from chat4all_storage.ports.errors import Rejected, Unavailable
from chat4all_storage.ports.events import Rules
from chat4all_storage.ports.objects import NoSuchObject
from chat4all_storage.storage import Storage, open_postgres

from ..accounts.sealing import Sealing
from ..accounts.tokens import KEY_FILE, MIN_KEY_BYTES, load_or_generate_key
from .main import USAGE, CommandError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_storage.bridge import Bridge
    from chat4all_storage.embedded.embedded import EmbeddedServers
    from chat4all_storage.ports.bus import Bus
    from chat4all_storage.ports.objects import ObjectStore
    from chat4all_storage.ports.tally import Tally

    from ..config import Settings

logger = logging.getLogger(__name__)

SPARE_DESCRIPTORS: Final = 500
"""What a node needs beside its clients' sockets."""
S3_MEND: Final = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and CHAT4ALL_S3_REGION"


class Servers(msgspec.Struct, frozen=True):
    """Where PostgreSQL and Redis are."""

    postgres: list[str]
    """A DSN for each database, the directory's first."""
    redis: str | None
    """None: a single node that does without."""
    embedded: EmbeddedServers | None
    """Those that were started for this, if any were."""


class Opened(msgspec.Struct, frozen=True):
    """What stands ready."""

    bridge: Bridge
    storage: Storage
    redis: str | None
    """Where Redis is; None: a single node that does without."""
    bus: Bus | None
    """The way to other nodes over it, not connected yet."""
    tally: Tally | None
    """What keeps rate limits in step over it, not connected yet."""
    embedded: EmbeddedServers | None
    """The servers that were started for this, if any were."""


@asynccontextmanager
async def open_servers(
    settings: Settings, *, throwaway: bool = False, beside_server: bool = False
) -> AsyncIterator[Servers]:
    """The configured servers; what is not configured is embedded under the data directory.

    Redis is embedded only beside an embedded PostgreSQL or for several workers: a single node
    with a database of its own needs none.

    `beside_server`: use the embedded servers of a server that runs, if one does; the caller can do
    without Redis.

    Raises:
        CommandError: they can't be started.
    """
    postgres, redis = settings.postgres, settings.redis
    data_dir = Path(settings.data_dir)
    if beside_server and not postgres:
        try:
            found = find_embedded(data_dir)
        except OSError as error:
            raise CommandError(f"{data_dir} can't be used: {error.strerror}") from error
        if found is not None and found.postgres_dsn:
            yield Servers([found.postgres_dsn], redis or found.redis_url or None, None)
            return
    wants_redis = redis is None and not beside_server and (not postgres or settings.workers > 1)
    if postgres and not wants_redis:
        yield Servers(postgres, redis, None)
        return
    async with AsyncExitStack() as stack:
        try:
            embedded = await stack.enter_async_context(
                open_embedded(
                    data_dir, postgres=not postgres, redis=wants_redis, throwaway=throwaway
                )
            )
        except EmbeddedError as error:
            raise CommandError(str(error)) from error
        yield Servers(
            postgres or [embedded.postgres_dsn], redis or embedded.redis_url or None, embedded
        )


@asynccontextmanager
async def open_storage(
    settings: Settings, *, throwaway: bool = False, beside_server: bool = False
) -> AsyncIterator[Opened]:
    """The stores in the databases of `open_servers`, whose arguments these are, and of files.

    A command beside a server has nothing to do with the bytes of files: their store is not opened.

    Raises:
        CommandError: something can't be reached or started.
    """
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(
            open_servers(settings, throwaway=throwaway, beside_server=beside_server)
        )
        bridge = await stack.enter_async_context(open_bridge())
        try:
            storage = await stack.enter_async_context(
                open_postgres(
                    bridge,
                    servers.postgres,
                    apply_migrations=settings.migrate,
                    rules=Rules(
                        member_limit=settings.max_members,
                        edit_window=settings.edit_window,
                        delete_window=settings.delete_window,
                    ),
                )
            )
        except Unavailable as error:
            raise CommandError(
                f"PostgreSQL can't be reached: {error}",
                "check --postgres / CHAT4ALL_POSTGRES, or run: chat4all doctor",
            ) from error
        except Rejected as error:
            raise CommandError(f"the database does not fit: {error}", code=USAGE) from error
        if settings.s3_bucket is None:
            storage = replace(storage, objects=local_objects(settings))
        elif not beside_server:
            objects = await stack.enter_async_context(open_bucket(settings))
            storage = replace(storage, objects=objects)
        bus: Bus | None = None
        tally: Tally | None = None
        if servers.redis is not None:
            # Here, because it takes a quarter of the start of a command, and many need none.
            from chat4all_storage.redis.bus import RedisStreams
            from chat4all_storage.redis.tally import RedisTally

            entries = settings.backbone_entries
            bus = RedisStreams(servers.redis, storage.cluster, max_entries=entries)
            stack.push_async_callback(bus.close)
            tally = RedisTally(servers.redis, storage.cluster)
            stack.push_async_callback(tally.close)
        yield Opened(bridge, storage, servers.redis, bus, tally, servers.embedded)


def local_objects(settings: Settings) -> LocalObjects:
    """The store in the data directory, which is made when a file is first kept there.

    The key for its addresses follows from the signing key, which is looked up as late: a command
    that has nothing to do with files needs neither.
    """

    @cache
    def sealing() -> Sealing:
        return Sealing(signing_key(settings))

    root = Path(settings.data_dir) / "files"
    return LocalObjects(root, lambda said: sealing().mac("file addresses", said))


@asynccontextmanager
async def open_bucket(settings: Settings) -> AsyncIterator[ObjectStore]:
    """The store in the configured bucket; one that can't be reached now is used when it can be.

    Raises:
        CommandError: there is no such bucket, or we may not use it.
    """
    # Here, because it takes longer than all else in the start of a command.
    from chat4all_storage.s3.client import Bucket
    from chat4all_storage.s3.objects import open_s3

    bucket = Bucket(settings.s3_bucket or "", settings.s3_endpoint, settings.s3_region)
    async with AsyncExitStack() as stack:
        try:
            objects = await stack.enter_async_context(
                open_s3(
                    bucket,
                    public_endpoint=settings.s3_public_endpoint,
                    timeout=settings.s3_timeout,
                )
            )
            await objects.check()
        except NoSuchObject as error:
            raise CommandError(f"there is no {bucket}", bucket.create_command) from error
        except Rejected as error:
            raise CommandError(f"{bucket} can't be used: {error}", S3_MEND) from error
        except Unavailable as error:
            logger.warning("starting without %s, where files are: %s", bucket, error)
        yield objects


async def watch(embedded: EmbeddedServers | None) -> None:
    """Wait until the servers that were started can no longer be kept, if any were.

    Raises:
        CommandError: they can't.
    """
    if embedded is not None:
        try:
            await embedded.wait_failed()
        except EmbeddedError as error:
            raise CommandError(str(error)) from error


def signing_key(settings: Settings) -> str:
    """The configured key, or the data directory's own.

    Raises:
        CommandError: the data directory can't be written, or what it holds is no key.
    """
    if settings.jwt_key is not None:
        return settings.jwt_key
    try:
        key = load_or_generate_key(Path(settings.data_dir))
    except OSError as error:
        raise CommandError(
            f"the signing key can't be kept in {settings.data_dir}: {error.strerror}",
            "set CHAT4ALL_JWT_KEY, or another --data-dir",
        ) from error
    except UnicodeDecodeError:
        key = ""
    if len(key) < MIN_KEY_BYTES:
        raise CommandError(
            f"{Path(settings.data_dir) / KEY_FILE} holds no key of {MIN_KEY_BYTES} bytes or more",
            "remove it for a new one; tokens that were issued with the old key end with it",
            code=USAGE,
        )
    return key
