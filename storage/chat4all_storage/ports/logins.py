"""The devices that have logged in: the port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from .audit import Act, Actor

ENDED_OVERLAP_MS: Final = 15_000
"""A login that ended may show so long after the time it bears: a transaction takes no longer."""

REVOCATION_LIFETIME: Final = 25 * 60 * 60.0
"""Seconds for which ended logins and revoked names are kept: longer than access tokens live."""


class NewLogin(Struct, frozen=True):
    """A device that logs in."""

    id: str
    user_id: str
    salt: bytes
    token_hash: bytes
    """The SHA-256 of the first refresh token."""
    lifetime: float
    """Seconds until it ends unless it is used."""
    device: str | None = None
    address: str | None = None
    user_agent: str | None = None


class Login(Struct, frozen=True):
    """A device that logged in: a family of refresh tokens, each the successor of the one before."""

    id: str
    user_id: str
    username: str
    device: str | None
    address: str | None
    user_agent: str | None
    created_at: int
    last_used_at: int
    expires_at: int
    salt: bytes
    generation: int
    """How many refresh tokens there have been."""
    token_hash: bytes
    previous_hash: bytes | None
    rotated_ago: float | None
    """Seconds since the previous refresh token was replaced."""
    alive: bool
    """Neither ended nor expired."""


class EndedLogin(Struct, frozen=True):
    """A login whose tokens count no longer."""

    login: str
    username: str
    at: int


class Logins(Protocol):
    """The devices that have logged in."""

    async def open(
        self, login: NewLogin, password_hash: bytes, most: int, actor: Actor
    ) -> list[EndedLogin] | None:
        """Add a login of a user whose password hash still is this.

        Beyond `most` logins of the user those that were not used for longest end: they are what is
        returned. None when the user is gone, or has another password by now.
        """
        ...

    async def find(self, login: str) -> Login | None:
        """A login, alive or not."""
        ...

    async def rotate(
        self, login: str, token_hash: bytes, successor: bytes, lifetime: float, actor: Actor
    ) -> bool:
        """Replace the refresh token by its successor, if it still is the one that counts.

        Of any number of calls with the same token on any nodes, one returns True.
        """
        ...

    async def of(self, user_id: str) -> list[Login]:
        """Those of a user that are alive, last used first."""
        ...

    async def end(
        self,
        user_id: str,
        why: str,
        actor: Actor,
        *,
        only: str | None = None,
        keep: str | None = None,
        act: Act = "login.ended",
    ) -> list[EndedLogin]:
        """End logins of a user: the one called `only`, or all but `keep`; those that did end."""
        ...

    async def ended(self, since: int) -> list[EndedLogin]:
        """Those that ended after that time, and some before: see `ENDED_OVERLAP_MS`."""
        ...

    async def trim(self, keep: float) -> int:
        """Forget what ended or expired `keep` seconds ago, a bounded number at once."""
        ...
