"""What happened, as the clients saw it: the checker's only knowledge beside the tables.

All times are of one monotonic clock. What is sent is noted before it goes out, what is received
after it has come in, so an answer that was noted before something was sent really came before it.
"""

from __future__ import annotations

from math import inf

import trio
from msgspec import Struct, field


class Event(Struct, frozen=True, gc=False):
    """An event of a log, as somebody saw it."""

    seq: int
    id: str
    sender: str
    text: str
    ts: int


class Attempt(Struct, eq=False):
    """A message that was sent once. Without `seq` and without `error`: no answer (yet)."""

    session: int
    sent: float
    answered: float | None = None
    seq: int | None = None
    ts: int = 0
    dup: bool = False
    error: str | None = None


class Operation(Struct, eq=False):
    """A message that somebody wanted to be stored, and every attempt at it."""

    conversation: str
    sender: str
    id: str
    text: str
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """`ok`: stored, for somebody said so. `fail`: each attempt was refused. Else `info`."""
        if any(attempt.seq is not None for attempt in self.attempts):
            return "ok"
        refused = all(attempt.error is not None for attempt in self.attempts)
        return "fail" if refused else "info"


class Pushed(Struct, frozen=True, gc=False):
    """A `msg`."""

    at: float
    conversation: str
    event: Event


class Acknowledged(Struct, frozen=True, gc=False):
    """A `sent`: for its session it takes the place of the `msg`."""

    at: float
    conversation: str
    event: Event
    dup: bool


class Announced(Struct, frozen=True, gc=False):
    """A `gap`: events `first`..`last` are not pushed."""

    at: float
    conversation: str
    first: int
    last: int


class Introduced(Struct, frozen=True, gc=False):
    """A conversation that is new to the client: events after `head` follow."""

    at: float
    conversation: str
    head: int


Frame = Pushed | Acknowledged | Announced | Introduced


class Session(Struct, eq=False):
    """One connection that got its `ready`, and the events it received, in order."""

    number: int
    user: str
    device: str
    starts: dict[str, int]
    """Where each conversation stood for it: the next event is the one after that."""
    frames: list[Frame] = field(default_factory=list)
    node: int = 0
    opened: float = 0.0
    ended: float = inf
    attentive: bool = True
    """Whether it read all the time what it was sent."""
    overheard: dict[str, str] = field(default_factory=dict)
    """Conversations of which other frames came, and the name of such a frame."""


class Fetched(Struct, frozen=True):
    """A `page`, and what was asked for."""

    user: str
    device: str
    conversation: str
    after: int | None
    before: int | None
    limit: int
    sent: float
    answered: float
    events: list[Event]
    more: bool


class Watermark(Struct, frozen=True, gc=False):
    """How far a member has received and read a conversation, as somebody said at some time."""

    at: float
    conversation: str
    user: str
    recv: int
    read: int
    asked: float | None = None
    """When that was asked for; nobody asks for a `receipt`."""


class Trespass(Struct, frozen=True):
    """What somebody asked about a conversation of which he was not told, and the answer.

    That is the name of a frame, or an error code. By the end it may turn out that he is a member.
    """

    user: str
    conversation: str
    request: str
    answer: str


class Disruption(Struct, frozen=True, kw_only=True):
    """A time in which nothing has to arrive.

    At anybody, or only at the sessions of one node, or only in the conversations of one database.
    """

    start: float
    end: float
    node: int | None = None
    database: int | None = None


class History:
    """Everything the clients did and saw."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.sessions: list[Session] = []
        self.pages: list[Fetched] = []
        self.claims: list[Watermark] = []
        """What members said of themselves; noted before it goes out."""
        self.watermarks: list[Watermark] = []
        """What anybody was told of anybody."""
        self.trespasses: list[Trespass] = []
        self.disruptions: list[Disruption] = []
        self.epoch = 0.0
        """What the databases' clocks show, in seconds, when the history's clock shows 0."""

    def begin(self, conversation: str, sender: str, id_: str, text: str) -> Operation:
        """Somebody wants a message to be stored."""
        operation = Operation(conversation, sender, id_, text)
        self.operations.append(operation)
        return operation

    def send(self, operation: Operation, session: Session) -> Attempt:
        """It is about to be sent."""
        attempt = Attempt(session.number, trio.current_time())
        operation.attempts.append(attempt)
        return attempt

    def acknowledge(
        self,
        session: Session,
        operation: Operation,
        attempt: Attempt,
        *,
        seq: int,
        ts: int,
        dup: bool,
    ) -> None:
        """`sent` was received."""
        now = attempt.answered = trio.current_time()
        attempt.seq, attempt.ts, attempt.dup = seq, ts, dup
        event = Event(seq, operation.id, operation.sender, operation.text, ts)
        session.frames.append(Acknowledged(now, operation.conversation, event, dup))

    def refuse(self, attempt: Attempt, code: str) -> None:
        """`error` was received."""
        attempt.answered = trio.current_time()
        attempt.error = code

    def open(self, user: str, device: str, starts: dict[str, int], node: int) -> Session:
        """A session got its `ready`."""
        number, now = len(self.sessions), trio.current_time()
        session = Session(number, user, device, starts, node=node, opened=now)
        self.sessions.append(session)
        return session

    def introduce(self, session: Session, conversation: str, head: int) -> None:
        """`conv` of a new conversation was received."""
        session.frames.append(Introduced(trio.current_time(), conversation, head))

    def push(self, session: Session, conversation: str, event: Event) -> None:
        """`msg` was received."""
        session.frames.append(Pushed(trio.current_time(), conversation, event))

    def announce(self, session: Session, conversation: str, first: int, last: int) -> None:
        """`gap` was received."""
        session.frames.append(Announced(trio.current_time(), conversation, first, last))

    def page(self, page: Fetched) -> None:
        """`page` was received."""
        self.pages.append(page)


class Tables(Struct, frozen=True):
    """What the database holds at the end."""

    logs: dict[str, list[Event]]
    """Rows of each conversation by seq, as they stand: nothing is made unique."""
    heads: dict[str, int]
    members: dict[str, list[str]]
    watermarks: dict[tuple[str, str], tuple[int, int]] = {}
    """`recv` and `read` by conversation and user."""
    homes: dict[str, int] = {}
    """The number of the database that holds a conversation, where there are several."""
