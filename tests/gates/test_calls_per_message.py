"""System calls: one to send for each recipient and flush, and none for anybody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from chat4all_protocol.frames import Conv, Create, Msg, Ping, Pong, Send, Sent, TextBody
from chat4all_protocol.ids import new_id

from .served import Client, ServedNode, served_node

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("gates")

MEMBERS: Final = [f"member_{number}" for number in range(20)]
STRANGERS: Final = [f"stranger_{number}" for number in range(20)]
PIPELINED: Final = 10
WAKE_UPS: Final = 1
"""Trio arms its wait for the pump's own epoll anew, once for all sockets that are ready."""


class Room:
    """A group of clients, of whom the first speaks, and clients who have nothing to do with it."""

    def __init__(self, server: ServedNode) -> None:
        self.server = server
        self.members = [Client(server, name) for name in MEMBERS]
        self.strangers = [Client(server, name) for name in STRANGERS]
        self.speaker = self.members[0]
        self.speaker.say(Create(rid=1, type="group", members=MEMBERS[1:]))
        for member in self.members:
            self.conv = member.hear(Conv).conv

    def speak(self, count: int) -> None:
        """Say so many things at once, and wait until everybody has heard them."""
        frames = [
            Send(rid=number, conv=self.conv, id=new_id(), body=TextBody("hello"))
            for number in range(count)
        ]
        self.speaker.say(*frames)
        for _ in range(count):
            self.speaker.hear(Sent)
            for member in self.members[1:]:
                member.hear(Msg)

    def close(self) -> None:
        for client in [*self.members, *self.strangers]:
            client.close()


@pytest.fixture
def room() -> Iterator[Room]:
    with served_node(MEMBERS) as server:
        room = Room(server)
        yield room
        room.close()


def test_a_message_is_sent_by_one_call_for_each_member(room: Room) -> None:
    with room.server.counting() as calls:
        room.speak(1)
    assert [calls.sends(member) for member in room.members] == [1] * len(MEMBERS)


def test_messages_of_one_flush_share_the_call_of_each_member(room: Room) -> None:
    before = room.server.commits()
    with room.server.counting() as calls:
        room.speak(PIPELINED)
    flushes = room.server.commits() - before
    assert flushes < PIPELINED
    assert [calls.sends(member) for member in room.members] == [flushes] * len(MEMBERS)


def test_sessions_that_get_nothing_cost_no_call(room: Room) -> None:
    with room.server.counting() as calls:
        room.speak(PIPELINED)
    assert calls.sends(*room.strangers) == 0
    assert calls.receives(*room.strangers) == 0


def test_only_who_speaks_is_received_from(room: Room) -> None:
    with room.server.counting() as calls:
        room.speak(PIPELINED)
    assert calls.receives() == calls.receives(room.speaker) == 1


def test_a_ping_is_answered_by_one_call(room: Room) -> None:
    with room.server.counting() as calls:
        room.speaker.say(Ping(at=1))
        room.speaker.hear(Pong)
    assert calls.sends() == 1
    assert calls.receives() == 1


def test_the_kernel_is_not_told_again_of_a_socket_that_is_waited_for(room: Room) -> None:
    assert room.server.controls_of(lambda: room.speak(PIPELINED)) <= WAKE_UPS
