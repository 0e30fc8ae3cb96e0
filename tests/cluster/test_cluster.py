"""A node among others: on which way a thing goes to whom, and what is done with what comes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

import pytest
from msgspec import Struct

from chat4all_actors.cluster.cluster import MAX_EVENTS, Cluster
from chat4all_actors.cluster.items import (
    AnyItem,
    Bye,
    Composes,
    Events,
    Marks,
    Stands,
    Tells,
    decode_entry,
    encode_entry,
)
from chat4all_actors.conversation.composing import TTL_MS
from chat4all_actors.messages import Passing, Risen
from chat4all_actors.presence.carrier import RosterChanges, RosterSnapshot, RosterWanted, UserState
from chat4all_actors.presence.roster import Roster
from chat4all_storage.ports.shard import Conversation, MemberInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chat4all_actors.cluster.backbone import Backbone

CHANGES = RosterChanges([UserState("ana", {"phone": 1})])
MEMBER = MemberInfo("member", 0, 0)
LAST_PART = RosterSnapshot([], first=True, last=True)


class Room(Struct):
    """A conversation, as it is told of."""

    id: str
    members: list[str] | None


class Peers(Struct):
    living: tuple[str, ...] = ("a", "b", "c")


class FakeBackbone:
    """Writes down what is sent to whom."""

    def __init__(self) -> None:
        self.peers = Peers()
        self.configured = True
        self.working = True
        self.sent: list[tuple[set[str], AnyItem]] = []

    def send_nowait(self, nodes: Iterable[str], item: bytes) -> None:
        self.sent.append((set(nodes), decoded(item)))

    def lately(self) -> list[tuple[set[str], AnyItem]]:
        """What was sent since the last call, to anybody."""
        sent, self.sent = self.sent, []
        return [(nodes, item) for nodes, item in sent if nodes]


class Told:
    """Takes any call, and writes it down."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.calls.append((name, *arguments))


class Presences(Told):
    """Knows all that a node has after the last part of its snapshot, unless some is `lacking`."""

    lacking = False

    def snapshot_from(self, node: str, part: RosterSnapshot) -> bool:
        self.calls.append(("snapshot_from", node, part))
        return part.last and not self.lacking


class Scene:
    """A cluster of "a", "b" and "c" besides this node, whose users are known."""

    def __init__(self) -> None:
        self.backbone = FakeBackbone()
        self.roster = Roster("me")
        self.cluster = Cluster(cast("Backbone", self.backbone), self.roster)
        self.rooms, self.presences = Told(), Presences()
        self.nudges = 0
        self.posted: list[AnyItem] = []
        self.cluster.rooms, self.cluster.presences = self.rooms, self.presences
        self.cluster.nudge = self._nudge
        self.cluster.post = lambda item: self.posted.append(decoded(item))
        for node, user in (("a", "ana"), ("b", "bob"), ("b", "ana")):
            self.roster.apply(node, [UserState(user, {"phone": 1})])

    def _nudge(self) -> None:
        self.nudges += 1

    def routed(self, *members: str) -> set[str]:
        """The nodes that learn of an event in a conversation of these members."""
        room = Room("room", list(members) or None)
        self.cluster.events(room, [Passing(1, 0, b"event", "ana")])
        return set().union(*(nodes for nodes, _ in self.backbone.lately()))


def decoded(item: bytes) -> AnyItem:
    (only,) = decode_entry(encode_entry("node", 1, [item])).items
    return only


# --- to whom --------------------------------------------------------------------------------------


def test_an_event_goes_to_the_nodes_that_members_are_on() -> None:
    scene = Scene()
    assert scene.routed("ana", "nobody") == {"a", "b"}
    assert scene.routed("bob") == {"b"}
    assert scene.routed("nobody") == set()


def test_as_long_as_the_members_are_not_known_all_nodes_are_told() -> None:
    assert Scene().routed() == {"a", "b", "c"}


@pytest.mark.parametrize("happened", ["joined", "missed"])
def test_a_node_whose_users_are_not_known_is_told_everything_until_they_are(happened: str) -> None:
    scene = Scene()
    getattr(scene.cluster, happened)("c")
    assert scene.routed("bob") == {"b", "c"}
    scene.cluster.arrived("c", [RosterSnapshot([], first=True, last=False)])
    assert scene.routed("bob") == {"b", "c"}
    scene.cluster.arrived("c", [RosterSnapshot([], first=False, last=True)])
    assert scene.routed("bob") == {"b"}


def test_a_snapshot_of_which_a_part_was_lost_makes_nothing_certain() -> None:
    scene = Scene()
    scene.cluster.joined("c")
    scene.presences.lacking = True
    scene.cluster.arrived("c", [LAST_PART])
    assert scene.routed("bob") == {"b", "c"}
    scene.presences.lacking = False
    scene.cluster.arrived("c", [LAST_PART])
    assert scene.routed("bob") == {"b"}


def test_a_change_of_members_that_are_not_known_is_told_to_all() -> None:
    scene = Scene()
    scene.cluster.changed(Room("room", None), 7, "bob", joined=True)
    assert scene.backbone.lately() == [({"a", "b", "c"}, Stands("room", 7, ["bob"]))]
    scene.cluster.arrived("c", [LAST_PART])
    assert scene.routed("bob") == {"b"}


def test_a_notice_may_be_older_than_what_came_over_the_backbone() -> None:
    scene = Scene()
    scene.cluster.posted("c", [CHANGES])
    assert scene.presences.calls == [("changed", "c", CHANGES), ("missed", "c")]
    assert scene.routed("bob") == {"b", "c"}


@pytest.mark.parametrize("way", ["not working", "not to that node"])
def test_a_notice_is_all_there_is_while_there_is_no_way_to_ask(way: str) -> None:
    scene = Scene()
    scene.backbone.working = way != "not working"
    scene.backbone.peers.living = ("a", "b") if scene.backbone.working else ("a", "b", "c")
    scene.cluster.posted("c", [CHANGES])
    assert scene.presences.calls == [("changed", "c", CHANGES)]


@pytest.mark.parametrize("happened", ["lost", "left"])
def test_a_node_that_is_gone_is_not_waited_for(happened: str) -> None:
    scene = Scene()
    scene.cluster.joined("c")
    getattr(scene.cluster, happened)("c")
    assert scene.routed("bob") == {"b"}


def test_after_a_shock_all_are_told_everything_until_each_has_said_who_is_there() -> None:
    scene = Scene()
    scene.cluster.shaken()
    assert scene.routed("bob") == {"a", "b", "c"}
    scene.cluster.arrived("a", [LAST_PART])
    assert scene.routed("bob") == {"b", "c"}


def test_after_a_shock_a_node_that_was_awaited_before_is_still_awaited() -> None:
    scene = Scene()
    scene.cluster.missed("c")
    scene.backbone.peers.living = ("a", "b")
    scene.cluster.shaken()
    assert scene.routed("bob") == {"a", "b", "c"}


def test_nothing_at_all_is_sent_while_the_backbone_does_not_work() -> None:
    scene, room = Scene(), Room("room", ["ana"])
    scene.backbone.working = False
    scene.cluster.events(room, [Passing(1, 0, b"event", "ana")])
    scene.cluster.changed(room, 2, "bob", joined=True)
    scene.cluster.created(Conversation("room", "group", None, "bob", 0, 0, {"bob": MEMBER}))
    scene.cluster.marks(room, [Risen("ana", 5, 3, 4, 2)])
    scene.cluster.composes(room, "ana", "text")
    scene.cluster.tells("ana", b"frame")
    assert scene.backbone.lately() == []
    assert scene.posted == []


def test_nobody_is_told_while_there_is_nobody_or_no_way() -> None:
    scene = Scene()
    assert not scene.cluster.alone
    scene.backbone.working = False
    assert scene.routed("ana") == scene.routed() == set()
    scene.backbone.working, scene.backbone.peers.living = True, ()
    assert scene.cluster.alone
    assert scene.routed("ana") == scene.routed() == set()


# --- what -----------------------------------------------------------------------------------------


def test_events_that_just_fit_are_one_item() -> None:
    scene = Scene()
    half = [Passing(seq, 0, bytes(MAX_EVENTS // 2), "ana") for seq in (1, 2, 3)]
    scene.cluster.events(Room("room", ["bob"]), half)
    items = [item for _, item in scene.backbone.lately()]
    assert [len(item.frames) for item in items if isinstance(item, Events)] == [2, 1]


def test_what_one_node_shows_as_composed_another_takes_for_new() -> None:
    teller, hearer = Scene(), Scene()
    teller.cluster.composes(Room("room", ["ana"]), "carla", "voice")
    ((_, item),) = teller.backbone.lately()
    hearer.cluster.arrived("a", [item])
    assert hearer.rooms.calls == [("composes", "room", "carla", "voice")]


def test_consecutive_events_are_one_item_up_to_a_size() -> None:
    scene = Scene()
    small = [Passing(seq, 0, b"%d" % seq, sender) for seq, sender in enumerate("vwx", 5)]
    large = [Passing(seq, 0, bytes(MAX_EVENTS - 1), sender) for seq, sender in enumerate("yz", 8)]
    scene.cluster.events(Room("room", ["bob"]), [*small, *large])
    items = [item for _, item in scene.backbone.lately()]
    assert items == [
        Events("room", 5, ["v", "w", "x"], [b"5", b"6", b"7"]),
        Events("room", 8, ["y"], [bytes(MAX_EVENTS - 1)]),
        Events("room", 9, ["z"], [bytes(MAX_EVENTS - 1)]),
    ]


def test_who_joins_or_leaves_has_nodes_too_that_are_told() -> None:
    scene, room = Scene(), Room("room", ["carla"])
    scene.cluster.changed(room, 7, "bob", joined=True)
    scene.cluster.changed(room, 8, "bob", joined=False)
    assert scene.backbone.lately() == [
        ({"b"}, Stands("room", 7, ["bob"])),
        ({"b"}, Stands("room", 8, [])),
    ]


def test_a_creation_tells_the_nodes_of_its_members_who_they_are() -> None:
    scene = Scene()
    created = Conversation("room", "group", None, "bob", 0, 0, {"bob": MEMBER, "carla": MEMBER})
    scene.cluster.created(created)
    assert scene.backbone.lately() == [({"b"}, Stands("room", 0, ["bob", "carla"]))]


def test_marks_and_who_composes_go_to_the_nodes_of_the_members() -> None:
    scene, room = Scene(), Room("room", ["ana"])
    scene.cluster.marks(room, [Risen("carla", 5, 3, 4, 2)])
    scene.cluster.composes(room, "carla", "voice")
    (marks, composes) = scene.backbone.lately()
    assert marks == ({"a", "b"}, Marks("room", [("carla", 5, 3, 4, 2)]))
    assert composes[0] == {"a", "b"}
    assert isinstance(composes[1], Composes)
    assert (composes[1].user, composes[1].kind) == ("carla", "voice")


def test_what_a_user_is_told_goes_to_the_nodes_that_the_user_is_on() -> None:
    scene = Scene()
    scene.cluster.tells("ana", b"frame")
    scene.cluster.tells("nobody", b"frame")
    assert scene.backbone.lately() == [({"a", "b"}, Tells("ana", b"frame"))]
    scene.cluster.arrived("a", [Tells("bob", b"other")])
    assert scene.rooms.calls == [("tells", "bob", b"other")]


# --- who is where ---------------------------------------------------------------------------------


def test_who_is_where_is_told_to_all_nodes() -> None:
    scene = Scene()
    scene.cluster.broadcast(CHANGES)
    scene.cluster.send("a", RosterWanted())
    assert scene.backbone.lately() == [({"a", "b", "c"}, CHANGES), ({"a"}, RosterWanted())]
    assert scene.posted == []


def test_while_the_backbone_does_not_work_changes_go_to_the_notice_board() -> None:
    scene = Scene()
    scene.backbone.working = False
    scene.cluster.broadcast(CHANGES)
    scene.cluster.broadcast(RosterWanted())
    assert scene.posted == [CHANGES]
    assert scene.backbone.lately() == []


def test_a_node_without_a_bus_posts_nothing() -> None:
    scene = Scene()
    scene.backbone.working = scene.backbone.configured = False
    scene.cluster.broadcast(CHANGES)
    assert scene.posted == []


# --- what comes -----------------------------------------------------------------------------------


def test_what_comes_goes_to_whom_it_concerns_in_order() -> None:
    scene = Scene()
    wanted = RosterWanted()
    scene.cluster.arrived(
        "a",
        [
            Events("room", 3, ["ana"], [b"event"]),
            Stands("room", 4, ["bob"]),
            Stands("room", 5, []),
            Marks("room", [("ana", 5, 3, 4, 0)]),
            CHANGES,
            LAST_PART,
            wanted,
            Bye(),
        ],
    )
    assert scene.rooms.calls == [
        ("events", "room", 3, ["ana"], [b"event"]),
        ("stands", "room", 4),
        ("introduce", "room", 4, ["bob"]),
        ("stands", "room", 5),
        ("marks", "room", [Risen("ana", 5, 3, 4, 0)]),
    ]
    assert scene.presences.calls == [
        ("changed", "a", CHANGES),
        ("snapshot_from", "a", LAST_PART),
        ("wanted", "a"),
    ]


def test_who_composed_long_ago_is_not_shown() -> None:
    scene = Scene()
    now = time.time_ns() // 1_000_000
    for age in (0, 2 * TTL_MS):
        scene.cluster.arrived("a", [Composes("room", "ana", "text", now - age)])
    assert scene.rooms.calls == [("composes", "room", "ana", "text")]


def test_presence_learns_of_all_that_becomes_of_nodes() -> None:
    scene = Scene()
    scene.cluster.joined("a")
    scene.cluster.lost("a")
    scene.cluster.left("b")
    assert scene.presences.calls == [("node_joined", "a"), ("node_lost", "a"), ("node_left", "b")]
    assert scene.nudges == 0


def test_when_something_was_missed_the_journals_are_looked_at_now() -> None:
    scene = Scene()
    scene.cluster.missed("a")
    scene.cluster.shaken()
    assert scene.presences.calls == [("missed", "a"), ("shaken",)]
    assert scene.nudges == 2
