"""What the server asks of its stores, and what each store promises. Read this first.

A *shard store* is one database that holds whole conversations: their events, members and
watermarks. The *directory* knows the users. `memory.py` and `postgres_*.py` implement both, and
pass one test suite.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import UNSET, Struct, UnsetType

from .actor import SHELL, Actor
from .queries import Queries
from .upkeep import Upkeep

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from chat4all_protocol.frames import ConversationType, Kind

KINDS: Final[tuple[Kind, ...]] = (
    "message",
    "edit",
    "delete",
    "react",
    "join",
    "leave",
    "change",
)
"""Kinds of events; the position is what is stored. Only ever append."""

UNREAD_LIMIT: Final = 1000
"""Unread messages are counted no further."""

EVENT_OVERHEAD: Final = 250
"""Bytes of an event beside its body and meta."""


class Rules(Struct, frozen=True):
    """What a store holds writers to, beside their roles."""

    member_limit: int = 1000
    edit_window: float = 0.0
    """Seconds in which a message may be edited; 0 is unlimited."""
    delete_window: float = 0.0
    """Seconds in which its author may delete a message; 0 is unlimited. Owners and admins of a
    group always may."""


DEFAULT_RULES: Final = Rules()


class Change(Struct, frozen=True):
    """What a `change` does to the conversation itself; what is unset stays."""

    title: str | UnsetType | None = UNSET
    metadata: bytes | UnsetType | None = UNSET
    retention: int | UnsetType | None = UNSET
    """Seconds after which messages are emptied; None: they are kept."""


class Append(Struct, frozen=True, gc=False):
    """One event to be stored."""

    conversation: str
    sender: str
    id: str
    """The idempotency key within (conversation, sender)."""
    kind: Kind
    body: bytes | None
    digest: int
    """64 bits with sign over everything the sender wrote: tells a retry from a conflict."""
    reply_to: int | None = None
    target: int | None = None
    """The message that an `edit` or `delete` is of."""
    meta: bytes | None = None
    subject: str | None = None
    """Whom a `join`, a `leave` or a `change` of a role is about."""
    role: str | None = None
    """The role that a `join` or `change` gives."""
    change: Change | None = None
    """For a `change` without a subject."""
    trace: bytes | None = None
    """The trace id of the request, 16 bytes."""


class Status(IntEnum):
    """What became of an append. Only `STORED` changed anything."""

    STORED = 0
    DUPLICATE = 1
    """Stored before, by this sender under this id, with this content."""
    CONFLICT = 2
    """Stored before, by this sender under this id, with other content."""
    NOT_MEMBER = 3
    """The sender is no member, or there is no such conversation."""
    BAD_REFERENCE = 4
    """`reply_to` names no event."""
    ALREADY_MEMBER = 5
    """A `join` of a member."""
    NO_SUCH_MEMBER = 6
    """A `leave` of somebody who is no member."""
    FULL = 7
    """A `join` beyond the greatest number of members."""
    MOVED = 8
    """Its logical shard is not to be written here: it is on the move, or has moved."""
    FORBIDDEN = 9
    """The sender's role does not allow it, the message is somebody else's, or a private
    conversation's members and settings were to be changed."""
    BAD_TARGET = 10
    """The target of an `edit` or `delete` is no message."""
    TARGET_DELETED = 11
    """The target has been deleted before."""
    LAST_OWNER = 12
    """The only owner was to leave others behind, or to give up that role."""
    TOO_LATE = 13
    """The time in which the message may be edited, or deleted, is over."""


class Outcome(Struct, frozen=True, gc=False):
    """The answer to an append: for `STORED` and `DUPLICATE` where the event stands."""

    status: Status
    seq: int = 0
    ts: int = 0
    """Milliseconds since the epoch, by the database's clock; never less than the seq before."""


class Mark(Struct, frozen=True, gc=False):
    """A member's watermarks: it holds everything up to `recv` and has read up to `read`."""

    conversation: str
    user: str
    recv: int
    read: int


class StoredEvent(Struct, frozen=True, gc=False):
    """An event as it stands in the log."""

    conversation: str
    seq: int
    id: str
    sender: str
    kind: Kind
    ts: int
    body: bytes | None
    reply_to: int | None = None
    target: int | None = None
    meta: bytes | None = None
    channel: str | None = None
    deleted: bool = False
    """Emptied: by a `delete`, by retention, or with the account of its sender."""
    edited_at: int | None = None
    """When the body was last replaced."""
    deleted_at: int | None = None


def event_size(event: StoredEvent) -> int:
    """About how many bytes an event takes."""
    return EVENT_OVERHEAD + len(event.body or b"") + len(event.meta or b"")


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


class User(Struct, frozen=True):
    """An account."""

    id: str
    username: str
    password_hash: bytes


# --- errors ---------------------------------------------------------------------------------------


class StorageError(Exception):
    """A store failed.

    StorageError
    ├── Unavailable     for now, and surely nothing was stored: trying again makes sense
    │   └── Moved       the conversation is in another database, or on its way there
    ├── InDoubt         for now, and the write may have been stored: only a retry can tell
    ├── Rejected        the store will never accept this; nothing was stored
    └── UsernameTaken
    """


class Unavailable(StorageError):
    """The store can't be used for now. Nothing was stored."""


class Moved(Unavailable):
    """The logical shard of a conversation is on its way to another database, or is there."""


class InDoubt(StorageError):
    """The connection broke while a write was under way: it may have been committed."""


class Rejected(StorageError):
    """The store refuses this for good: a defect, not bad luck. Nothing was stored."""


class UsernameTaken(StorageError):
    """A user of that name exists, perhaps in other letter case."""


# --- ports ----------------------------------------------------------------------------------------


class ShardStore(Queries, Upkeep, Protocol):
    """One database of whole conversations.

    Reads see every write that returned before they began: what is asked of a conversation whose
    logical shard has moved to another database, or is on its way here, raises `Moved`. Every method
    raises `Unavailable` when the store can't be reached in time, `Rejected` for a defect; only
    writes raise `InDoubt`.
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
        edited by its sender, and deleted by its sender or the group's owners and admins.

        A batch holds a (conversation, sender, id) once, nothing of a conversation after a `join`,
        `leave` or `change` of it, one `edit` or `delete` of a message, and one mark of a member
        (`group_commit` sees to that). So references, targets and roles are judged by what stood
        before the batch.

        Marks only ever raise a watermark, and never above the head; `read` raises `recv`.

        What belongs to a logical shard that is not to be written here is `MOVED`, and its marks
        are None.

        Raises:
            InDoubt: whether the batch was stored is unknown.
        """
        ...

    async def history(self, ranges: Sequence[Range]) -> list[list[StoredEvent]]:
        """The events of each range, ascending: exactly those, or an error."""
        ...

    async def page(
        self, conversation: str, reader: str, *, after: int | None, before: int | None, limit: int
    ) -> Page | None:
        """The first `limit` events above `after`, or the last `limit` below `before`.

        With neither, the last `limit` of all. None when `reader` is no member, or there is no
        such conversation.
        """
        ...

    async def resume(
        self, user: str, cursors: Mapping[str, int], *, details: int, replay: Replay
    ) -> Resumed:
        """All conversations of `user`, and the events after the cursors, within the limits.

        The first `details` memberships are in full. Cursors of conversations that `user` is no
        member of are ignored.
        """
        ...

    async def conversation(self, conversation: str) -> Conversation | None:
        """The conversation and its members."""
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

        The creator may be no member. `digest` is kept: whoever finds the conversation there can
        tell by it whether the same was wanted.

        Raises:
            InDoubt: it may have been created; with the same id, calling again is safe.
        """
        ...

    async def members(self, conversations: Sequence[str]) -> dict[str, tuple[int, list[str]]]:
        """The head and the members of each of these that exists, as of one moment."""
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
        """The greatest id in the journal that readers may start after."""
        ...

    async def journal(
        self, after: int, missing: Collection[int], *, lag: float, limit: int
    ) -> list[JournalRow]:
        """Rows with an id above `after` or in `missing`, ascending, the first `limit` of them.

        Every commit and creation of any node that stored something has a row, in the same
        transaction. A row may appear after others with greater ids: whoever reads looks up the
        ids that were left out. Rows younger than `lag` seconds are left out, too.
        """
        ...

    async def trim_journal(self, keep: float) -> int:
        """Remove rows older than `keep` seconds, a bounded number at once; how many."""
        ...

    async def close(self) -> None:
        """Give up all connections. Calls under way fail."""
        ...


class CommitResult(Struct, frozen=True):
    """The outcome of each append, and of each mark the watermarks that now stand.

    A mark of somebody who is no member has None, and so has one of a shard that has moved.
    """

    outcomes: list[Outcome]
    marks: list[Mark | None]
    moved: frozenset[int] = frozenset()
    """The logical shards of the batch that are not to be written here."""


class Directory(Protocol):
    """The users, and where everything is.

    User names are unique whatever their letter case, and kept as first written.
    """

    async def add_user(self, user: User, *, email: str | None = None, actor: Actor = SHELL) -> None:
        """Add an account.

        Raises:
            UsernameTaken: the name is in use.
            InDoubt: it may have been added.
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
        """Let every node learn this.

        Raises:
            InDoubt: they may learn it.
        """
        ...

    async def notices_end(self) -> int:
        """The greatest id among the notices that readers may start after."""
        ...

    async def notices(self, after: int, missing: Collection[int], *, limit: int) -> list[Notice]:
        """Notices with an id above `after` or in `missing`, ascending, the first `limit` of them.

        As in `ShardStore.journal`, one may appear after others with greater ids.
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
