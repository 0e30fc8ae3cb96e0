"""Which node holds an account on a channel, and what came in through it; in the directory.

An account is held by one node at a time: so its rates are kept, and each chat's order. Who holds it
renews that; a lease that has run out is taken by another node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .audit import Actor


class AccountState(Struct, frozen=True):
    """What is known of an account."""

    account: str
    holder: str | None
    """The node that holds it, if its lease has not run out."""
    state: str
    """A connector's health: `connected`, `degraded`, `token_expiring`, `dead`; `unknown` first."""
    detail: str
    at: int
    """When that was told, in milliseconds since the epoch."""


class Incoming(Struct, frozen=True):
    """Something that happened on the channel, as the connector tells it."""

    key: str
    """The same whenever the provider repeats it."""
    body: bytes
    """The event as JSON."""


class Pending(Incoming, frozen=True):
    """One that is to be worked on."""

    id: int
    attempts: int


class Backlog(Struct, frozen=True):
    """What came in through an account and was not worked on."""

    account: str
    pending: int
    aside: int
    """Events that were put aside."""
    reason: str | None
    """Why the last of them was, if there is one."""


class ChannelAccounts(Protocol):
    """Part of the directory, which says what holds for all."""

    async def hold(self, account: str, holder: str, seconds: float) -> bool:
        """Take the account, or keep it, for so long from now; whether that was done.

        Whoever takes it from another holder finds what that one was `sending` as `unknown`, in the
        same transaction: it may have been sent.
        """
        ...

    async def let_go(self, account: str, holder: str) -> None:
        """Give it up, if this one holds it: another node may take it at once."""
        ...

    async def tell_state(self, account: str, holder: str, state: str, detail: str) -> None:
        """Note how it does, if this one holds it."""
        ...

    async def states(self) -> list[AccountState]:
        """All that were ever held, by name."""
        ...

    async def receive(
        self, account: str, events: Sequence[Incoming], cursor: str | None = None
    ) -> int:
        """Keep what came in, once each, and where polling goes on; how many were new."""
        ...

    async def cursor(self, account: str) -> str | None:
        """Where polling goes on."""
        ...

    async def pending(self, account: str, limit: int, after: int = 0) -> list[Pending]:
        """What was received and not worked on yet, in the order in which it was received.

        Only those with ids above `after`, which ascend.
        """
        ...

    async def worked(self, account: str, holder: str, ids: Sequence[int]) -> None:
        """These are done: their keys stay, so that repetitions are known, their bodies go."""
        ...

    async def failed(self, account: str, holder: str, id_: int) -> None:
        """Working on this one has failed: its `attempts` are counted."""
        ...

    async def put_aside(self, account: str, holder: str, id_: int, reason: str) -> None:
        """This one can't be worked on: it is kept for operators, and not pending any more."""
        ...

    async def backlogs(self) -> list[Backlog]:
        """Of each account that has some, by name."""
        ...

    async def put_back(self, account: str, actor: Actor) -> int:
        """Let everything that was put aside be pending again, and the audit log have that.

        How many that were.
        """
        ...

    async def trim(self, keep: float, limit: int) -> int:
        """Forget what was received more than `keep` seconds ago and is done, or was put aside.

        `limit` at once; how many.
        """
        ...
