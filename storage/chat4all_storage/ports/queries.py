"""What can be asked of a shard store beside histories: the port, and its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, Literal, Protocol, TypeVar

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chat4all_protocol.frames import ConversationType

    from .events import StoredEvent

T = TypeVar("T")

MEMBERS_LISTED: Final = 100
"""Members of a conversation that a list of conversations names."""
LAST_WITHIN: Final = 1000
"""The last message of a conversation is looked for among so many events."""


class Portion(Struct, Generic[T], frozen=True):
    """What one database knows, as of one moment."""

    items: list[T]
    unserved: frozenset[int]
    """Logical shards that are not served here: nothing of them is in this."""


class Found(Struct, frozen=True):
    """An event that was looked up by its id, and what the reader is where it stands."""

    event: StoredEvent
    type: ConversationType
    role: str
    """The reader's."""

    @property
    def conversation(self) -> str:
        """Where it stands."""
        return self.event.conversation


class Listed(Struct, frozen=True):
    """A conversation in the list of one of its members."""

    conversation: str
    type: ConversationType
    title: str | None
    metadata: bytes | None
    retention: int | None
    created_by: str
    created_at: int
    active_at: int
    head: int
    role: str
    """The member's own; so are the watermarks."""
    recv: int
    read: int
    since: int
    """The seq of the `join` that brought it in; 0: from the start."""
    unread: int
    """Messages of others after `read`, up to `UNREAD_LIMIT`."""
    members: dict[str, str]
    """Roles by name, of the first `MEMBERS_LISTED` in the order they came."""
    member_count: int
    last: StoredEvent | None
    """The last message that is not deleted, if it is among the last `LAST_WITHIN` events."""

    @property
    def place(self) -> Place:
        """Where it stands in the list."""
        return self.active_at, self.conversation


Place = tuple[int, str]
"""Of a conversation in a list by activity: when its last event was stored, and its id."""


class Receipt(Struct, frozen=True):
    """What has become of an event with one member."""

    user: str
    status: Literal["SENT", "DELIVERED", "READ"]
    recv_at: int | None
    """When the member's watermark last rose, in milliseconds since the epoch, if it holds the
    event: it received it then, or before."""
    read_at: int | None
    """Likewise, if it has read it."""


class Revision(Struct, frozen=True):
    """A body that a message had before it was edited."""

    edit: int
    """The seq of the `edit` that replaced it."""
    until: int
    """When that was, in milliseconds since the epoch."""
    body: bytes | None


def receipt(
    user: str, seq: int, recv: int, read: int, recv_at: int | None, read_at: int | None
) -> Receipt:
    """What a member's watermarks say of the event at `seq`."""
    if read >= seq:
        return Receipt(user, "READ", recv_at, read_at)
    if recv >= seq:
        return Receipt(user, "DELIVERED", recv_at, None)
    return Receipt(user, "SENT", None, None)


class Reaction(Struct, frozen=True, gc=False):
    """A reaction that stands: it was put to a message, and not taken back."""

    seq: int
    """Of the `react` that put it: the last, if it was put again."""
    sender: str
    emoji: str


Carrier = tuple[str, str]
"""An event that was to carry something: the conversation it was sent to, and its id. The event is
looked for in the logical shard of that conversation, whose own id may have changed since."""


class Queries(Protocol):
    """Part of `ShardStore`, which says what holds for all reads.

    What is asked with a reader is None, or left out, where that is no member.
    """

    async def find(self, id_: str, reader: str) -> Portion[Found]:
        """The events of this id in conversations of `reader`: of several senders, perhaps."""
        ...

    async def listing(self, user: str, *, before: Place | None, limit: int) -> Portion[Listed]:
        """Conversations of `user`, latest activity first, then by id: `limit` from after `before`.

        A conversation that is active while pages are read may be in none or two of them.
        """
        ...

    async def receipts(self, conversation: str, seq: int, reader: str) -> list[Receipt] | None:
        """What has become of an event with each member but its sender, in the order they came.

        Those who came after it are left out. None, too, when there is no such event.
        """
        ...

    async def revisions(self, conversation: str, seq: int, reader: str) -> list[Revision] | None:
        """The former bodies of a message, oldest first; none of a deleted one."""
        ...

    async def reactions(self, conversation: str, seq: int, limit: int) -> list[Reaction]:
        """The last `limit` of those that stand at a message, in the order in which they were put.

        Whoever puts several at once has several; of a sender who was erased none is left.
        """
        ...

    async def carrying(
        self, carriers: Sequence[Carrier], reader: str | None
    ) -> dict[Carrier, list[bytes]]:
        """The bodies that stand now by messages and edits, of those that have any.

        An edit has the body of its message as it is now: what was edited away, or deleted, is in
        neither. Several senders may have an event of one id: a body for each. With a reader only
        of what it may read now: where it is a member, from the first event on.
        """
        ...
