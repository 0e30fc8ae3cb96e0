"""A node among others: what it tells them, and what it does with what they tell.

It is the `Relay` of the conversations, the `Carrier` of presence and the `Listener` of the
backbone, and decides on which way a thing goes to whom.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from ..conversation import composing
from ..messages import Risen
from ..presence.carrier import RosterChanges, RosterSnapshot, RosterWanted
from .items import Bye, Composes, Events, Marks, Stands, Tells, encode_item, portions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from chat4all_protocol.frames import TypingKind
    from chat4all_storage.ports.shard import Conversation

    from ..conversation.relay import Room
    from ..messages import Passing
    from ..presence.roster import Roster
    from .backbone import Backbone
    from .items import AnyItem
    from .rooms import ToldRooms

MAX_EVENTS: Final = 64 * 1024
"""Bytes of frames in one item, unless one frame is larger."""


class Presences(Protocol):
    """Who is where. None of the methods waits or raises."""

    def changed(self, node: str, item: RosterChanges) -> None:
        """A node told changes."""

    def snapshot_from(self, node: str, part: RosterSnapshot) -> bool:
        """A node told a part of all it has; whether all is known now: the last, and none lost."""

    def wanted(self, node: str) -> None:
        """A node lacks our snapshot."""

    def node_joined(self, node: str) -> None:
        """A node is there, perhaps again."""

    def node_lost(self, node: str) -> None:
        """A node died."""

    def node_left(self, node: str) -> None:
        """A node ended as it should."""

    def missed(self, node: str) -> None:
        """Something that a node told was lost."""

    def shaken(self) -> None:
        """Anything may have been lost, on either way."""


class Cluster:
    """See the module. `rooms` and `presences` are there before anything is heard."""

    rooms: ToldRooms
    presences: Presences
    nudge: Callable[[], None]
    """Let the journals be looked at now."""
    post: Callable[[bytes], None]
    """Put an item onto the notice board."""

    def __init__(self, backbone: Backbone, roster: Roster) -> None:
        self._backbone = backbone
        self._roster = roster
        self._uncertain: set[str] = set()
        """Nodes whose users are not known yet: they are told everything."""

    # --- as a `Relay` -------------------------------------------------------------------------

    @property
    def alone(self) -> bool:
        """See `relay.Relay`."""
        return not self._backbone.peers.living

    @property
    def hears(self) -> bool:
        """See `relay.Relay`."""
        return self._backbone.working and bool(self._backbone.peers.living)

    def events(self, room: Room, events: Sequence[Passing]) -> None:
        """See `relay.Relay`."""
        nodes = self._nodes(room.members)
        if not nodes:
            return
        frames = [event.data for event in events]
        for some in portions(map(len, frames), MAX_EVENTS):
            senders = [event.sender for event in events[some]]
            item = Events(room.id, events[some.start].seq, senders, frames[some])
            self._backbone.send_nowait(nodes, encode_item(item))

    def changed(self, room: Room, seq: int, user: str | None, *, joined: bool) -> None:
        """See `relay.Relay`."""
        members = room.members
        about = [] if user is None else [user]
        nodes = self._nodes(None if members is None else [*members, *about])
        item = Stands(room.id, seq, about if joined else [])
        self._backbone.send_nowait(nodes, encode_item(item))

    def created(self, conversation: Conversation) -> None:
        """See `relay.Relay`."""
        members = list(conversation.members)
        if nodes := self._nodes(members):
            self._backbone.send_nowait(nodes, encode_item(Stands(conversation.id, 0, members)))

    def marks(self, room: Room, risen: Sequence[Risen]) -> None:
        """See `relay.Relay`."""
        if nodes := self._nodes(room.members):
            marks = [
                (each.user, each.recv, each.read, each.recv_before, each.read_before)
                for each in risen
            ]
            self._backbone.send_nowait(nodes, encode_item(Marks(room.id, marks)))

    def composes(self, room: Room, user: str, kind: TypingKind) -> None:
        """See `relay.Relay`."""
        if nodes := self._nodes(room.members):
            item = Composes(room.id, user, kind, _now_ms())
            self._backbone.send_nowait(nodes, encode_item(item))

    def tells(self, user: str, frame: bytes) -> None:
        """Tell a user's sessions on other nodes something, as a WebSocket frame; best effort."""
        if nodes := self._nodes([user]):
            self._backbone.send_nowait(nodes, encode_item(Tells(user, frame)))

    def _nodes(self, members: Collection[str] | None) -> Collection[str]:
        """The other nodes that any of these users is on, or may be."""
        living = self._backbone.peers.living
        if not living or not self._backbone.working:
            return ()
        if members is None:
            return living
        known = self._roster.nodes_of(members)
        return known | self._uncertain if self._uncertain else known

    # --- as a `Carrier` -----------------------------------------------------------------------

    def broadcast(self, item: RosterChanges | RosterSnapshot | RosterWanted) -> None:
        """Tell all other nodes; while the backbone does not work, by the notice board."""
        data = encode_item(item)
        if self._backbone.working:
            self._backbone.send_nowait(self._backbone.peers.living, data)
        elif self._backbone.configured and isinstance(item, RosterChanges):
            self.post(data)

    def send(self, node: str, item: RosterChanges | RosterSnapshot | RosterWanted) -> None:
        """Tell one node."""
        self._backbone.send_nowait([node], encode_item(item))

    # --- from the notice board ----------------------------------------------------------------

    def posted(self, sender: str, items: list[AnyItem]) -> None:
        """A node has put these things onto the notice board.

        That is slow: what has come over the backbone meanwhile may be newer, and is undone by it.
        So the node is asked for its snapshot as soon as it can be.
        """
        self.arrived(sender, items)
        if self._backbone.working and sender in self._backbone.peers.living:
            self._uncertain.add(sender)
            self.presences.missed(sender)

    # --- as a `Listener` ----------------------------------------------------------------------

    def arrived(self, sender: str, items: list[AnyItem]) -> None:
        """See `backbone.Listener`."""
        rooms = self.rooms
        for item in items:
            if isinstance(item, Events):
                rooms.events(item.conversation, item.first, item.senders, item.frames)
            elif isinstance(item, Stands):
                rooms.stands(item.conversation, item.seq)
                if item.joined:
                    rooms.introduce(item.conversation, item.seq, item.joined)
            elif isinstance(item, Marks):
                rooms.marks(item.conversation, [Risen(*mark) for mark in item.marks])
            elif isinstance(item, Composes):
                if _now_ms() - item.at < composing.TTL_MS:
                    rooms.composes(item.conversation, item.user, item.kind)
            elif isinstance(item, Tells):
                rooms.tells(item.user, item.frame)
            elif isinstance(item, RosterChanges):
                self.presences.changed(sender, item)
            elif isinstance(item, RosterSnapshot):
                if self.presences.snapshot_from(sender, item):
                    self._uncertain.discard(sender)
            elif isinstance(item, RosterWanted):
                self.presences.wanted(sender)
            else:
                assert isinstance(item, Bye)  # the backbone says so by `left`

    def joined(self, node: str) -> None:
        """See `backbone.Listener`."""
        self._uncertain.add(node)
        self.presences.node_joined(node)

    def lost(self, node: str) -> None:
        """See `backbone.Listener`."""
        self._uncertain.discard(node)
        self.presences.node_lost(node)

    def left(self, node: str) -> None:
        """See `backbone.Listener`."""
        self._uncertain.discard(node)
        self.presences.node_left(node)

    def missed(self, node: str) -> None:
        """See `backbone.Listener`."""
        self._uncertain.add(node)
        self.presences.missed(node)
        self.nudge()

    def shaken(self) -> None:
        """See `backbone.Listener`."""
        self._uncertain.update(self._backbone.peers.living)
        self.presences.shaken()
        self.nudge()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
