"""Ours, as an echo: a `ping` is answered by a `pong` that says the same time.

The server decodes a frame, checks it, and answers through the session of a user who has logged in.
The frame is as long as the others' messages by a key that it does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from ...dialects.base import Acknowledged
from ...dialects.chat4all import Chat4all

if TYPE_CHECKING:
    from ...dialects.base import Event, Session


class _Ping(Struct, tag_field="t", tag="ping"):
    at: int
    pad: str


class _Pong(Struct, tag_field="t", tag="pong"):
    at: int


class Echo(Chat4all):
    """See the module's docstring."""

    def __init__(self) -> None:
        super().__init__()
        self._encode_ping = msgspec.msgpack.Encoder().encode
        self._decode_pong = msgspec.msgpack.Decoder(_Pong).decode

    def receive(self, session: Session, payload: bytes) -> Event | None:
        """See `base.Dialect`."""
        if b"\xa4pong" in payload:
            return Acknowledged(self._decode_pong(payload).at)
        return super().receive(session, payload)

    def message(self, session: Session, number: int, text: str) -> bytes:
        """See `base.Dialect`."""
        return self._encode_ping(_Ping(number, text))
