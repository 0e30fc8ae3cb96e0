"""What the conversations that are alive here are told of other nodes; `Elsewhere` does it.

None of the methods waits or raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection

    from chat4all_protocol.frames import TypingKind

    from ..messages import Risen


class Rooms(Protocol):
    """What is learnt on either way."""

    def stands(self, conversation: str, seq: int) -> None:
        """Events of the conversation are stored up to `seq`."""

    def introduce(self, conversation: str, seq: int, users: Collection[str]) -> None:
        """These users became members with the event at `seq`, or were from the start (0)."""


class SweptRooms(Rooms, Protocol):
    """What the journal is compared with."""

    def alive(self) -> list[str]:
        """The conversations that are alive here."""
        ...

    def users(self) -> list[str]:
        """The users who have a session here."""
        ...


class ToldRooms(Rooms, Protocol):
    """What the backbone carries besides."""

    def events(
        self, conversation: str, first: int, senders: list[str], frames: list[bytes]
    ) -> None:
        """Consecutive events, `first` and after, were stored through another node."""

    def marks(self, conversation: str, risen: list[Risen]) -> None:
        """Watermarks were written through another node."""

    def composes(self, conversation: str, user: str, kind: TypingKind) -> None:
        """A member is composing on another node."""

    def tells(self, user: str, frame: bytes) -> None:
        """A user is told something, on every session."""
