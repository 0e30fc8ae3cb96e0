"""What a conversation tells the other nodes: the port.

All of it is best effort and never waits. What must arrive is in the shard's journal, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from chat4all_protocol.frames import TypingKind
    from chat4all_storage.ports.shard import Conversation

    from ..messages import Passing, Risen


class Room(Protocol):
    """A conversation, as it is told of."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def members(self) -> Collection[str] | None:
        """The names of its members; None: not known here yet."""
        ...


class Relay(Protocol):
    """The way to the other nodes on which members of a conversation are."""

    @property
    def alone(self) -> bool:
        """Whether there is no other node to tell anything."""
        ...

    @property
    def hears(self) -> bool:
        """Whether other nodes, of which there are some, can tell now what they have stored."""
        ...

    def events(self, room: Room, events: Sequence[Passing]) -> None:
        """Consecutive events were stored through this node; none of them changes the members."""

    def changed(self, room: Room, seq: int, user: str | None, *, joined: bool) -> None:
        """A user has joined, or left, with the event at `seq`; without one, settings changed."""

    def created(self, conversation: Conversation) -> None:
        """A conversation was created through this node."""

    def marks(self, room: Room, risen: Sequence[Risen]) -> None:
        """Watermarks of members have risen."""

    def composes(self, room: Room, user: str, kind: TypingKind) -> None:
        """A member is composing."""
