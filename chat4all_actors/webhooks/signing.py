"""Secrets and signatures of Standard Webhooks 1.0. No I/O.

A request is signed over its id, its time and its body; while a secret is replaced, by both.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32
"""Of those that we make."""
LEAST_BYTES: Final = 24
MOST_BYTES: Final = 64


class BadSecret(ValueError):
    """It can't be used; why is safe to tell."""


def new_secret() -> bytes:
    """Random bytes to sign with."""
    return secrets.token_bytes(SECRET_BYTES)


def shown(secret: bytes) -> str:
    """A secret as its owner is told it."""
    return PREFIX + base64.b64encode(secret).decode()


def parse(text: str) -> bytes:
    """The bytes of a secret that its owner has chosen.

    Raises:
        BadSecret: it has another form, or too few or too many bytes.
    """
    if not text.startswith(PREFIX):
        raise BadSecret(f"a secret begins with {PREFIX}")
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise BadSecret(f"a secret is {PREFIX} and base64") from None
    if not LEAST_BYTES <= len(secret) <= MOST_BYTES:
        raise BadSecret(f"a secret has {LEAST_BYTES} to {MOST_BYTES} bytes, in base64")
    return secret


def headers(id_: str, at: int, body: bytes, keys: Iterable[bytes]) -> dict[str, str]:
    """What a request carries: `at` is the second of this attempt; each key signs."""
    signed = f"{id_}.{at}.".encode() + body
    digests = [hmac.new(key, signed, hashlib.sha256).digest() for key in keys]
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(each).decode()}" for each in digests),
    }
