"""What happened, as the clients saw it: the checker's only knowledge beside the tables.

All times are of one monotonic clock. What is sent is noted before it goes out, what is received
after it has come in, so an answer that was noted before something was sent really came before it.
"""

from __future__ import annotations

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


Frame = Pushed | Acknowledged | Announced


class Session(Struct, eq=False):
    """One connection that got its `ready`, and the events it received, in order."""

    number: int
    user: str
    device: str
    starts: dict[str, int]
    """Where each conversation stood for it: the next event is the one after that."""
    frames: list[Frame] = field(default_factory=list)
    closed: int | None = None
    """The code of its end, if the server told one."""


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


class History:
    """Everything the clients did and saw."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.sessions: list[Session] = []
        self.pages: list[Fetched] = []

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

    def open(self, user: str, device: str, starts: dict[str, int]) -> Session:
        """A session got its `ready`."""
        session = Session(len(self.sessions), user, device, starts)
        self.sessions.append(session)
        return session

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
