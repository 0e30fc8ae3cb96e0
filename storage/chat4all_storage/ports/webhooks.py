"""Endpoints of programs that are told what happens, and how far each has come: the port.

An endpoint is served by one node at a time, which holds it for a lease. What it was told in its
turn is a position in the journal of each database; of a conversation that could not be told in its
turn there is a *backlog*: a range of its events, and when to try again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from msgspec import Struct

from .errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from .audit import Actor

WebhookState: TypeAlias = Literal["active", "paused", "disabled"]
"""`paused`: it has failed for too long; `disabled`: it has said that it is gone (410)."""


class TooManyWebhooks(StorageError):
    """Its owner has as many as allowed."""


class NewWebhook(Struct, frozen=True):
    """An endpoint as its owner wants it."""

    id: str
    owner: str
    """`user:ID` or `client:ID`."""
    username: str | None
    """Of a user: it is told what this member may read. None: everything."""
    url: str
    events: tuple[str, ...]
    secret: bytes
    """Sealed."""
    since: int
    """What happened before this time is not told: milliseconds since the epoch, as all here."""
    positions: bytes = b""
    """How far it has come in the journals, as its node has written it."""


class Webhook(NewWebhook, frozen=True):
    """An endpoint as it stands."""

    former_secret: bytes | None = None
    former_until: int = 0
    """Until then the former secret signs, too."""
    created_at: int = 0
    state: WebhookState = "active"
    reason: str | None = None
    """Why it is not active."""
    changed_at: int = 0
    """When its state changed."""
    replay_from: int | None = None
    """What happened since then is to be looked for in the logs."""
    failing_since: int | None = None
    """No attempt has succeeded since the one that failed then."""
    last_success_at: int | None = None
    last_failure_at: int | None = None
    last_failure: str | None = None
    delivered: int = 0
    """Events that were taken."""
    failed: int = 0
    """Attempts that failed."""
    given_up: int = 0
    """Events that were not taken in any attempt."""


class NewBacklog(Struct, frozen=True):
    """What of a conversation, or a file, is to be told later."""

    key: str
    file: bool
    after: int
    """Counts where there is none yet, else if `again`: its events up to here were told."""
    upto: int
    rises: int | None
    """Watermarks that rose since this time are to be told, too."""
    attempts: int = 0
    delay: float = 0.0
    """Seconds until it is due, where there is none yet."""


class Backlog(Struct, frozen=True):
    """What of a conversation, or a file, was not told in its turn."""

    key: str
    file: bool
    after: int
    upto: int
    rises: int | None
    version: int
    """Changes when something is added."""
    attempts: int
    """Of its next event, in vain."""


class Report(Struct, frozen=True):
    """What became of attempts, in their order."""

    delivered: int = 0
    failed: int = 0
    given_up: int = 0
    failure: str | None = None
    """Why the last of those that failed did."""
    ended_well: bool = False
    """Whether the last attempt of all succeeded."""


class Webhooks(Protocol):
    """Part of the directory, which says what holds for all: `Unavailable`, `Rejected`, `InDoubt`.

    *Order.* Of two changes of one endpoint the later sees the earlier. *Atomicity.* Each call is
    done whole or not at all. *Durability.* What returned stands. What is asked for with an owner is
    None or False for everybody else. What a node writes with its name as `holder` is written only
    while it holds the endpoint, else False is answered and nothing was done.
    """

    async def add(self, new: NewWebhook, actor: Actor, *, most: int) -> Webhook:
        """Add an endpoint; the same id of the same owner again returns what stands.

        Raises:
            TooManyWebhooks: its owner has `most`.
            Rejected: another owner has an endpoint of that id.
        """
        ...

    async def find(self, id_: str, owner: str) -> Webhook | None:
        """The endpoint of this id."""
        ...

    async def of(self, owner: str) -> list[Webhook]:
        """All of this owner, oldest first."""
        ...

    async def remove(self, id_: str, owner: str, actor: Actor) -> bool:
        """Remove it, and what was to be told."""
        ...

    async def rotate(
        self, id_: str, owner: str, secret: bytes, actor: Actor, *, keep: float
    ) -> Webhook | None:
        """Let another secret sign, and the former one beside it for `keep` seconds.

        The same secret again changes nothing.
        """
        ...

    async def resume(self, id_: str, owner: str) -> Webhook | None:
        """Let it be active; what failed is due at once."""
        ...

    async def replay(self, id_: str, owner: str, since: int) -> Webhook | None:
        """Let it be told everything since that time (again)."""
        ...

    async def backlog_count(self, id_: str, most: int) -> int:
        """How many conversations and files have a backlog, counted up to `most`."""
        ...

    # --- of the node that serves it

    async def claim(self, holder: str, *, lease: float, limit: int) -> list[Webhook]:
        """Hold active endpoints that nobody holds, for `lease` seconds; those that are new."""
        ...

    async def renew(self, holder: str, *, lease: float) -> list[Webhook]:
        """Hold those that are held, and active, for `lease` seconds more: as they stand."""
        ...

    async def release(self, id_: str, holder: str) -> None:
        """Hold it no longer."""
        ...

    async def behind(self, id_: str, keys: Collection[str]) -> set[str]:
        """Those of these conversations and files that have a backlog."""
        ...

    async def advance(
        self,
        id_: str,
        holder: str,
        positions: bytes,
        backlogs: Sequence[NewBacklog],
        report: Report,
    ) -> bool:
        """It has come so far in its turn, but for these.

        Where there is a backlog already it gets longer, and is due when it was.
        """
        ...

    async def look_back(
        self, id_: str, holder: str, backlogs: Sequence[NewBacklog], *, done: int | None
    ) -> bool:
        """These are to be told again. Where there is a backlog it begins as early, and is due now.

        `done`: the `replay_from` from which everything was looked for.
        """
        ...

    async def due(self, id_: str, limit: int) -> tuple[list[Backlog], float | None]:
        """Backlogs that are due, longest first, and in how many seconds the next one is."""
        ...

    async def settle(
        self,
        id_: str,
        holder: str,
        backlog: Backlog,
        report: Report,
        *,
        after: int,
        told_rises: bool,
        attempts: int,
        delay: float,
    ) -> bool:
        """Its events up to `after` were told, and its watermarks; the rest is due in `delay`.

        What is told whole, and has not got longer meanwhile, is forgotten.
        """
        ...

    async def stop(self, id_: str, holder: str, state: WebhookState, reason: str) -> bool:
        """It is not to be told anything for now."""
        ...
