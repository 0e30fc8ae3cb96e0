"""Who is composing in one conversation: shown to the others, now and then, never stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import trio

from chat4all_protocol.frames import Composing

from ..wire import framed

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from chat4all_protocol.frames import TypingKind

    from ..messages import Compose, MembersRead, Reader
    from .surroundings import Surroundings

TTL_MS: Final = 6000
INTERVAL: Final = 1.0
"""Seconds in which a user's further `typing` frames are dropped."""
MAX_MEMBERS: Final = 200
"""In a larger group nobody is told who is composing."""


class Room(Protocol):
    """The conversation, as its members compose in it."""

    id: str
    private: bool
    surroundings: Surroundings

    @property
    def readers(self) -> Collection[Reader]:
        """The sessions that read it here."""
        ...

    @property
    def members(self) -> Sequence[str] | None:
        """Names, where they are known."""
        ...

    def reply_nowait(self, message: MembersRead, /) -> None:
        """Be told who the members are."""


class Composers:
    """Of one conversation. Made when the first member composes."""

    __slots__ = ("_room", "_shown")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._shown: dict[str, float] = {}

    def compose(self, wish: Compose) -> bool:
        """Show it, now and then, where the members are few; False where it is nobody's business."""
        room, user = self._room, wish.reader.user
        if wish.reader not in room.readers:
            return False
        if room.members is None and not room.private:
            room.surroundings.read_members(room)  # there may be many; the client says it again
            return False
        if len(room.members or ()) > MAX_MEMBERS:
            return False
        if self._may_show(user):
            show(room.id, room.readers, user, wish.kind)
            room.surroundings.relay.composes(room, user, wish.kind)
            room.surroundings.signs.composes(room.id, user)
        return True

    def _may_show(self, user: str) -> bool:
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
