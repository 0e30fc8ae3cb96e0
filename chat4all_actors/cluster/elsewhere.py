"""What happened on other nodes, brought to the conversations that are alive here.

None of it is trusted to be complete or in order: the head of a conversation decides what is new,
and what is missing is read from its store.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio

from chat4all_storage.ports.errors import StorageError
from chat4all_storage.ports.logical_shards import logical_shard

from ..kernel import ActorStopped, PoolClosed
from ..messages import ComposingElsewhere, MembersRead, Relayed, RisenElsewhere
from ..wire import view

if TYPE_CHECKING:
    from collections.abc import Collection

    from chat4all_protocol.frames import TypingKind
    from chat4all_storage.ports.shard import Conversation

    from ..conversation.conversations import Conversations
    from ..messages import Reader, Risen, ToConversation

logger = logging.getLogger(__name__)

RETRY_FIRST: Final = 0.1
RETRY_MAX: Final = 2.0


class Elsewhere:
    """See the module. None of its methods waits or raises."""

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations
        self._introducing: set[tuple[str, str]] = set()
        """Conversations and users whose introduction is under way."""

    def alive(self) -> list[str]:
        """The conversations that are alive here."""
        return self._conversations.alive()

    def users(self) -> list[str]:
        """The users who have a session here."""
        return self._conversations.local.users()

    def stands(self, conversation: str, seq: int) -> None:
        """Events are stored up to `seq`: those that are not passed yet are to be read."""
        actor = self._conversations.get(conversation)
        if actor is None:
            self._conversations.heads.note(conversation, seq)
        else:
            with suppress(ActorStopped, PoolClosed):
                actor.stands(seq)

    def events(
        self, conversation: str, first: int, senders: list[str], frames: list[bytes]
    ) -> None:
        """Consecutive events, `first` and after, were stored through another node."""
        actor = self._conversations.get(conversation)
        if actor is None:
            self._conversations.heads.note(conversation, first + len(frames) - 1)
        else:
            with suppress(ActorStopped, PoolClosed):
                actor.hear(Relayed(first, senders, frames))

    def marks(self, conversation: str, risen: list[Risen]) -> None:
        """Watermarks were written through another node."""
        self._tell(conversation, RisenElsewhere(risen))

    def composes(self, conversation: str, user: str, kind: TypingKind) -> None:
        """A member is composing on another node."""
        self._tell(conversation, ComposingElsewhere(user, kind))

    def tells(self, user: str, frame: bytes) -> None:
        """A user is told something, on every session."""
        self._conversations.local.tell(user, frame)

    def _tell(self, conversation: str, message: ToConversation) -> None:
        actor = self._conversations.get(conversation)
        if actor is not None:
            with suppress(ActorStopped, PoolClosed):
                actor.reply_nowait(message)

    # --- who came in --------------------------------------------------------------------------

    def introduce(self, conversation: str, seq: int, users: Collection[str]) -> None:
        """These users became members with the event at `seq`, or were from the start (0)."""
        actor = self._conversations.get(conversation)
        if actor is not None and actor.head < seq:
            self.stands(conversation, seq)  # it lets them in when it passes the event
            return
        # One that is past it may have come alive later, and never passes it.
        absent = [
            user
            for user in users
            if (conversation, user) not in self._introducing and self._absent(conversation, user)
        ]
        if absent:
            with suppress(PoolClosed):  # all conversations are being stopped
                self._conversations.pool.start_soon(
                    "introduction", lambda: self._introduce(conversation, seq, absent)
                )
                self._introducing.update((conversation, user) for user in absent)

    def _absent(self, conversation: str, user: str) -> list[Reader]:
        """The sessions of the user that do not read the conversation."""
        conversations, shard = self._conversations, logical_shard(conversation)
        return [
            reader
            for reader in conversations.local.of(user)
            if conversations.read_by(conversation, reader) is None
            and shard not in reader.missing  # those are introduced by `latecomers`
        ]

    async def _introduce(self, id_: str, seq: int, users: list[str]) -> None:
        try:
            delay = RETRY_FIRST
            while not await self._try_to_introduce(id_, seq, users):
                await trio.sleep(delay)
                delay = min(2 * delay, RETRY_MAX)
        finally:
            self._introducing.difference_update((id_, user) for user in users)

    async def _try_to_introduce(self, id_: str, seq: int, users: list[str]) -> bool:
        conversations = self._conversations
        with conversations.heads.reading():
            try:
                stored = await conversations.storage.shards.conversation(id_)
            except StorageError as error:
                logger.warning("new members wait for the store of %s: %s", id_, error)
                return False
            if stored is None:
                return True
            actor = conversations.get(id_)
            if actor is not None and actor.head < seq:
                self.stands(id_, seq)
                return True
            if actor is not None and stored.head < actor.changed_at:
                return False  # they may have left since
            for user in users:
                if user in stored.members:
                    self._let_in(stored, seq, user)
        return True

    def _let_in(self, stored: Conversation, seq: int, user: str) -> None:
        """Let the user's sessions in after `seq`: what was stored since, they may fetch."""
        conversations = self._conversations
        for reader in self._absent(stored.id, user):
            actor = conversations.enter(stored.id, stored.head, stored.type, reader)
            actor.take_members(MembersRead(stored.head, list(stored.members)))
            reader.entered(view(stored, head=seq))
            if actor.head > seq:
                reader.missed(stored.id, seq + 1, actor.head)
