"""A database of whole conversations: the port, and what it answers to reads.

What is written is on its own page (`events.py`), and so are four parts of the port: questions
beside histories (`queries.py`), what has changed, in order (`changes.py`), what is done without
anybody's request (`upkeep.py`), and what is to leave through channels (`outbox.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from .changes import ChangesReader
from .outbox import Outbox
from .queries import Queries
from .upkeep import Upkeep

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from chat4all_protocol.frames import ConversationType

    from .events import Append, CommitResult, Mark, StoredEvent

UNREAD_LIMIT: Final = 1000
"""Unread messages are counted no further."""


class Range(Struct, frozen=True, gc=False):
    """Events with `after < seq <= upto`, the first `limit` of them."""

    conversation: str
    after: int
    upto: int
    limit: int


class Page(Struct, frozen=True):
    """Events in ascending order, and the conversation's head when they were read."""

    events: list[StoredEvent]
    head: int


class Membership(Struct, frozen=True):
    """A conversation from one member's point of view."""

    conversation: str
    type: ConversationType
    title: str | None
    head: int
    active_at: int
    """When its last event was stored (or it was created), in milliseconds since the epoch."""
    recv: int
    read: int
    unread: int = 0
    """Messages of others after `read` up to `UNREAD_LIMIT`; only where details were asked for."""
    peer: str | None = None
    """The other member of a private conversation; only where details were asked for."""


class Replay(Struct, frozen=True):
    """How much of what was missed is read at once."""

    each: int
    """Events: a conversation with more of them after its cursor is left out."""
    events: int
    """Events in all conversations together, about."""
    size: int
    """Bytes of these events."""


class Resumed(Struct, frozen=True):
    """What a session of some user starts from, as of one moment."""

    memberships: list[Membership]
    """All conversations, latest activity first; with details where they were asked for."""
    events: dict[str, list[StoredEvent]]
    """What follows the cursors, ascending; the first events of a conversation if not all."""
    unserved: frozenset[int]
    """Logical shards that are not served here: nothing of them is in this."""


class MemberInfo(Struct, frozen=True):
    """A member's role and watermarks."""

    role: str
    recv: int
    read: int
    recv_at: int | None = None
    """When the watermark last rose, in milliseconds since the epoch."""
    read_at: int | None = None
    since: int = 0
    """The seq of the `join` that brought it in; 0: from the start."""


class Conversation(Struct, frozen=True):
    """A conversation and its members, by name, in the order they came."""

    id: str
    type: ConversationType
    title: str | None
    created_by: str
    created_at: int
    head: int
    members: dict[str, MemberInfo]
    metadata: bytes | None = None
    retention: int | None = None
    """Seconds after which messages are emptied; None: they are kept."""
    digest: int = 0
    """Over what its creator wrote: tells a repeated creation from a conflict."""


class JournalRow(Struct, frozen=True, gc=False):
    """What one commit, or one creation, of some node has changed."""

    id: int
    heads: list[tuple[str, int]]
    """Conversations with the seq of their last event in it; 0 for one that was created.

    Empty for what this very store wrote, unless somebody came in.
    """
    joined: list[tuple[str, str]]
    """Conversations with a user who came in."""


class ShardStore(Outbox, Queries, ChangesReader, Upkeep, Protocol):
    """One database of whole conversations.

    *Order.* A conversation's events are in the order of their seqs to everybody, and a commit that
    returned before another began has the lower ones. *Atomicity.* A write is done whole or not at
    all, and durable when it returns; an answer to a read, but for `page`, is of one moment. Reads
    see every write that returned before they began. *Delivery.* None: whoever wants to learn of
    what is written reads the journal, which has a row for every write.

    What is asked of a conversation whose logical shard has moved to another database, or is on its
    way here, raises `Moved`. Every method raises `Unavailable` when the store can't be reached in
    time, `Rejected` for a defect; only writes raise `InDoubt`.
    """

    @property
    def name(self) -> str:
        """The database's own lasting name."""
        ...

    async def commit(self, appends: Sequence[Append], marks: Sequence[Mark]) -> CommitResult:
        """Decide and store a batch, all of it or nothing, durably when this returns.

        For each append, in order: a repeated (conversation, sender, id) is `DUPLICATE` or
        `CONFLICT` (even from a former member); a sender who is no member is refused; else the
        event gets the next seq: 1, 2, 3, ... without gaps, whatever else is refused and whoever
        else writes. What an event does is done in the same commit: `join` and `leave` change the
        members, `change` a member's role or the conversation itself, `edit` gives its target the
        new body and keeps the former one, `delete` leaves nothing of it, of its former bodies or
        of its edits, but their places.

        In a group, owners and admins add members, and change the title, the metadata and the
        retention; only owners give roles other than `member`, and change roles. Everybody may
        leave, but for the only owner while others remain; owners remove anybody, admins those who
        have no role. Nobody joins or leaves a private conversation, or changes it. A message is
        edited by its sender, and deleted by its sender or the group's owners and admins. Everybody
        reacts to a message that is not deleted; what a reaction is, its `meta` tells.

        A batch holds a (conversation, sender, id) once, nothing of a conversation after a `join`,
        `leave` or `change` of it, one `edit` or `delete` of a message, and no `react` to it after
        that, and one mark of a member (`log/queue.py` sees to that). So references, targets and
        roles are judged by what stood before the batch.

        Marks only ever raise a watermark, and never above the head; `read` raises `recv`.

        What belongs to a logical shard that is not to be written here is `MOVED`, and its marks
        are None.

        Raises:
            InDoubt: whether the batch was stored is unknown.
        """
        ...

    async def history(self, ranges: Sequence[Range]) -> list[list[StoredEvent]]:
        """The events of each range, in the order of the ranges, ascending.

        Exactly those, or an error: never a part that looks complete.
        """
        ...

    async def page(
        self, conversation: str, reader: str, *, after: int | None, before: int | None, limit: int
    ) -> Page | None:
        """The first `limit` events above `after`, or the last `limit` below `before`.

        With neither, the last `limit` of all. Nothing beyond the head that is told is in it. None
        when `reader` is no member, or there is no such conversation.
        """
        ...

    async def resume(
        self, user: str, cursors: Mapping[str, int], *, details: int, replay: Replay
    ) -> Resumed:
        """All conversations of `user`, and the events after the cursors, within the limits.

        Latest activity first; the first `details` memberships are in full. The events of a
        conversation follow its cursor without a hole, and are perhaps not all. Cursors of
        conversations that `user` is no member of are ignored.
        """
        ...

    async def conversation(self, conversation: str) -> Conversation | None:
        """The conversation and its members, or None if there is none of that id."""
        ...

    async def create(
        self,
        conversation: str,
        type_: ConversationType,
        title: str | None,
        creator: str,
        roles: dict[str, str],
        *,
        metadata: bytes | None = None,
        digest: int = 0,
        trace: bytes | None = None,
    ) -> tuple[Conversation, bool]:
        """Create a conversation with members and their roles; False when it was there already.

        Of any number of calls with the same id one creates, and all return what that one did.
        The creator may be no member. `digest` is kept: whoever finds the conversation there can
        tell by it whether the same was wanted.

        Raises:
            InDoubt: it may have been created; with the same id, calling again is safe.
        """
        ...

    async def members(self, conversations: Sequence[str]) -> dict[str, tuple[int, list[str]]]:
        """The head and the members, in the order they came, of each of these that exists."""
        ...

    async def acquainted(self, user: str, others: Collection[str]) -> set[str]:
        """Those of `others` who are in a conversation of this store together with `user`.

        Like the following two, it leaves out conversations that are not served here.
        """
        ...

    async def heads(self, conversations: Sequence[str]) -> dict[str, int]:
        """The head of each of these that exists."""
        ...

    async def conversations_of(self, users: Sequence[str]) -> list[tuple[str, str, int]]:
        """Every conversation that has one of these users as a member, the user, and its `recv`."""
        ...

    async def journal_end(self) -> int:
        """An id in the journal to start after: what is committed from now on is found that way."""
        ...

    async def journal(
        self, after: int, missing: Collection[int], *, lag: float, limit: int
    ) -> list[JournalRow]:
        """Rows with an id above `after` or in `missing`, ascending, the first `limit` of them.

        Every commit and creation of any node that stored something has a row, in the same
        transaction. A row may appear after others with greater ids: whoever reads looks up the
        ids that were left out (`follower.py`). Rows younger than `lag` seconds are left out, too.
        Reading takes nothing away: each row is there for everybody until it is trimmed.
        """
        ...

    async def trim_journal(self, keep: float) -> int:
        """Remove rows older than `keep` seconds, the oldest, a bounded number at once; how many."""
        ...

    async def close(self) -> None:
        """Give up all connections. Calls under way fail."""
        ...
