"""Which users are on which other nodes, in as little memory as it takes.

Each node has a bit, each user the bits of the nodes it is on: who is to be told of an event for a
thousand users is one look-up for each. Of a user on a node there is one number, its record; the
roster says what it means, 0 is somebody who is not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

_MAX_COMBINATIONS: Final = 4096
"""Combinations of nodes that are kept at hand."""


class _Peer(Struct):
    name: str
    bit: int
    users: dict[str, int]
    """The record of each."""
    mentioned: set[str] | None = None
    """Who was told of since its snapshot began; None: none is under way."""


class Whereabouts:
    """The users of the other nodes. Nothing here waits or knows the time."""

    def __init__(self) -> None:
        self.generation = 0
        """Rises whenever a user appears on a node, and when a node goes."""
        self._peers: dict[str, _Peer] = {}
        self._bits: dict[str, int] = {}
        """The bits of the nodes that each user is on."""
        self._names: dict[int, frozenset[str]] = {0: frozenset()}
        """The nodes that a combination of bits means."""
        self._shared: dict[int, int] = {}
        """One object for each combination of bits, however many users have it."""
        self._ghosts: dict[str, dict[str, int]] = {}
        """The users of nodes that were lost, for a while."""

    # --- asking -------------------------------------------------------------------------------

    def nodes_of(self, users: Collection[str]) -> frozenset[str]:
        """The nodes that any of these users is on."""
        if not self._bits:
            return self._names[0]
        bits = 0
        for some in set(map(self._bits.get, users)):
            bits |= some or 0
        names = self._names.get(bits)
        if names is None:
            if len(self._names) >= _MAX_COMBINATIONS:
                self._names = {0: self._names[0]}
            peers = self._peers.values()
            names = frozenset(peer.name for peer in peers if peer.bit & bits)
            self._names[bits] = names
        return names

    def records(self, user: str) -> Iterator[int]:
        """The user's record on each node, those that were lost included."""
        if user in self._bits:
            for node in self.nodes_of((user,)):
                yield self._peers[node].users[user]
        for ghosts in self._ghosts.values():
            if user in ghosts:
                yield ghosts[user]

    @property
    def nodes(self) -> frozenset[str]:
        """The nodes that have told anything."""
        return frozenset(self._peers)

    def __len__(self) -> int:
        """How many users are on any node."""
        return len(self._bits)

    # --- being told ---------------------------------------------------------------------------

    def put(self, node: str, user: str, record: int) -> None:
        """The user's record on a node is this."""
        peer = self._peer(node)
        if peer.mentioned is not None:
            peer.mentioned.add(user)
        if record:
            if user not in peer.users:
                self._set_bits(user, self._bits.get(user, 0) | peer.bit)
                self.generation += 1
            peer.users[user] = record
            self.lay(user)
        elif user in peer.users:
            self._remove(peer, user)

    def begin(self, node: str) -> dict[str, int]:
        """The node's snapshot begins; its ghosts are returned with their records, and gone."""
        self._peer(node).mentioned = set()
        return self.bury(node)

    def end(self, node: str) -> dict[str, int] | None:
        """The node's snapshot has ended: who is not there, since it was not mentioned, and the
        record of each.

        None when something of it was missed, so that it proves nothing.
        """
        peer = self._peer(node)
        if peer.mentioned is None:
            return None
        gone = {user: it for user, it in peer.users.items() if user not in peer.mentioned}
        for user in gone:
            self._remove(peer, user)
        peer.mentioned = None
        return gone

    def missed(self, node: str) -> None:
        """Something that the node told was lost."""
        if (peer := self._peers.get(node)) is not None:
            peer.mentioned = None

    def drop(self, node: str) -> dict[str, int]:
        """The node is gone, and its users with it: those are returned, with their records."""
        peer = self._peers.pop(node, None)
        if peer is None:
            return {}
        for user in peer.users:
            self._set_bits(user, self._bits[user] & ~peer.bit)
        self.generation += 1
        # The combinations that hold its bit mean nothing any more.
        self._names = {0: frozenset()}
        self._shared.clear()
        return peer.users

    def lose(self, node: str, *, is_here: Callable[[str], bool]) -> None:
        """The node is gone, and its users become ghosts, unless they are anywhere else."""
        if node in self._peers:
            self._ghosts[node] = {
                user: record
                for user, record in self.drop(node).items()
                if user not in self._bits and not is_here(user)
            }

    def bury(self, node: str) -> dict[str, int]:
        """The ghosts of a lost node with their records; they are gone."""
        return self._ghosts.pop(node, {})

    def lay(self, user: str) -> None:
        """The user has been seen: its ghosts are gone."""
        for ghosts in self._ghosts.values():
            ghosts.pop(user, None)

    def _peer(self, node: str) -> _Peer:
        peer = self._peers.get(node)
        if peer is None:
            taken = {each.bit for each in self._peers.values()}
            bit = 1
            while bit in taken:
                bit <<= 1
            peer = self._peers[node] = _Peer(node, bit, {})
        return peer

    def _remove(self, peer: _Peer, user: str) -> None:
        del peer.users[user]
        self._set_bits(user, self._bits[user] & ~peer.bit)

    def _set_bits(self, user: str, bits: int) -> None:
        if not bits:
            del self._bits[user]
            return
        if len(self._shared) >= _MAX_COMBINATIONS:
            self._shared.clear()
        self._bits[user] = self._shared.setdefault(bits, bits)
