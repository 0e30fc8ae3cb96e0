"""Who is composing in one conversation: shown to the others, now and then, never stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from chat4all_protocol.frames import Composing

from ..wire import framed

if TYPE_CHECKING:
    from collections.abc import Collection

    from chat4all_protocol.frames import TypingKind

    from ..fanout import Reader

TTL_MS: Final = 6000
INTERVAL: Final = 1.0
"""Seconds in which a user's further `typing` frames are dropped."""
MAX_MEMBERS: Final = 200
"""In a larger group nobody is told who is composing."""


class Composers:
    """Of one conversation. Made when the first member composes."""

    __slots__ = ("_shown",)

    def __init__(self) -> None:
        self._shown: dict[str, float] = {}

    def may_show(self, user: str) -> bool:
        """Whether the others are to be told again; counts as told then."""
        now = trio.current_time()
        self._shown = {name: at for name, at in self._shown.items() if at > now - INTERVAL}
        if user in self._shown:
            return False
        self._shown[user] = now
        return True


def show(conversation: str, readers: Collection[Reader], user: str, kind: TypingKind) -> None:
    """Tell the readers, except those of the same user."""
    data = framed(Composing(conv=conversation, user=user, kind=kind, ttl=TTL_MS))
    for reader in readers:
        if reader.user != user:
            reader.deliver_passing(data)
