"""A node with all that it needs, from its start to its drain."""

from __future__ import annotations

import logging
import resource
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio
from msgspec import Struct
from msgspec.structs import replace

from ..garbage import GarbageCollection
from ..node import Node
from .announcing import announced
from .listening import check_names, open_doors, tls_context, url_of
from .opening import SPARE_DESCRIPTORS, open_storage, signing_key, watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_storage.storage import Storage

    from ..config import Settings
    from .listening import Doors

logger = logging.getLogger(__name__)


def fit_to_limits(settings: Settings) -> Settings:
    """Raise the process's limit of descriptors, and admit no more clients than it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.max_connections + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if soft < wanted:
            room = max(1, soft - SPARE_DESCRIPTORS)
            logger.warning("the limit of %d descriptors leaves room for %d clients", soft, room)
            return replace(settings, max_connections=room)
    return settings


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        CommandError: it can't start, or an embedded server gave up.
    """
    # Whoever asks for a rolling restart does not want a stop.
    with trio.open_signal_receiver(signal.SIGHUP) as hangups:
        async with open_node(settings) as running, trio.open_nursery() as nursery:
            nursery.start_soon(_stay, hangups)
            with announced(settings, running.url):
                # Whoever reads the line may send a signal at once.
                with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                    print(f"listening on {running.url}", flush=True)
                    async for number in signals:
                        logger.info("%s: draining", signal.Signals(number).name)
                        break
                await running.node.drain()
            nursery.cancel_scope.cancel()


async def _stay(hangups: AsyncIterator[int]) -> None:
    async for _ in hangups:
        logger.warning("SIGHUP: a single worker can't be restarted without a stop; see --workers")


class Running(Struct, frozen=True):
    """A node that accepts work."""

    node: Node
    storage: Storage
    url: str


@asynccontextmanager
async def open_node(
    settings: Settings, *, doors: Doors | None = None, throwaway: bool = False
) -> AsyncIterator[Running]:
    """A node that accepts work; it is stopped when the block is left.

    It listens on `doors`, else on what the settings say.

    Raises:
        CommandError: it can't start, or an embedded server gave up.
    """
    tls = tls_context(settings)
    check_names(settings)
    # Here, as connectors take a tenth of a second to import; commands without a node need none.
    from ..channels.configuring import accounts_of

    accounts = accounts_of(settings)
    if doors is None:
        (doors,) = open_doors(settings)
    try:
        async with open_storage(settings, throwaway=throwaway) as opened:
            node = Node(
                settings,
                opened.storage,
                jwt_key=signing_key(settings),
                listeners=doors.public,
                admin_listeners=doors.admin,
                bus=opened.bus,
                tally=opened.tally,
                tls=tls,
                accounts=accounts,
            )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch, opened.embedded)
                # The bridge, the pools and all code are there for good: no collection need look.
                await nursery.start(GarbageCollection().run)
                await nursery.start(node.run)
                yield Running(node, opened.storage, url_of(settings, doors))
                nursery.cancel_scope.cancel()
    finally:
        doors.close()
