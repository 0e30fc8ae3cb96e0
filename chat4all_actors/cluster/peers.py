"""The other nodes: who lives, judged by whether their beats go on. No I/O, and no clock but ours.

A node counts as lost when its beat has not changed for `LOST_AFTER` by our own clock: no clocks
are compared. While the bus itself is away nobody's beats can be seen, so nobody is judged.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

SECONDS: Final = 1.0
LOST_AFTER: Final = 5 * SECONDS
FORGOTTEN_AFTER: Final = 60 * SECONDS
"""Then what a lost node has on the bus is removed."""


class _Peer(Struct):
    beat: bytes | None
    changed_at: float
    living: bool
    received: int = 0
    """The number of its last entry to us."""
    left: bool = False
    """It has said that it leaves: a last beat that is seen afterwards is an old one."""


class Changes(Struct, frozen=True):
    """What a look at the beats has shown."""

    joined: list[str]
    lost: list[str]
    forgotten: list[tuple[str, bytes]]
    """Lost for long, with their last beats."""


class Peers:
    """What this node knows of the others."""

    def __init__(self, own: str) -> None:
        self._own = own
        self._peers: dict[str, _Peer] = {}
        self.living: tuple[str, ...] = ()
        """Names of the nodes to tell things."""

    def observe(self, beats: dict[str, bytes], now: float) -> Changes:
        """Take the last beats of all nodes, as the bus has them."""
        joined: list[str] = []
        lost: list[str] = []
        forgotten: list[tuple[str, bytes]] = []
        for name, beat in beats.items():
            if name == self._own:
                continue
            peer = self._peers.get(name)
            if peer is None:
                peer = self._peers[name] = _Peer(beat, now, living=True)
                joined.append(name)
            elif peer.beat != beat:
                peer.beat, peer.changed_at = beat, now
                if not peer.living and not peer.left:
                    peer.living = True
                    joined.append(name)
            elif peer.living and now - peer.changed_at > LOST_AFTER:
                peer.living = False
                lost.append(name)
            elif now - peer.changed_at > FORGOTTEN_AFTER:
                forgotten.append((name, beat))
        for name, peer in self._peers.items():
            if name not in beats and peer.living and now - peer.changed_at > LOST_AFTER:
                peer.living = False
                lost.append(name)
        for name in [n for n, p in self._peers.items() if not p.living and n not in beats]:
            del self._peers[name]
        self._note()
        return Changes(joined, lost, forgotten)

    def excuse(self, now: float) -> None:
        """Beats could not be seen until now: that is nobody's fault."""
        for peer in self._peers.values():
            if peer.living:
                peer.changed_at = now

    def heard(self, name: str, number: int, now: float) -> tuple[bool, bool]:
        """An entry came from a node: whether the node is new here, and whether one was missed."""
        peer = self._peers.get(name)
        new = peer is None or not peer.living
        if peer is None:
            peer = self._peers[name] = _Peer(None, now, living=True)
        if new:
            peer.living, peer.left, peer.changed_at = True, False, now
            self._note()
        missed = number > peer.received + 1
        peer.received = max(peer.received, number)
        return new, missed

    def left(self, name: str) -> bool:
        """A node has said that it leaves; False if it was not known as living."""
        peer = self._peers.get(name)
        if peer is None or not peer.living:
            return False
        peer.living, peer.left = False, True
        self._note()
        return True

    def _note(self) -> None:
        self.living = tuple(name for name, peer in self._peers.items() if peer.living)
