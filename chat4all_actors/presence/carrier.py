"""What takes to other nodes what they are to know of this one's users."""

from __future__ import annotations

from typing import Protocol, TypeAlias

from .roster import RosterChanges, RosterSnapshot, RosterWanted

RosterItem: TypeAlias = RosterChanges | RosterSnapshot | RosterWanted


class Carrier(Protocol):
    """What takes items to other nodes: best effort, those of one sender in order."""

    def broadcast(self, item: RosterItem) -> None:
        """Tell all other nodes."""

    def send(self, node: str, item: RosterItem) -> None:
        """Tell one."""
