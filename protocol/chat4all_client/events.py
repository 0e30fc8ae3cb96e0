"""What `Client.events()` yields.

Durable events are the protocol's `Msg`, whole and in order. `Receipt`, `Composing`, `Presence`,
`FileProgress` and `Conv` are the protocol's frames too. `Connected` and `Disconnected` are the
client's own.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from chat4all_protocol.frames import Composing, Conv, FileProgress, Msg, Presence, Receipt


class Connected(Struct, frozen=True):
    """The client is live; `client.conversations` is up to date. What was missed follows."""

    user: str
    """Whose client this is."""
    node: str
    """The server's name for the node that answered."""


class Disconnected(Struct, frozen=True):
    """The connection is gone, or an attempt at a new one failed; the client goes on trying."""

    reason: str
    """In words, for people."""
    code: int | None
    """The WebSocket close code, if there was one."""
    retry_in: float
    """Seconds until the next attempt."""


Event: TypeAlias = (
    Msg | Receipt | Composing | Presence | FileProgress | Conv | Connected | Disconnected
)
