"""What has changed in a database, in an order in which nothing is missed: part of `ShardStore`.

This is what programs are told by webhooks and the pull feed. Where nodes follow the journal to
learn which conversations have moved, here its rows are read one after the other, and none is passed
before those with lower numbers are known to be there, or to come no more.
"""

from __future__ import annotations

from typing import Final, Protocol

from msgspec import Struct

CREATED: Final = 0
"""The number, in `Changed.heads`, of a conversation's creation; its first event has 1."""


class Rise(Struct, frozen=True, gc=False):
    """A member's watermarks that rose; None: this one did not."""

    conversation: str
    user: str
    recv: int | None
    read: int | None


class ReadyFile(Struct, frozen=True, gc=False):
    """A file that may be used from now on."""

    id: str
    owner: str


class Failure(Struct, frozen=True, gc=False):
    """An event that is given up: it does not reach a member through an account."""

    conversation: str
    seq: int
    user: str
    """An external address, or a user who is linked to one."""
    account: str
    reason: str | None
    """In words, as `Finish` has it."""


class Changed(Struct, frozen=True):
    """A row of the journal: what was changed in one transaction."""

    id: int
    at: int
    """Milliseconds since the epoch, by the database's clock."""
    heads: list[tuple[str, int]]
    """Conversations with the seq of their last event in it. All of a conversation's events in
    one transaction have the same time."""
    joined: list[tuple[str, str]]
    """Conversations with a user who came in."""
    rises: list[Rise]
    file: ReadyFile | None = None
    failure: Failure | None = None


class Changes(Struct, frozen=True):
    """Rows in their order, and where to go on."""

    rows: list[Changed]
    at: int
    """Whoever has read these has read everything that was committed before this time."""
    more: bool
    """There are further rows to be read at once."""


class Activity(Struct, frozen=True, gc=False):
    """A conversation that was looked at."""

    conversation: str
    after: int
    """The last seq that is older than what was asked for; -1: its creation is not older."""
    head: int
    moved: bool
    """Whether anything has happened since: an event, its creation, or a watermark that rose."""


class ChangesReader(Protocol):
    """Part of `ShardStore`, which says what holds for all reads."""

    async def changes(self, after: int, *, limit: int) -> Changes:
        """The first `limit` rows of the journal beyond `after`, ascending.

        Every row that is committed after this has returned has a greater id than all of these. Rows
        that were trimmed are passed: whoever comes back later than they are kept has missed some.
        """
        ...

    async def active(
        self, since: int, user: str | None, *, after: str | None, limit: int
    ) -> tuple[list[Activity], frozenset[int]]:
        """The next `limit` conversations by id, of this member or of all, and what they were since.

        Beside them the logical shards that are not served here.
        """
        ...

    async def watch(self, seconds: float) -> None:
        """For so long at least, note what is no event, too: watermarks, files and failures."""
        ...

    async def note_failure(self, failure: Failure) -> None:
        """Have a row about it, if somebody watches: one more each time it is noted."""
        ...
