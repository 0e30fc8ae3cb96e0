"""Against what socket.io 4.8.4 (npm) said; python-socketio 5.18.1 says the same."""

from __future__ import annotations

from chat4all_bench.dialects.base import Acknowledged, Delivered, Refused, Step
from chat4all_bench.peers.dialects.socketio import Echo, Room

from .sitting import sitting

OPEN = (
    b'0{"sid":"3-E8y-7XX1Cle0v3AAAA","upgrades":[],"pingInterval":25000,"pingTimeout":20000,'
    b'"maxPayload":1000000}'
)
JOINED_NAMESPACE = b'40{"sid":"SrqaoeYhE5PPKKcvAAAA"}'


def test_the_server_speaks_first_then_namespace_and_room_are_joined() -> None:
    client, room = sitting(), Room()
    assert room.begin(client) == Step()
    assert room.receive(client, OPEN) == Step((b"40",))
    assert room.receive(client, JOINED_NAMESPACE) == Step((b'420["join","room"]',))
    assert room.receive(client, b"430[]") == Step(ready=True)


def test_an_acknowledgement_has_the_messages_number_and_others_get_the_text() -> None:
    client, room = sitting(), Room()
    assert room.message(client, 12, 'say "hello"') == b'4212["message","say \\"hello\\""]'
    assert room.receive(client, b"4312[]") == Acknowledged(12)
    assert room.receive(client, b'42["message","say \\"hello\\""]') == Delivered('say "hello"')


def test_a_ping_is_answered() -> None:
    assert Room().receive(sitting(), b"2") == Step((b"3",))


def test_an_echo_needs_no_room_and_comes_back_in_its_acknowledgement() -> None:
    client, echo = sitting(), Echo()
    assert echo.receive(client, JOINED_NAMESPACE) == Step(ready=True)
    assert echo.message(client, 2, "hello") == b'422["echo","hello"]'
    assert echo.receive(client, b'432["hello"]') == Acknowledged(2)


def test_any_other_packet_is_an_error() -> None:
    refused = b'44{"message":"Invalid namespace"}'
    assert Room().receive(sitting(), refused) == Refused("Socket.IO packet 44")
