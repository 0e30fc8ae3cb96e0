"""XMPP over WebSockets (RFC 7395), with rooms of XEP-0045 that are archived (XEP-0313).

A message that its writer gets back from the room has been archived: that is its acknowledgement.
Stanzas are taken apart by finding what is needed in them, since the server writes them all alike.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape, unescape

from ...dialects.base import Acknowledged, Delivered, Refused, Step
from ..ejabberd import HOST, PASSWORD

if TYPE_CHECKING:
    from ...dialects.base import Event, Session

_OPEN: Final = (
    f'<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="{HOST}" version="1.0"/>'
).encode()
_BIND: Final = (
    b'<iq xmlns="jabber:client" type="set" id="bind">'
    b'<bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/></iq>'
)
_MESSAGE: Final = b"<message "
_BODY: Final = b"<body>"


class Room:
    """A message goes to all members of the room, its writer included."""

    path = "/ws"
    subprotocol: str | None = "xmpp"
    text = True
    acknowledges = True

    def begin(self, session: Session) -> Step:
        """See `base.Dialect`."""
        return Step((_OPEN,))

    def receive(self, session: Session, payload: bytes) -> Event | None:
        """See `base.Dialect`."""
        if not payload.startswith(_MESSAGE):
            return self._opening(session, payload)
        start = payload.find(_BODY)
        if start < 0:
            # The subject is what a room tells last to who has entered.
            return Step(ready=True) if b"<subject" in payload else Refused("a message without text")
        name = _between(payload, b"from='", b"'").partition(b"/")[2]
        if name == _nick(session):
            return Acknowledged(int(_between(payload, b" id='", b"'")))
        return Delivered(unescape(_between(payload, _BODY, b"</body>", start).decode()))

    def message(self, session: Session, number: int, text: str) -> bytes:
        """See `base.Dialect`."""
        return (
            f'<message xmlns="jabber:client" to="{_address(session)}" type="groupchat"'
            f' id="{number}"><body>{escape(text)}</body></message>'
        ).encode()

    def _opening(self, session: Session, payload: bytes) -> Event | None:
        if payload.startswith(b"<stream:features"):
            if b"xmpp-bind" in payload:
                return Step((_BIND,))
            secret = f"\0{session.seat.user}\0{PASSWORD}".encode()
            plain = base64.b64encode(secret).decode()
            xmlns = "urn:ietf:params:xml:ns:xmpp-sasl"
            return Step((f'<auth xmlns="{xmlns}" mechanism="PLAIN">{plain}</auth>'.encode(),))
        if payload.startswith(b"<success"):
            return Step((_OPEN,))
        if payload.startswith(b"<iq ") and b"type='result'" in payload:
            return self._bound(session)
        if payload.startswith((b"<failure", b"<stream:error", b"<close")) or (
            b"type='error'" in payload
        ):
            return Refused("XMPP " + payload[:60].decode(errors="replace"))
        return None

    def _bound(self, session: Session) -> Step:
        present = b'<presence xmlns="jabber:client"/>'
        if not session.seat.room:
            return Step((present,), ready=True)
        enter = (
            f'<presence xmlns="jabber:client" to="{_address(session)}/{_nick(session).decode()}">'
            '<x xmlns="http://jabber.org/protocol/muc"><history maxstanzas="0"/></x></presence>'
        )
        return Step((present, enter.encode()))


def _address(session: Session) -> str:
    return f"{session.seat.room}@conference.{HOST}"


def _nick(session: Session) -> bytes:
    return b"%d" % session.seat.number


def _between(payload: bytes, before: bytes, after: bytes, start: int = 0) -> bytes:
    """What stands between two marks.

    Raises:
        ValueError: one of them is missing.
    """
    begin = payload.index(before, start) + len(before)
    return payload[begin : payload.index(after, begin)]
