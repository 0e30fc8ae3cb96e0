"""What is put under load: where it is, what it speaks, which processes it is, and its users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..measuring.proc import Known
    from ..result import Target as TargetInfo


class SetupError(Exception):
    """The run can't begin: why, and what mends it."""


class UsageError(Exception):
    """An argument does not fit: which, and why."""


class Person(Struct, frozen=True):
    """A user, and what they authenticate with."""

    name: str
    token: str


class Room(Struct, frozen=True):
    """A conversation that is to be, by its members; two of them are a private one."""

    members: Sequence[Person]


class Target(Protocol):
    """A server that runs."""

    info: TargetInfo
    host: str
    ports: Sequence[int]
    """One, or one of each node."""
    dialect: str
    """`module:Class`; see `dialects/base.py`."""

    def processes(self) -> list[Known]:
        """Its processes on this machine; none when it is elsewhere."""
        ...

    def people(self, names: Sequence[str]) -> list[Person]:
        """Make sure that there are so many users, called so where names can be chosen.

        Raises:
            SetupError: they can't be made.
        """
        ...

    def rooms(self, rooms: Sequence[Room]) -> list[str]:
        """Open these rooms; the server's names of them, in their order.

        Raises:
            SetupError: they can't be opened.
        """
        ...
