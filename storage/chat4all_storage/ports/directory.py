"""The users, and where everything is: the port of the first of the databases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from .audit import SHELL, Actor

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class User(Struct, frozen=True):
    """An account."""

    id: str
    username: str
    password_hash: bytes


class Arrivals(Struct, frozen=True):
    """What the directory knows of users who connect."""

    read_at: int
    """When it was read, in microseconds since the epoch by the directory's clock: a change of
    settings that was over before is in it, and later readings have greater times."""
    invisible: frozenset[str]
    """Those who do not want others to see whether they are there."""


class Notice(Struct, frozen=True, gc=False):
    """What every node is to learn, from the directory."""

    id: int
    body: bytes


class Directory(Protocol):
    """The users, and where everything is.

    User names are unique whatever their letter case, and kept as first written.

    *Order.* Of two writes to the same user the later one stands. *Atomicity.* A write is done whole
    or not at all, together with its entry in the audit log, and durable when it returns; an answer
    to a read is of one moment, and has every write that returned before. *Delivery.* Notices and
    revocations are read by every node for itself: see `notices` and `revocations`.

    Every method raises `Unavailable` when the directory can't be reached in time, `Rejected` for a
    defect; only writes raise `InDoubt`.
    """

    async def add_user(self, user: User, *, email: str | None = None, actor: Actor = SHELL) -> None:
        """Add an account.

        Raises:
            UsernameTaken: the name is in use; of several at once for one name, one has it.
            InDoubt: it may have been added; then the name is taken at the next try.
        """
        ...

    async def find_user(self, username: str) -> User | None:
        """The account of that name, in whatever letter case."""
        ...

    async def canonical_names(self, usernames: Collection[str]) -> dict[str, str]:
        """Each of the names that exists, as asked for, with the way it was first written."""
        ...

    async def arrivals(self, usernames: Collection[str]) -> Arrivals:
        """The settings of these users, named as they were first written."""
        ...

    async def set_invisible(self, username: str, invisible: bool) -> None:
        """Let others see, or see no more, whether this user is there.

        Raises:
            InDoubt: it may have been set.
        """
        ...

    async def note_seen(self, seen: Mapping[str, int]) -> None:
        """Users were there last at these times (milliseconds since the epoch); later ones stay.

        Raises:
            InDoubt: it may have been noted.
        """
        ...

    async def last_seen(self, usernames: Collection[str]) -> dict[str, int]:
        """When each of these was there last, for those who were ever and let others see it."""
        ...

    async def seen_lately(self, limit: int) -> dict[str, int]:
        """Those users who were there last, latest first, and let others see it."""
        ...

    async def notify(self, body: bytes) -> None:
        """Let every node learn this, if it reads on before the notice is trimmed.

        Raises:
            InDoubt: they may learn it; a second call is a second notice.
        """
        ...

    async def notices_end(self) -> int:
        """An id to start after: what is notified from now on is found that way."""
        ...

    async def notices(self, after: int, missing: Collection[int], *, limit: int) -> list[Notice]:
        """Notices with an id above `after` or in `missing`, ascending, the first `limit` of them.

        As in `ShardStore.journal`, one may appear after others with greater ids, and reading
        takes nothing away.
        """
        ...

    async def trim_notices(self, keep: float) -> int:
        """Remove notices older than `keep` seconds, a bounded number at once; how many."""
        ...

    async def revoke(self, username: str, *, actor: Actor = SHELL) -> tuple[str, int] | None:
        """Let the tokens that this user has now count no longer, those for refreshing included.

        The name as it was first written, and the second since the epoch from which on tokens of
        this user must have been issued to count; None when there is no such user.

        Raises:
            InDoubt: it may have been done.
        """
        ...

    async def revocations(self, since: int) -> dict[str, int]:
        """Names whose tokens must have been issued at a second, for those after `since`.

        Users and service clients (`client:NAME`) that are gone are among them.
        """
        ...

    async def placement(self) -> list[str]:
        """The lasting name of the database that holds each logical shard, by its number."""
        ...
