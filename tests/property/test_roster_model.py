"""Rosters that tell each other over wires that lose things agree when all has been told."""

from __future__ import annotations

from collections import deque
from typing import Any
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, rule

from chat4all_actors.presence import roster as module
from chat4all_actors.presence.carrier import RosterSnapshot
from chat4all_actors.presence.roster import Roster, Standing, Status

NODES = 3
USERS = ["ana", "bob"]
DEVICES = ["phone", "laptop"]

node_indexes = st.integers(0, NODES - 1)
users = st.sampled_from(USERS)


class Node:
    """A roster, the sessions that its node has, and what is on the way to it."""

    def __init__(self, name: str) -> None:
        self.roster = Roster(name)
        self.sessions: dict[tuple[str, str], tuple[int, bool]] = {}
        """The birth of each, and whether it is away."""
        self.inbox: dict[str, deque[Any]] = {}
        """By sender: lists of states, parts of snapshots, and None for what was lost."""


class RosterMachine(RuleBasedStateMachine):
    connects = Bundle("connects")

    def __init__(self) -> None:
        super().__init__()
        self.clock = 0
        self.names = 0
        self.invisible = dict.fromkeys(USERS, False)
        self.connecting = dict.fromkeys(USERS, 0)
        self.born: dict[tuple[str, str], list[tuple[int, str]]] = {}
        self.nodes: list[Node] = []
        self.small = patch.object(module, "CHUNK", 2)
        self.small.start()

    def teardown(self) -> None:
        self.agree()
        self.small.stop()

    @initialize()
    def start(self) -> None:
        for _ in range(NODES):
            self.nodes.append(self.new_node())
        for node in self.nodes:
            self.join(node)

    def new_node(self) -> Node:
        self.names += 1
        return Node(f"n{self.names}")

    def join(self, node: Node) -> None:
        for other in self.nodes:
            if other is not node:
                node.inbox.setdefault(other.roster.node, deque())
                other.inbox.setdefault(node.roster.node, deque())
                self.send_snapshot(node, other)
                self.send_snapshot(other, node)

    def send_snapshot(self, teller: Node, other: Node) -> None:
        other.inbox[teller.roster.node].extend(teller.roster.snapshot())

    def now(self) -> int:
        self.clock += 1
        return self.clock

    # --- sessions -----------------------------------------------------------------------------

    @rule(target=connects, user=users, device=st.sampled_from(DEVICES), away=st.booleans())
    def read_the_clock(self, user: str, device: str, away: bool) -> Any:
        self.connecting[user] += 1
        return user, device, away, self.now(), self.invisible[user]

    @rule(connect=consumes(connects), at=node_indexes)
    def arrive(self, connect: Any, at: int) -> None:
        user, device, away, birth, invisible = connect
        self.connecting[user] -= 1
        node = self.nodes[at]
        read_at = birth
        birth = node.roster.arrive(
            user, device, birth, away=away, invisible=invisible, read_at=read_at
        )
        node.sessions[user, device] = (birth, away)
        self.born.setdefault((user, device), []).append((birth, node.roster.node))

    @rule(at=node_indexes, which=st.integers(0, 3))
    def leave(self, at: int, which: int) -> None:
        node = self.nodes[at]
        if node.sessions:
            key = list(node.sessions)[which % len(node.sessions)]
            birth, _ = node.sessions.pop(key)
            node.roster.leave(*key, birth)

    @rule(at=node_indexes, which=st.integers(0, 3), away=st.booleans())
    def turn(self, at: int, which: int, away: bool) -> None:
        node = self.nodes[at]
        if node.sessions:
            key = list(node.sessions)[which % len(node.sessions)]
            birth, was = node.sessions[key]
            node.sessions[key] = (birth, away)
            assert node.roster.set_away(*key, birth, away) is (was is not away)

    @rule(at=node_indexes, user=users, invisible=st.booleans())
    def choose(self, at: int, user: str, invisible: bool) -> None:
        """A choice that no connect overlaps; it is answered when it has been told."""
        node = self.nodes[at]
        if node.roster.is_here(user) and not self.connecting[user]:
            self.invisible[user] = invisible
            node.roster.set_invisible(user, invisible, self.now())
            self.flush(at)

    # --- wires and nodes ----------------------------------------------------------------------

    @rule(at=node_indexes)
    def flush(self, at: int) -> None:
        teller = self.nodes[at]
        states = teller.roster.take_untold()
        assert len(states) <= 2
        if states:
            for node in self.nodes:
                if node is not teller:
                    node.inbox[teller.roster.node].append(states)

    @rule(sender=node_indexes, to=node_indexes)
    def deliver(self, sender: int, to: int) -> None:
        teller, node = self.nodes[sender], self.nodes[to]
        inbox = node.inbox.get(teller.roster.node)
        if not inbox:
            return
        item = inbox.popleft()
        if item is None:
            node.roster.missed(teller.roster.node)
            self.send_snapshot(teller, node)
        elif isinstance(item, RosterSnapshot):
            self.end(node, node.roster.apply_snapshot(teller.roster.node, item).overtaken)
        else:
            self.end(node, node.roster.apply(teller.roster.node, item))

    def end(self, node: Node, overtaken: list[module.Overtaken]) -> None:
        for user, device, birth in overtaken:
            assert node.sessions.pop((user, device))[0] == birth
            assert max(self.born[user, device]) > (birth, node.roster.node)

    @rule(sender=node_indexes, to=node_indexes)
    def lose(self, sender: int, to: int) -> None:
        inbox = self.nodes[to].inbox.get(self.nodes[sender].roster.node)
        if inbox:
            inbox[0] = None

    @rule(at=node_indexes, orderly=st.booleans())
    def restart(self, at: int, orderly: bool) -> None:
        for to in range(NODES):
            # What it told is on its way, and comes even when the node is gone.
            for _ in range(len(self.nodes[to].inbox.get(self.name(at), ()))):
                self.deliver(at, to)
        name = self.name(at)
        node = self.nodes[at] = self.new_node()
        for other in self.nodes:
            if other is not node:
                del other.inbox[name]
                if orderly:
                    other.roster.drop(name)
                else:
                    other.roster.lose(name)
                    other.roster.bury(name)
        self.join(node)

    @rule(sender=node_indexes, to=node_indexes)
    def part(self, sender: int, to: int) -> None:
        """One takes the other for dead for a while."""
        teller, node = self.nodes[sender], self.nodes[to]
        if teller is not node:
            node.roster.lose(teller.roster.node)
            node.inbox[teller.roster.node].clear()
            self.send_snapshot(teller, node)

    # --- agreement ----------------------------------------------------------------------------

    def agree(self) -> None:
        """Everything is told; nobody knows anything but the truth then."""
        for _ in range(100):
            for at in range(len(self.nodes)):
                self.flush(at)
            for to in range(len(self.nodes)):
                for sender in range(len(self.nodes)):
                    for _ in range(len(self.nodes[to].inbox.get(self.name(sender), ()))):
                        self.deliver(sender, to)
            waiting = any(inbox for node in self.nodes for inbox in node.inbox.values())
            if not waiting and not any(node.roster.statistics().untold for node in self.nodes):
                break
        else:
            raise AssertionError("they never stop telling each other")
        sessions = [(node, *key) for node in self.nodes for key in node.sessions]
        devices = {(user, device) for _, user, device in sessions}
        assert len(devices) == len(sessions), "a device has two sessions"
        for node in self.nodes:
            for user in USERS:
                assert node.roster.standing(user) == self.truth(user)
                assert node.roster.nodes_of([user]) == {
                    other.roster.node
                    for other, name, _ in sessions
                    if name == user and other is not node
                }

    def name(self, index: int) -> str:
        return self.nodes[index].roster.node

    def truth(self, user: str) -> Standing:
        away = [
            away
            for node in self.nodes
            for (name, _), (_, away) in node.sessions.items()
            if name == user
        ]
        if not away:
            return Standing(Status.OFFLINE, 0, invisible=False)
        status = Status.AWAY if all(away) else Status.ONLINE
        return Standing(status, len(away), self.invisible[user])


TestRosters = RosterMachine.TestCase
TestRosters.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
