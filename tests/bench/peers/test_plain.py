from __future__ import annotations

import pytest

from chat4all_bench.dialects.base import Acknowledged, Delivered, Step
from chat4all_bench.generator import header
from chat4all_bench.peers.dialects.plain import Echo, Room

from .sitting import sitting

TEXT = header.write("#12345", speaker=0, number=3, due=99, padding="words")


def test_who_sits_in_a_room_names_it_first_and_is_ready_when_the_name_comes_back() -> None:
    client, room = sitting(), Room()
    assert room.begin(client) == Step((b"room",))
    assert room.receive(client, b"room") == Step(ready=True)


def test_ones_own_message_is_an_acknowledgement_and_anybody_elses_a_delivery() -> None:
    room = Room()
    for speaker, event in ((0, Acknowledged(3)), (1, Delivered(TEXT))):
        client = sitting(speaker=speaker)
        room.receive(client, b"room")
        assert room.receive(client, room.message(client, 3, TEXT)) == event


def test_who_only_connects_sits_in_a_room_alone() -> None:
    assert Room().begin(sitting(number=5, room="")) == Step((b"alone-5",))


def test_an_echo_is_ready_at_once_and_acknowledges_by_the_number_in_the_text() -> None:
    client, echo = sitting(), Echo()
    assert echo.begin(client) == Step(ready=True)
    assert echo.receive(client, echo.message(client, 3, TEXT)) == Acknowledged(3)


def test_what_is_no_message_of_the_generator_is_an_error() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        Echo().receive(sitting(), b"what is this")
