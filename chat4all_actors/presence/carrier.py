"""What nodes tell each other of their users, and the port to what takes it there."""

from __future__ import annotations

from typing import Protocol, TypeAlias

from msgspec import Struct


class UserState(Struct, frozen=True, array_like=True, gc=False):
    """All that the teller's node knows of one user."""

    user: str
    devices: dict[str, int]
    """The birth of the session on each: microseconds by the directory's clock. None: not there."""
    active: bool = False
    """Somebody is in front of one of them."""
    invisible: bool = False
    """The user's setting, as the directory had it at `read_at` (microseconds by its clock)."""
    read_at: int = 0


class RosterChanges(Struct, frozen=True, array_like=True, tag="roster"):
    """These users' states have changed."""

    users: list[UserState]


class RosterSnapshot(Struct, frozen=True, array_like=True, tag="snapshot"):
    """A part of all there is; who is in no part, from the first to the last, is not there.

    Changes may be told in between, and count as told in the parts.
    """

    users: list[UserState]
    first: bool
    last: bool


class RosterWanted(Struct, frozen=True, array_like=True, tag="roster_wanted"):
    """The teller lacks the receiver's snapshot."""


RosterItem: TypeAlias = RosterChanges | RosterSnapshot | RosterWanted


class Carrier(Protocol):
    """What takes items to other nodes: best effort, those of one sender in order."""

    def broadcast(self, item: RosterItem) -> None:
        """Tell all other nodes."""

    def send(self, node: str, item: RosterItem) -> None:
        """Tell one."""
