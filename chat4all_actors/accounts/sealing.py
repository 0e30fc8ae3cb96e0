"""What the server's own key protects: keys derived from it, one for each purpose.

Whoever changes the server's key (`jwt_key`) gives up what was sealed with it: second factors have
to be enrolled anew, and signing keys made anew.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Purpose = Literal[
    "refresh tokens",
    "second factors",
    "recovery codes",
    "signing keys",
    "request digests",
    "file addresses",
    "webhook secrets",
    "new webhook secrets",
    "link codes",
]

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class Unreadable(Exception):
    """What is stored was sealed with another key, for something else, or was changed."""


class Sealing:
    """Seals and signs with keys that follow from the server's."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        self._derived: dict[str, bytes] = {}

    def _for(self, purpose: Purpose) -> bytes:
        if (found := self._derived.get(purpose)) is None:
            info = f"chat4all {purpose}".encode()
            found = HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(self._key)
            self._derived[purpose] = found
        return found

    def mac(self, purpose: Purpose, data: bytes) -> bytes:
        """32 bytes that nobody without the key can make."""
        return hmac.new(self._for(purpose), data, hashlib.sha256).digest()

    def seal(self, purpose: Purpose, about: str, plain: bytes) -> bytes:
        """`plain` encrypted, so that it can be read for `about` only."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self._for(purpose)).encrypt(nonce, plain, about.encode())

    def unseal(self, purpose: Purpose, about: str, sealed: bytes) -> bytes:
        """What was sealed.

        Raises:
            Unreadable: not with this key, purpose and `about`.
        """
        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return AESGCM(self._for(purpose)).decrypt(nonce, rest, about.encode())
        except (InvalidTag, ValueError):
            raise Unreadable(f"{purpose}: sealed with another key") from None
