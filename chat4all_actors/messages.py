"""Every message that actors send each other, and what sessions are told, on one page.

A conversation's mailbox takes the messages of `ToConversation`. Sessions take no messages: what
they are told is a function call that never waits (`Reader`), as a parked task and a queue
per session would cost more than the session itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from msgspec import Struct

from chat4all_storage.log.entries import Refused
from chat4all_storage.ports.events import StoredEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chat4all_protocol.frames import Conv, Error, TypingKind
    from chat4all_storage.log.entries import Answer, Entry
    from chat4all_storage.ports.events import Append, Mark


class Origin(Protocol):
    """Who waits for what becomes of a `Post`. Its methods never wait and never raise."""

    def stored(self, post: Post, seq: int, ts: int, *, dup: bool) -> None:
        """The event stands at `seq`; for `dup` it did before."""

    def refused(self, post: Post, error: Error) -> None:
        """Nothing was stored."""

    def lost(self, post: Post) -> None:
        """What became of it can't be told: whoever asks again finds out."""


class Post(Struct, frozen=True, eq=False):
    """Store this event and give it to everybody."""

    append: Append
    rid: int
    origin: Origin

    def event(self, seq: int, ts: int) -> StoredEvent:
        """The event that it has become."""
        append = self.append
        return StoredEvent(
            conversation=append.conversation,
            seq=seq,
            id=append.id,
            sender=append.sender,
            kind=append.kind,
            ts=ts,
            body=append.body,
            reply_to=append.reply_to,
            target=append.target,
            meta=append.meta,
            channel=append.channel,
        )


class Committed(Struct, frozen=True, eq=False):
    """The log's answers to this conversation's posts of one flush, in order."""

    answers: list[tuple[Entry[Post], Answer]]


class Overtaken(Struct, frozen=True, eq=False):
    """Events up to `seq` are stored that a former actor of the conversation could not pass."""

    seq: int


class MarkRead(Struct, frozen=True, eq=False):
    """A reader holds everything up to `recv`, and its user has read up to `read`."""

    reader: Reader
    recv: int
    read: int


class MarkDue(Struct, frozen=True, eq=False):
    """The watermarks of `user` may be written again."""

    user: str


class Marked(Struct, frozen=True, eq=False):
    """Watermarks were written: they now stand there."""

    mark: Mark


class ReceiptsDue(Struct, frozen=True, eq=False):
    """Collected receipts are to be told."""


class Compose(Struct, frozen=True, eq=False):
    """A reader's user is composing."""

    reader: Reader
    kind: TypingKind


# --- from other nodes -----------------------------------------------------------------------------


class Relayed(Struct, frozen=True, eq=False):
    """Consecutive events, `first` and after, were stored through another node."""

    first: int
    senders: list[str]
    frames: list[bytes]
    """Each event's `msg` as a WebSocket frame."""

    @property
    def size(self) -> int:
        """Bytes of the frames."""
        return sum(map(len, self.frames))


class HoleDue(Struct, frozen=True, eq=False):
    """Events that came too early have waited long enough for those before them."""


class Risen(Struct, frozen=True, gc=False):
    """A member's watermarks, and where they were told to stand before."""

    user: str
    recv: int
    read: int
    recv_before: int
    read_before: int


class RisenElsewhere(Struct, frozen=True, eq=False):
    """Watermarks of members were written through another node."""

    risen: list[Risen]


class ComposingElsewhere(Struct, frozen=True, eq=False):
    """A member is composing on another node."""

    user: str
    kind: TypingKind


class MembersRead(Struct, frozen=True, eq=False):
    """Who was a member when the conversation stood at `head`."""

    head: int
    members: list[str]


ToConversation: TypeAlias = (
    Post
    | Committed
    | Overtaken
    | MarkRead
    | MarkDue
    | Marked
    | ReceiptsDue
    | Compose
    | Relayed
    | HoleDue
    | RisenElsewhere
    | ComposingElsewhere
    | MembersRead
)


def stored_up_to(unhandled: list[ToConversation], head: int) -> int:
    """The last event known to be stored: `head`, or one that a message told of."""
    for message in unhandled:
        if isinstance(message, Committed):
            for _, answer in message.answers:
                if not isinstance(answer, Refused):
                    head = max(head, answer.seq)
        elif isinstance(message, Overtaken):
            head = max(head, message.seq)
        elif isinstance(message, Relayed):
            head = max(head, message.first + len(message.frames) - 1)
    return head


# --- to sessions ----------------------------------------------------------------------------------


class Passing(Struct, frozen=True, eq=False):
    """An event on its way to the readers."""

    seq: int
    ts: int
    data: bytes
    """Its `msg`, as a WebSocket frame."""
    sender: str
    post: Post | None = None
    """What it was, if it was sent through this node: its origin gets `sent` in its place."""
    dup: bool = False


class Reader(Protocol):
    """A local session, as a conversation sees it. None of its methods waits or raises."""

    @property
    def user(self) -> str:
        """The name of its user."""
        ...

    @property
    def device(self) -> str:
        """The device it is on: a user has one session on each."""
        ...

    @property
    def birth(self) -> int:
        """When it arrived, in microseconds by the directory's clock; 0 before it has."""
        ...

    @property
    def missing(self) -> frozenset[int]:
        """Logical shards whose conversations it does not read yet (`latecomers`)."""
        ...

    def deliver(self, conversation: str, first: int, last: int, data: bytes) -> None:
        """Events `first`..`last` of a conversation, as WebSocket frames."""

    def deliver_own(self, conversation: str, events: Sequence[Passing]) -> None:
        """Consecutive events, of which some were sent by this very session."""

    def deliver_passing(self, data: bytes) -> None:
        """A frame that may be dropped for a reader that is behind."""

    def entered(self, frame: Conv) -> None:
        """The reader's user is a member; events after `frame.head` follow."""

    def missed(self, conversation: str, first: int, last: int) -> None:
        """Events `first`..`last` are not delivered, and may be fetched."""

    def left(self, frame: Conv) -> None:
        """The reader's user is no longer a member; nothing follows."""

    def met(self, user: str) -> None:
        """`user` became a member of a conversation that it reads."""

    def parted(self, user: str) -> None:
        """`user` is no longer a member of a conversation that it reads."""

    def replaced(self) -> None:
        """The same device connected again: this session is over."""

    def revoked(self, valid_from: int) -> None:
        """Tokens that were issued before that second since the epoch count no longer."""

    def logged_out(self, login: str) -> None:
        """Tokens of this login count no longer."""

    def close_internal(self) -> None:
        """Something failed on our side: the client is to connect again and resume."""
