"""Ours, as an echo: a `ping` is answered by a `pong` that says the same time.

The server decodes a frame, checks it, and answers through the session. The frame is as long as the
others' messages by a key that it does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from ...dialects.base import Acknowledged, Step

if TYPE_CHECKING:
    from ...dialects.base import Event, Session


class _Ping(Struct, tag_field="t", tag="ping"):
    at: int
    pad: str


class _Answer(Struct):
    t: str
    at: int = 0


class Echo:
    """See the module's docstring."""

    path = "/ws"
    subprotocol: str | None = "chat4all.v1"
    text = False
    acknowledges = True

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(_Answer).decode

    def begin(self, session: Session) -> Step:
        """See `base.Dialect`: nobody needs to log in for that."""
        return Step(ready=True)

    def receive(self, session: Session, payload: bytes) -> Event | None:
        """See `base.Dialect`."""
        answer = self._decode(payload)
        return Acknowledged(answer.at) if answer.t == "pong" else None

    def message(self, session: Session, number: int, text: str) -> bytes:
        """See `base.Dialect`."""
        return self._encode(_Ping(number, text))
