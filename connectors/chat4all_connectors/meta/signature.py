"""Whether a webhook call comes from Meta: a signature over the bytes of its body.

Meta writes non-ASCII characters as `\\uXXXX` and signs those bytes, so JSON that was decoded and
written again does not match: only what came over the wire counts.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

HEADER: Final = "x-hub-signature-256"
"""In lower case, as `WebhookCall` has it."""
_SCHEME: Final = "sha256="


def sign(secret: str, body: bytes) -> str:
    """The header's value: hex HMAC-SHA256 of the body under the app secret."""
    return _SCHEME + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def is_signed(secret: str, body: bytes, header: str | None) -> bool:
    """Whether the header is that of this body; takes as long for every wrong one.

    An empty secret signs nothing: without one anybody could.
    """
    if not secret or header is None:
        return False
    return hmac.compare_digest(sign(secret, body).encode(), header.encode("utf-8", "replace"))


def is_token(expected: str, given: str | None) -> bool:
    """Whether the verify token is the expected one; takes as long for every wrong one."""
    if not expected or given is None:
        return False
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))


def proof(secret: str, token: str) -> str:
    """The `appsecret_proof` that an app may demand of calls with this access token."""
    return hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest()
