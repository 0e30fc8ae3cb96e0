"""Access tokens: JSON Web Tokens that name a user, or a service client, for an hour.

The server's own key signs with HS256; keys of the keyring have an id (`kid`) and one algorithm
each. A token must say when it ends and was issued, by whom, for whom, and its own id; one that
claims a longer life than this server gives is refused.

| claim | of a user | of a service client |
|---|---|---|
| `sub` | the user's id | the client's id |
| `name` | the user's name | `client:NAME`, which no user can be called |
| `sid` | the login; none in tokens made on the command line | none |
| `client` | none | the client's name |
| `scope` | none | what it may do, between spaces |
"""

from __future__ import annotations

import os
import secrets
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

import jwt
import msgspec
from msgspec import Struct

from .own_tokens import Claims, read_own

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from .keyring import Keyring

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
    login: str | None = None
    """The login that the token belongs to; None when it was made on the command line."""


class TokenRefused(Exception):
    """The token is not one of ours, or no longer."""

    def __init__(self, message: str, *, expired: bool = False) -> None:
        super().__init__(message)
        self.expired = expired


class Tokens:
    """Issues and verifies access tokens."""

    def __init__(
        self,
        key: str,
        *,
        lifetime: float = 3600.0,
        clock: Callable[[], float] = time.time,
        keyring: Keyring | None = None,
    ) -> None:
        """`key` signs unless the keyring has one that is to; it verifies in any case."""
        if len(key.encode()) < MIN_KEY_BYTES:
            raise ValueError(f"the key has fewer than {MIN_KEY_BYTES} bytes")
        self.lifetime = lifetime
        """Seconds."""
        self._key = key
        self._key_bytes = key.encode()
        self._clock = clock
        self._keyring = keyring

    def issue(self, user_id: str, username: str, *, login: str | None = None) -> str:
        """A new token for this user."""
        return self._sign(user_id, username, {} if login is None else {"sid": login})

    def issue_for_client(self, client_id: str, name: str, scopes: Iterable[str]) -> str:
        """A new token for this service client."""
        more = {"client": name, "scope": " ".join(scopes)}
        return self._sign(client_id, principal(name), more)

    def _sign(self, subject: str, name: str, more: dict[str, str]) -> str:
        now = self._clock()
        claims = {
            "sub": subject,
            "name": name,
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": int(now),
            "exp": int(now + self.lifetime),
            "jti": str(uuid.uuid4()),
            **more,
        }
        signing = None if self._keyring is None else self._keyring.signing()
        if signing is None:
            return jwt.encode(claims, self._key, algorithm=ALGORITHM)
        headers = {"kid": signing.kid}
        return jwt.encode(claims, signing.private, algorithm=signing.algorithm, headers=headers)

    def verify(self, token: str) -> Identity:
        """Whom the token names.

        Raises:
            TokenRefused: with a reason that is safe to tell; `expired` when only its time is up.
        """
        if "=" in token or not token.isascii():
            raise _refused()  # padding would give it a second form
        claims = read_own(token, self._key_bytes)
        if claims is None or claims.iss != ISSUER or claims.aud != AUDIENCE:
            claims = self._read(token)
        identity = _identity(claims)
        now = self._clock()
        if claims.iat > now + LEEWAY or claims.exp - claims.iat > MAX_LIFETIME:
            raise _refused()
        if claims.exp <= now:
            raise TokenRefused("the token has expired", expired=True)
        return identity

    def _read(self, token: str) -> Claims:
        """The claims of a token in any form that counts; when it ends is not judged."""
        try:
            key, algorithm = self._verifying(jwt.get_unverified_header(token))
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=ISSUER,
                audience=AUDIENCE,
                # Times are judged by our own clock.
                options={
                    "require": ["sub", "name", "iss", "aud", "iat", "exp", "jti"],
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            return msgspec.convert(claims, Claims)
        except (jwt.PyJWTError, msgspec.ValidationError):
            raise _refused() from None

    def _verifying(self, header: dict[str, Any]) -> tuple[Any, str]:
        """The key that a token's header names, and the one algorithm that it is for."""
        if "kid" not in header:
            return self._key, ALGORITHM
        kid = header["kid"]
        known = self._keyring.get(kid) if self._keyring and isinstance(kid, str) else None
        if known is None:
            raise _refused()
        return known.public, known.algorithm


def principal(client: str) -> str:
    """The name of a service client among users, none of whom can be called so."""
    return f"client:{client}"


def _identity(claims: Claims) -> Identity:
    name, client = claims.name, claims.client
    if name.startswith("client:") if client is None else not client or name != principal(client):
        raise _refused()
    return Identity(
        user_id=claims.sub,
        username=name,
        expires_at=float(claims.exp),
        issued_at=claims.iat,
        token_id=claims.jti,
        client=client,
        scopes=frozenset((claims.scope or "").split()),
        login=claims.sid,
    )


def _refused() -> TokenRefused:
    return TokenRefused("the token is not valid")


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
