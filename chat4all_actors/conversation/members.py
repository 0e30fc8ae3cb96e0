"""Reads who the members of living conversations are, many at once.

Only a conversation that has something to tell other nodes needs to know. Until the answer is there
it tells all of them.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

import trio

from chat4all_storage.ports.errors import StorageError
from chat4all_storage.ports.logical_shards import logical_shard

from ..kernel import ActorStopped, PoolClosed
from ..messages import MembersRead

if TYPE_CHECKING:
    from chat4all_storage.sharding.shards import Shards

    from ..kernel import Pool

logger = logging.getLogger(__name__)

AT_ONCE: Final = 200
RETRY: Final = 1.0


class Asking(Protocol):
    """A conversation that wants to know its members."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    def reply_nowait(self, message: MembersRead, /) -> None:
        """Be told. Raises `ActorStopped`."""


class MemberReader:
    """One reading for each logical shard at a time; the next has what is asked for meanwhile."""

    def __init__(self, shards: Shards, pool: Pool) -> None:
        self._shards = shards
        self._pool = pool
        self._wanted: dict[int, dict[str, Asking]] = {}
        """By logical shard, what is asked for; there while it is being read."""

    def read(self, conversation: Asking) -> None:
        """Let the conversation be told its members, soon."""
        shard = logical_shard(conversation.id)
        wanted = self._wanted.get(shard)
        if wanted is not None:
            wanted[conversation.id] = conversation
            return
        self._wanted[shard] = {conversation.id: conversation}
        with suppress(PoolClosed):  # all conversations are being stopped
            self._pool.start_soon("members", lambda: self._run(shard))

    async def _run(self, shard: int) -> None:
        wanted = self._wanted[shard]
        try:
            while wanted:
                some = [wanted.pop(id_) for id_ in list(wanted)[:AT_ONCE]]
                await self._read({each.id: each for each in some})
        finally:
            del self._wanted[shard]

    async def _read(self, some: dict[str, Asking]) -> None:
        try:
            found = await self._shards.members(list(some))
        except StorageError as error:
            # Until it succeeds all nodes are told everything, which is only more work.
            logger.debug("members can't be read: %s", error)
            await trio.sleep(RETRY)
            return
        for id_, (head, members) in found.items():
            with suppress(ActorStopped):
                some[id_].reply_nowait(MembersRead(head, members))
