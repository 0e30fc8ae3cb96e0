"""Reads who the members of living conversations are, many at once.

Only a conversation that has something to tell other nodes needs to know. Until the answer is there
it tells all of them.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio

from chat4all_storage.ports import StorageError

from .kernel import ActorStopped, PoolClosed
from .messages import MembersRead

if TYPE_CHECKING:
    from chat4all_storage.ports import ShardStore
    from chat4all_storage.sharding import ShardMap

    from .conversation import ConversationActor
    from .kernel import Pool

logger = logging.getLogger(__name__)

AT_ONCE: Final = 200
RETRY: Final = 1.0


class MemberReader:
    """One reading for each database at a time; what is asked for meanwhile goes into the next."""

    def __init__(self, shards: ShardMap[ShardStore], pool: Pool) -> None:
        self._shards = shards
        self._pool = pool
        self._wanted: dict[str, dict[str, ConversationActor]] = {}
        """By the name of the database, what is asked for; there while it is being read."""

    def read(self, conversation: ConversationActor) -> None:
        """Let the conversation be told its members, soon."""
        store = self._shards.of(conversation.id)
        wanted = self._wanted.get(store.name)
        if wanted is not None:
            wanted[conversation.id] = conversation
            return
        self._wanted[store.name] = {conversation.id: conversation}
        with suppress(PoolClosed):  # all conversations are being stopped
            self._pool.start_soon("members", lambda: self._run(store))

    async def _run(self, store: ShardStore) -> None:
        wanted = self._wanted[store.name]
        try:
            while wanted:
                some = [wanted.pop(id_) for id_ in list(wanted)[:AT_ONCE]]
                await self._read(store, {each.id: each for each in some})
        finally:
            del self._wanted[store.name]

    async def _read(self, store: ShardStore, some: dict[str, ConversationActor]) -> None:
        try:
            found = await store.members(list(some))
        except StorageError as error:
            # Until it succeeds all nodes are told everything, which is only more work.
            logger.debug("members can't be read: %s", error)
            await trio.sleep(RETRY)
            return
        for id_, (head, members) in found.items():
            with suppress(ActorStopped):
                some[id_].reply_nowait(MembersRead(head, members))
