"""What is known of users beside their names: the port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .audit import Actor
    from .logins import EndedLogin


class Profile(Struct, frozen=True):
    """What a user tells of itself, and sees of its account."""

    id: str
    username: str
    display_name: str | None
    email: str | None
    created_at: int
    password_changed_at: int | None
    totp: bool
    """Whether logging in needs a second factor."""


class Profiles(Protocol):
    """What is known of users beside their names."""

    async def profile(self, user_id: str) -> Profile | None:
        """None when there is no such user (any more)."""
        ...

    async def change(self, user_id: str, changes: Mapping[str, str | None], actor: Actor) -> bool:
        """Set `email` or `display_name`; False when there is no such user."""
        ...

    async def change_password(
        self, user_id: str, former: bytes, password_hash: bytes, keep: str | None, actor: Actor
    ) -> list[EndedLogin] | None:
        """Replace the hash `former`, and end all logins of the user but `keep`.

        None when `former` is not the user's hash (any more): nothing has changed.
        """
        ...

    async def erase(self, user_id: str, pseudonym: str, actor: Actor) -> list[EndedLogin] | None:
        """Remove a user with everything that belongs to the account; tokens count no longer.

        An `Erasure` begins with it: the name is free when that is finished. None when
        there is no such user (any more).
        """
        ...
