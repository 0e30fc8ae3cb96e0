"""Keys that access tokens are signed with: the port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from .audit import Actor

Algorithm = Literal["HS256", "RS256", "EdDSA"]


class SigningKey(Struct, frozen=True):
    """A key for access tokens, as it is stored."""

    kid: str
    algorithm: Algorithm
    secret: bytes
    """Encrypted."""
    created_at: int
    active_from: int
    retires_at: int | None
    """When what it signed counts no longer; None while nothing has followed it."""


class Keys(Protocol):
    """Keys that access tokens are signed with."""

    async def all(self) -> list[SigningKey]:
        """All keys whose tokens may still count, oldest first."""
        ...

    async def add(
        self,
        kid: str,
        algorithm: Algorithm,
        secret: bytes,
        actor: Actor,
        *,
        delay: float,
        keep: float,
        only_first: bool = False,
    ) -> bool:
        """Add a key that signs in `delay` seconds; the others of its algorithm retire then.

        What these have signed counts for another `keep` seconds. `only_first`: do nothing and
        return False when one of this algorithm is there.
        """
        ...
