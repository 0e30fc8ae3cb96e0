"""Access tokens: JSON Web Tokens that name a user for an hour.

One key, one algorithm: HS256. A token must say when it ends and was issued, by whom, for whom,
and its own id; one that claims a longer life than this server gives is refused.
"""

from __future__ import annotations

import os
import secrets
import time
import uuid
from typing import TYPE_CHECKING, Final

import jwt
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ALGORITHM: Final = "HS256"
ISSUER: Final = "chat4all"
AUDIENCE: Final = "chat4all"
LEEWAY: Final = 30
"""Seconds that clocks may differ."""
MAX_LIFETIME: Final = 24 * 60 * 60
KEY_FILE: Final = "jwt.key"
MIN_KEY_BYTES: Final = 32


class Identity(Struct, frozen=True):
    """Who a token names, and until when."""

    user_id: str
    username: str
    expires_at: float
    """Seconds since the epoch."""
    issued_at: int
    """Likewise."""
    token_id: str
    client: str | None = None
    """The name of the service client, if it is one and no user."""
    scopes: frozenset[str] = frozenset()
    """What a service client may do."""


class TokenRefused(Exception):
    """The token is not one of ours, or no longer."""

    def __init__(self, message: str, *, expired: bool = False) -> None:
        super().__init__(message)
        self.expired = expired


class Tokens:
    """Issues and verifies access tokens with one key."""

    def __init__(
        self, key: str, *, lifetime: float = 3600.0, clock: Callable[[], float] = time.time
    ) -> None:
        if len(key.encode()) < MIN_KEY_BYTES:
            raise ValueError(f"the key has fewer than {MIN_KEY_BYTES} bytes")
        self._key = key
        self._lifetime = lifetime
        self._clock = clock

    def issue(self, user_id: str, username: str) -> str:
        """A new token for this user."""
        now = self._clock()
        claims = {
            "sub": user_id,
            "name": username,
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": int(now),
            "exp": int(now + self._lifetime),
            "jti": str(uuid.uuid4()),
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)

    def verify(self, token: str) -> Identity:
        """Whom the token names.

        Raises:
            TokenRefused: with a reason that is safe to tell; `expired` when only its time is up.
        """
        if "=" in token or not token.isascii():
            raise TokenRefused("the token is not valid")  # padding would give it a second form
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                # Times are judged below, by our own clock.
                options={
                    "require": ["sub", "name", "iss", "aud", "iat", "exp", "jti"],
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
        except jwt.PyJWTError:
            raise TokenRefused("the token is not valid") from None
        subject, name, token_id = claims["sub"], claims["name"], claims["jti"]
        issued, expires = claims["iat"], claims["exp"]
        if not all(type(claim) is str for claim in (subject, name, token_id)):
            raise TokenRefused("the token is not valid")
        if not (type(issued) is int and type(expires) is int):
            raise TokenRefused("the token is not valid")
        now = self._clock()
        if issued > now + LEEWAY or expires - issued > MAX_LIFETIME:
            raise TokenRefused("the token is not valid")
        if expires <= now:
            raise TokenRefused("the token has expired", expired=True)
        return Identity(subject, name, float(expires), issued, token_id)


def load_key(data_dir: Path) -> str | None:
    """The key that was generated into the data directory, if one was."""
    try:
        return (data_dir / KEY_FILE).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None


def load_or_generate_key(data_dir: Path) -> str:
    """The data directory's key, made at first use, readable by its owner only.

    Any number of processes may ask at once; they get the same key.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = data_dir / KEY_FILE
    if (key := load_key(data_dir)) is None:
        draft = data_dir / f".{KEY_FILE}.{uuid.uuid4().hex}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # fails when another process was first: then its key counts
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        key = load_key(data_dir)
        assert key is not None
    return key
