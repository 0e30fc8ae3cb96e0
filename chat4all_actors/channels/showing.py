"""People on a channel see that somebody here types, and has read what they wrote last.

Best effort, by the node that holds the account and for those who have written since it does: what
happens on other nodes is not shown, and nothing is repeated. Nobody waits for it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NoReturn

import trio

from chat4all_connectors.errors import SendError, Throttled
from chat4all_storage.ports.outbox import is_external

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chat4all_connectors.base import Connector

    from ..conversation.signs import Signs

logger = logging.getLogger(__name__)

SECONDS: Final = 1.0
TYPING_EVERY: Final = 4 * SECONDS
"""Channels show it for 5 s and more after they were told."""
PAUSE: Final = 0.1 * SECONDS
"""After each call: messages come first, and share the provider's limits with these."""
PATIENCE: Final = 5 * SECONDS
"""For a call; what takes longer is of no use any more."""
THROTTLED: Final = 60 * SECONDS
"""Without a call after the provider had too many, if it does not say how long."""
MOST: Final = 10_000
"""Chats that are known; those that were quiet longest go."""


class _Chat:
    """Somebody who wrote in a conversation; see `Watcher`."""

    __slots__ = (
        "_author",
        "_read",
        "_seq",
        "_showing",
        "_typed_at",
        "conversation",
        "id",
        "message",
    )

    def __init__(self, showing: Showing, id_: str) -> None:
        self._showing = showing
        self.id = id_
        self.conversation = self.message = self._author = ""
        self._seq = 0
        self._read = True
        self._typed_at = float("-inf")

    def wrote(self, conversation: str, author: str, message: str, seq: int) -> None:
        """The last message that came from there."""
        self.conversation, self._author = conversation, author
        self.message, self._seq, self._read = message, seq, False

    def composes(self, user: str) -> None:
        """See `Watcher.composes`."""
        now = trio.current_time()
        if self._is_us(user) and now >= self._typed_at + TYPING_EVERY:
            self._typed_at = now
            self._showing.type_in(self)

    def has_read(self, user: str, seq: int) -> None:
        """See `Watcher.has_read`."""
        if self._is_us(user) and seq >= self._seq and not self._read:
            self._read = True
            self._showing.mark(self)

    def _is_us(self, user: str) -> bool:
        return user != self._author and not is_external(user)


class Showing:
    """Of one account, while it is held here."""

    def __init__(self, account: str, connector: Connector, signs: Signs) -> None:
        self._account = account
        self._connector = connector
        self._signs = signs
        self._chats: dict[str, _Chat] = {}
        """Who wrote last is last."""
        self._typing: dict[_Chat, float] = {}
        """In which it is to be shown, and since when."""
        self._reading: dict[_Chat, None] = {}
        self._wake = trio.Event()

    def wrote(self, conversation: str, author: str, chat: str, message: str, seq: int) -> None:
        """A message came from a chat; `author` is whose it is here, `message` the provider's id."""
        known = self._chats.pop(chat, None) or _Chat(self, chat)
        self._chats[chat] = known
        if known.conversation != conversation:
            self._signs.leave(known.conversation, known)
        known.wrote(conversation, author, message, seq)
        self._signs.watch(conversation, known)
        if len(self._chats) > MOST:
            self._forget(next(iter(self._chats)))

    async def run(self) -> NoReturn:
        """Show what is told, until cancelled."""
        try:
            while True:
                self._wake = trio.Event()
                if not self._typing and not self._reading:
                    await self._wake.wait()
                await self._show_next()
                await trio.sleep(PAUSE)
        finally:
            for chat in list(self._chats):
                self._forget(chat)

    # --- for chats

    def type_in(self, chat: _Chat) -> None:
        """Show that somebody types, soon."""
        if self._connector.capabilities.typing is not None:
            self._typing[chat] = trio.current_time()
            self._wake.set()

    def mark(self, chat: _Chat) -> None:
        """Show that the last message was read, soon."""
        if self._connector.capabilities.mark_read:
            self._reading[chat] = None
            self._wake.set()

    # --- its own

    def _forget(self, chat: str) -> None:
        known = self._chats.pop(chat)
        self._signs.leave(known.conversation, known)
        self._typing.pop(known, None)
        self._reading.pop(known, None)

    async def _show_next(self) -> None:
        connector = self._connector
        if self._reading:  # before who types: so they would do it
            chat = next(iter(self._reading))
            del self._reading[chat]
            await self._call(lambda: connector.mark_read(chat.id, chat.message))
            return
        chat, since = next(iter(self._typing.items()))
        del self._typing[chat]
        if trio.current_time() < since + TYPING_EVERY:  # else it is over
            await self._call(lambda: connector.typing(chat.id, chat.message))

    async def _call(self, call: Callable[[], Awaitable[None]]) -> None:
        pause = 0.0
        with trio.move_on_after(PATIENCE):
            try:
                await call()
            except Throttled as error:
                pause = THROTTLED if error.retry_after is None else error.retry_after
            except SendError as error:
                # The class alone: who is affected is nobody's business.
                logger.debug("account %s shows nothing: %s", self._account, type(error).__name__)
        if pause:
            await trio.sleep(pause)
            self._typing.clear()
