"""Who shares a conversation with whom, as the databases have it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import trio

from chat4all_storage.ports.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from chat4all_storage.ports.shard import ShardStore

logger = logging.getLogger(__name__)

TIMEOUT: Final = 5.0


async def acquaintances_of(
    stores: Sequence[ShardStore], user: str, others: Collection[str]
) -> tuple[set[str], bool]:
    """Those who share a conversation with `user`, and whether a database did not answer."""
    found: set[str] = set()
    answered = 0

    async def ask(store: ShardStore) -> None:
        nonlocal answered
        try:
            found.update(await store.acquainted(user, others))
        except StorageError as error:
            logger.warning("acquaintances could not be read: %s", error)
        else:
            answered += 1

    with trio.move_on_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            for store in stores:
                nursery.start_soon(ask, store)
    return found, answered < len(stores)
