"""Tokens in exactly the form in which this server signs them, checked at a glance.

A general library reads the header twice, looks for what a key might be, and takes claims of any
kind: a ninth of what it costs to let a client in again. What is in any other form, or wrong in
any way, is left to it (`tokens.py`): nothing is accepted here that it would refuse.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

HEADER: Final = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
"""`{"alg":"HS256","typ":"JWT"}`: no key id, so the server's own key."""


class Claims(Struct, frozen=True):
    """What a token of ours says."""

    sub: str
    name: str
    iss: str
    aud: str | list[str]
    iat: int
    exp: int
    jti: str
    client: str | None = None
    scope: str | None = None
    sid: str | None = None
    nbf: Raw | UnsetType = UNSET
    """Not in tokens of ours."""


_claims: Final = msgspec.json.Decoder(Claims)


def read_own(token: str, key: bytes) -> Claims | None:
    """The claims, when the token is in our form and signed with `key`; else None.

    Who it is from and for and whether it is still good is for the caller to judge.
    """
    signed, _, signature = token.rpartition(".")
    header, _, payload = signed.partition(".")
    if header != HEADER:
        return None
    digest = hmac.digest(key, signed.encode(), "sha256")
    # Compared as text, so that no second way to write the same signature counts.
    expected = base64.urlsafe_b64encode(digest).rstrip(b"=")
    if not hmac.compare_digest(expected, signature.encode()):
        return None
    try:
        padded = payload + "=" * (-len(payload) % 4)
        claims = _claims.decode(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, msgspec.MsgspecError):
        return None
    return claims if claims.nbf is UNSET else None
