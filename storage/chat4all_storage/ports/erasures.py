"""Erasures under way: users whose account is gone, and whose traces are being removed: the port."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class Erasure(Struct, frozen=True):
    """A user who is being erased."""

    user_id: str
    username: str
    pseudonym: str
    """What stands for the name in conversations; no account can have it."""


class Erasures(Protocol):
    """Begun by `Profiles.erase`, in its transaction; the name is taken until they are finished."""

    async def claim(self, delay: float, lease: float) -> Erasure | None:
        """One that began at least `delay` seconds ago, for the caller alone for `lease` seconds.

        A lease that ends unfinished lets another have it; doing the same again is harmless.
        """
        ...

    async def finish(self, user_id: str) -> None:
        """Nothing is left: the name is free."""
        ...
