"""Refresh tokens: opaque to clients, and known to the server only by their hash.

A token is `c4r_` and, in base64url, the login's id, its number in the login's row of tokens, and a
MAC over both and the login's salt. So the successor of a token can be given again to a client that
did not hear the first answer, though no token is stored; and an old token of ours can be told from
one that was made up, whose holder is not to end anybody's login by it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import uuid
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from .sealing import Sealing

PREFIX: Final = "c4r_"
_ID, _NUMBER, _MAC = 16, 4, 32
"""Bytes of its parts."""
MAX_CHARACTERS: Final = 100


class Presented(Struct, frozen=True):
    """A refresh token that somebody shows; only its form is right so far."""

    login: str
    generation: int
    mac: bytes
    hash: bytes


class RefreshTokens:
    """Makes refresh tokens, and tells ours from others."""

    def __init__(self, sealing: Sealing) -> None:
        self._sealing = sealing

    def make(self, login: str, generation: int, salt: bytes) -> str:
        """The token of that number of a login: always the same."""
        head = _head(login, generation)
        return _encode(head + self._mac(head, salt))

    def genuine(self, presented: Presented, salt: bytes) -> bool:
        """Whether it is, or was, a token of this login."""
        head = _head(presented.login, presented.generation)
        return hmac.compare_digest(presented.mac, self._mac(head, salt))

    def _mac(self, head: bytes, salt: bytes) -> bytes:
        return self._sealing.mac("refresh tokens", head + salt)


def _head(login: str, generation: int) -> bytes:
    return uuid.UUID(login).bytes + generation.to_bytes(_NUMBER, "big")


def _encode(raw: bytes) -> str:
    return PREFIX + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def hash_of(token: str) -> bytes:
    """What is stored of a token. 256 bits of it are random to others: no slow hash is needed."""
    return hashlib.sha256(token.encode()).digest()


def read(token: str) -> Presented | None:
    """The parts of a token; None if it does not have the form of one."""
    if not token.startswith(PREFIX) or not token.isascii() or len(token) > MAX_CHARACTERS:
        return None
    text = token[len(PREFIX) :].encode()
    try:
        raw = base64.b64decode(text + b"=" * (-len(text) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(raw) != _ID + _NUMBER + _MAC or _encode(raw) != token:
        return None  # a second form of the same bytes is none of ours
    login = str(uuid.UUID(bytes=raw[:_ID]))
    generation = int.from_bytes(raw[_ID : _ID + _NUMBER], "big")
    return Presented(login, generation, raw[_ID + _NUMBER :], hash_of(token))
