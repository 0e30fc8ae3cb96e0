"""Conversations of a database that did not answer when their reader connected.

A session starts with the conversations of the databases that answer. Those of the others are
introduced to it when they can be read again: by a `conv`, and by a `gap` from where the client
left off.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

import trio
from msgspec import Struct

from chat4all_protocol.frames import Conv
from chat4all_storage.ports.errors import StorageError
from chat4all_storage.ports.logical_shards import logical_shard
from chat4all_storage.ports.shard import Replay

from ..messages import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chat4all_storage.ports.shard import Membership

    from ..config import Settings
    from ..conversation.conversations import Conversations

logger = logging.getLogger(__name__)

INTERVAL: Final = 0.25
"""Seconds between two looks at what can be read again."""
AT_ONCE: Final = 8
"""Sessions whose conversations are read at the same time."""
NOTHING_MISSED: Final = Replay(each=0, events=0, size=0)
"""Events are not replayed: the client fetches the gap."""


class Latecomer(Reader, Protocol):
    """A session that does not read all its conversations yet."""

    @property
    def over(self) -> bool:
        """Whether it is closing, or closed."""
        ...

    missing: frozenset[int]
    departures: set[str] | None
    """When not None: conversations that the user leaves are noted here."""


class _Waiting(Struct, eq=False):
    session: Latecomer
    cursors: Mapping[str, int]


class Latecomers:
    """The sessions that wait for a part of their conversations."""

    def __init__(self, conversations: Conversations, settings: Settings) -> None:
        self._conversations = conversations
        self._shards = conversations.storage.shards
        self._settings = settings
        self._waiting: list[_Waiting] = []
        self._wakeup = trio.lowlevel.ParkingLot()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, session: Latecomer, shards: frozenset[int], cursors: Mapping[str, int]) -> None:
        """`session` is to learn of its conversations in these logical shards later."""
        session.missing = shards
        self._waiting.append(_Waiting(session, cursors))
        self._wakeup.unpark()

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Introduce what can be read again, until cancelled."""
        task_status.started()
        while True:
            while not self._waiting:
                await self._wakeup.park()
            readable = self._shards.readable()
            due = [each for each in self._waiting if each.session.missing & readable]
            for start in range(0, len(due), AT_ONCE):
                async with trio.open_nursery() as nursery:
                    for waiting in due[start : start + AT_ONCE]:
                        nursery.start_soon(self._introduce, waiting, readable)
            self._waiting = [
                each for each in self._waiting if each.session.missing and not each.session.over
            ]
            await trio.sleep(INTERVAL)

    async def _introduce(self, waiting: _Waiting, readable: frozenset[int]) -> None:
        session = waiting.session
        session.departures = set()
        try:
            with self._conversations.heads.reading():
                found = await self._shards.resume(
                    session.user,
                    {},
                    shards=session.missing & readable,
                    details=0,
                    replay=NOTHING_MISSED,
                    patience=self._settings.resume_patience,
                )
                ids = [each.conversation for each in found.memberships]
                members = await self._shards.members(ids)
                again: set[int] = set()
                for membership in found.memberships:
                    id_ = membership.conversation
                    if (standing := members.get(id_)) is not None:
                        if self._conversations.unseen(id_, standing[0]):
                            again.add(logical_shard(id_))
                        else:
                            self._enter(waiting, membership, *standing)
                session.missing = session.missing - readable | found.missing | again
        except StorageError as error:
            logger.debug("conversations of %s can't be read yet: %s", session.user, error)
        finally:
            session.departures = None

    def _enter(
        self, waiting: _Waiting, membership: Membership, head: int, names: list[str]
    ) -> None:
        session, id_ = waiting.session, membership.conversation
        departed = session.departures is not None and id_ in session.departures
        if session.over or departed or session.user not in names:
            return
        if self._conversations.read_by(id_, session) is not None:
            return  # somebody has added the user meanwhile
        conversation = self._conversations.enter(id_, head, membership.type, session)
        head = conversation.head
        start = min(waiting.cursors.get(id_, head), head)
        session.entered(
            Conv(
                conv=id_,
                type=membership.type,
                title=membership.title,
                members=names,
                head=start,
            )
        )
        if start < head:
            session.missed(id_, start + 1, head)
