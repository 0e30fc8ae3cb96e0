"""Against what ejabberd 23.01 said."""

from __future__ import annotations

import pytest

from chat4all_bench.dialects.base import Acknowledged, Delivered, Refused, Step
from chat4all_bench.peers.dialects.xmpp import Room

from .sitting import sitting

OPEN = (
    b"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' id='7685031354426812353' version='1.0'"
    b" xml:lang='en' from='bench.local'/>"
)
MECHANISMS = (
    b"<stream:features xmlns:stream='http://etherx.jabber.org/streams'>"
    b"<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism>"
    b"<mechanism>SCRAM-SHA-1</mechanism></mechanisms></stream:features>"
)
SUCCESS = b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
FEATURES = (
    b"<stream:features xmlns:stream='http://etherx.jabber.org/streams'>"
    b"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
    b"<session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session></stream:features>"
)
BOUND = (
    b"<iq xmlns='jabber:client' type='result' id='bind'>"
    b"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>u0@bench.local/b</jid></bind></iq>"
)
OWN_PRESENCE = (
    b"<presence xmlns='jabber:client' xml:lang='en' to='u0@bench.local/b'"
    b" from='room@conference.bench.local/7'><x xmlns='http://jabber.org/protocol/muc#user'>"
    b"<item jid='u0@bench.local/b' role='moderator' affiliation='owner'/>"
    b"<status code='201'/><status code='110'/></x></presence>"
)
SUBJECT = (
    b"<message xmlns='jabber:client' to='u0@bench.local/b' from='room@conference.bench.local'"
    b" type='groupchat'><subject/></message>"
)
MESSAGE = (
    b"<message xmlns='jabber:client' xml:lang='en' to='u1@bench.local/b'"
    b" from='room@conference.bench.local/7' type='groupchat' id='2'>"
    b"<archived by='room@conference.bench.local' id='1795778477806192' xmlns='urn:xmpp:mam:tmp'/>"
    b"<stanza-id by='room@conference.bench.local' id='1795778477806192' xmlns='urn:xmpp:sid:0'/>"
    b"<body>salt &amp; pepper</body></message>"
)


def test_the_opening_ends_with_the_subject_of_the_room() -> None:
    client, room = sitting(), Room()
    (hello,) = room.begin(client).say
    assert room.receive(client, OPEN) is None
    (auth,) = said(room.receive(client, MECHANISMS))
    assert b'mechanism="PLAIN">AHVzZXItNwBiZW5jaC1wYXNzd29yZA==<' in auth
    assert said(room.receive(client, SUCCESS)) == (hello,)
    (bind,) = said(room.receive(client, FEATURES))
    assert b"urn:ietf:params:xml:ns:xmpp-bind" in bind
    _, enter = said(room.receive(client, BOUND))
    assert b'to="room@conference.bench.local/7"' in enter
    assert room.receive(client, OWN_PRESENCE) is None
    assert room.receive(client, SUBJECT) == Step(ready=True)


def test_who_only_connects_is_ready_when_its_resource_is_bound() -> None:
    step = Room().receive(sitting(room=""), BOUND)
    assert isinstance(step, Step)
    assert step.ready


def test_ones_own_archived_message_is_an_acknowledgement_and_anybody_elses_a_delivery() -> None:
    room = Room()
    assert room.receive(sitting(number=7), MESSAGE) == Acknowledged(2)
    assert room.receive(sitting(number=8), MESSAGE) == Delivered("salt & pepper")


def test_a_message_is_escaped() -> None:
    said = Room().message(sitting(), 2, "salt & pepper")
    assert b'id="2"><body>salt &amp; pepper</body>' in said


@pytest.mark.parametrize(
    "stanza",
    [
        b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>",
        b"<message xmlns='jabber:client' from='a' type='error'><error/></message>",
        b"<presence from='room@conference.bench.local/7' type='error'><error/></presence>",
    ],
)
def test_what_the_server_refuses_is_an_error(stanza: bytes) -> None:
    assert isinstance(Room().receive(sitting(), stanza), Refused)


def said(event: object) -> tuple[bytes, ...]:
    assert isinstance(event, Step)
    assert not event.ready
    return event.say
