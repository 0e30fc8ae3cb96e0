"""What a conversation reads of its store; it waits until that can be reached.

Nothing can be passed before, and nobody else is kept waiting.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.shard import Range

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chat4all_storage.ports.events import StoredEvent
    from chat4all_storage.ports.shard import Conversation
    from chat4all_storage.sharding.shards import Shards

logger = logging.getLogger(__name__)

A = TypeVar("A")
T = TypeVar("T")

BATCH: Final = 500
RETRY_FIRST: Final = 0.05
RETRY_MAX: Final = 1.0


async def read_events(shards: Shards, id_: str, after: int, upto: int) -> list[StoredEvent]:
    """The events behind `after`, the first `BATCH` of them, up to one that is known to be stored.

    Raises:
        RuntimeError: the store lacks them, which no retry mends.
    """
    (events,) = await _patiently(id_, shards.history, [Range(id_, after, upto, BATCH)])
    if not events:
        raise RuntimeError(f"{id_} lacks what follows {after}, up to {upto}")
    return events


async def read_conversation(shards: Shards, id_: str) -> Conversation:
    """The conversation as it stands now."""
    stored = await _patiently(id_, shards.conversation, id_)
    assert stored is not None  # conversations are never deleted
    return stored


async def _patiently(id_: str, read: Callable[[A], Awaitable[T]], argument: A) -> T:
    delay = RETRY_FIRST
    while True:
        try:
            return await read(argument)
        except Unavailable as error:
            logger.warning("conversation %s waits for its store: %s", id_, error)
            await trio.sleep(delay)
            delay = min(2 * delay, RETRY_MAX)
