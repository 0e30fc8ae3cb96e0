"""What is to be sent through channels, and how far that has come; in the directory.

    queued ─ begin ─▶ sending ─ finish ─▶ sent ──▶ delivered ──▶ read      (receipts; only upwards)
       ▲                 │  ├──▶ queued   surely not sent, to be tried again at `due`
       └──── retry ──────┤  ├──▶ failed   given up: a dead letter; a receipt may say so later, too
                         │  └──▶ unknown  it may have been sent: never again; a receipt settles it
                         └ take_over (the holder has died) ──▶ unknown

A chat is sent to one delivery after the other, in the order in which they were added. `queued` and
`sending` ones are in the way of those behind them; others are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chat4all_protocol.frames import Kind

    from .audit import Actor

DeliveryState: TypeAlias = Literal[
    "queued", "sending", "unknown", "sent", "delivered", "read", "failed", "dropped"
]
OPEN: Final[frozenset[DeliveryState]] = frozenset({"queued", "sending"})
"""What is in the way of what follows in its chat."""
RAISED_BY: Final[dict[str, frozenset[DeliveryState]]] = {
    "sent": frozenset({"sending", "unknown"}),
    "delivered": frozenset({"sending", "unknown", "sent"}),
    "read": frozenset({"sending", "unknown", "sent", "delivered"}),
    "failed": frozenset({"sending", "unknown", "sent"}),
}
"""The states from which each receipt leads on."""


class NewDelivery(Struct, frozen=True, kw_only=True):
    """An event for one chat on one account, or a part of it: one call of the provider's."""

    account: str
    """As configured: `telegram`, or `telegram:support`."""
    chat: str
    """The provider's id."""
    address: str
    """The member it is for: an external address, or the name of a user who is linked to one."""
    conversation: str
    seq: int
    kind: Kind
    target: int | None = None
    part: int = 0
    """Of an event that goes in several messages; 0 is the first."""


class Delivery(NewDelivery, frozen=True, kw_only=True):
    """One that is to be sent."""

    id: int
    attempts: int
    """Calls that failed."""
    added_at: int
    """Milliseconds since the epoch, as all times here."""


class Finish(Struct, frozen=True, kw_only=True):
    """What became of a delivery that was begun."""

    id: int
    state: Literal["queued", "sent", "unknown", "failed"]
    message: str | None = None
    """The provider's id of what was sent: it is found by receipts and quotes from now on."""
    delay: float = 0.0
    """With `queued`: seconds until it is to be tried again."""
    attempts: int = 0
    """With `queued`: calls that have failed by now."""
    reason: str | None = None
    """For operators, and for the sender: no secret, no address, nothing that people wrote."""


class Told(Struct, frozen=True, kw_only=True):
    """A receipt: of a message, of a reference, or of everything sent to a chat up to a time."""

    state: Literal["sent", "delivered", "read", "failed"]
    at: int
    message: str | None = None
    """The provider's id."""
    reference: str | None = None
    """What was handed over with it: `reference_of` the delivery."""
    chat: str | None = None
    upto: int | None = None
    """Everything that was sent to `chat` at this time or before."""
    reason: str | None = None


class Step(Struct, frozen=True):
    """That a delivery came to a state."""

    state: DeliveryState
    at: int


class Progress(Struct, frozen=True):
    """How far a delivery has come."""

    id: int
    account: str
    address: str
    conversation: str
    seq: int
    part: int
    state: DeliveryState
    reason: str | None
    attempts: int
    steps: list[Step]
    """In the order in which they happened."""


class Sent(Struct, frozen=True):
    """A message at a provider, and the event that it is."""

    account: str
    chat: str
    message: str
    conversation: str
    seq: int
    address: str
    """Whom it was sent to, or who sent it."""
    part: int = 0
    """Of an event that was sent in several messages; 0 is the first."""


_REFERENCE: Final = "c4a-"


def reference_of(delivery: int) -> str:
    """What is handed to the provider with it, so that receipts and echoes can name it."""
    return f"{_REFERENCE}{delivery}"


def delivery_of(reference: str) -> int | None:
    """The id of the delivery; None: it is no reference of ours."""
    number = reference.removeprefix(_REFERENCE)
    if number == reference or not number.isascii() or not number.isdecimal() or len(number) > 18:
        return None
    return int(number)


def by_account(moved: Iterable[tuple[str, int]]) -> list[tuple[str, str]]:
    """Ids of each account as the audit log has them: ascending, with blanks between."""
    ids: dict[str, list[int]] = {}
    for account, id_ in moved:
        ids.setdefault(account, []).append(id_)
    return [(account, " ".join(map(str, sorted(mine)))) for account, mine in sorted(ids.items())]


class Deliveries(Protocol):
    """Part of the directory, which says what holds for all. Every call is done whole or not.

    Only the holder of an account (`channel_accounts.py`) begins and finishes its deliveries: what
    anybody else asks does nothing.
    """

    async def add(self, deliveries: Sequence[NewDelivery]) -> list[str]:
        """Note deliveries, in their order; the accounts that have got something to do.

        One of the same conversation, seq, account, chat and part that was noted before stays as
        it is.
        """
        ...

    async def due(self, account: str, limit: int) -> tuple[list[Delivery], float | None]:
        """The first `queued` one of each chat in whose way nothing is, if it is due; oldest first.

        And in how many seconds the next one will be due, of those that wait for their time.
        """
        ...

    async def begin(self, holder: str, account: str, ids: Sequence[int]) -> set[int]:
        """Before the call: from `queued` to `sending`. Those for which that was done."""
        ...

    async def finish(self, holder: str, account: str, finished: Sequence[Finish]) -> None:
        """After it: from `sending` to what it became, unless a receipt has told more by now.

        The provider's id is noted with it, so that receipts and quotes find it.
        """
        ...

    async def told(self, account: str, receipts: Sequence[Told]) -> list[Progress]:
        """Raise states by receipts, never lower them; those that have changed, as they stand.

        `failed` counts until it was delivered. What settles one by its reference, and names a
        message, notes that. Receipts of what is not known change nothing.
        """
        ...

    async def note_messages(self, messages: Sequence[Sent]) -> None:
        """Note what came in, or was sent: unique by account, chat and message."""
        ...

    async def messages(self, account: str, chat: str, messages: Sequence[str]) -> dict[str, Sent]:
        """Those of these that are known, by their ids."""
        ...

    async def messages_of(self, conversation: str, seq: int) -> list[Sent]:
        """What an event is at providers, in the order of its parts."""
        ...

    async def progress(self, conversation: str, seq: int) -> list[Progress]:
        """Of one event, in the order in which they were added."""
        ...

    async def failures(self, conversation: str, since: int) -> list[Progress]:
        """Of a conversation those that are `failed` since this time or later, by id."""
        ...

    async def listed(
        self, states: Sequence[DeliveryState], *, account: str | None, after: int, limit: int
    ) -> list[Progress]:
        """Deliveries in these states with ids above `after`, ascending."""
        ...

    async def counts(self) -> dict[tuple[str, DeliveryState], int]:
        """How many there are of each account in each state but `delivered`, `read`, `dropped`."""
        ...

    async def retry(self, ids: Sequence[int], actor: Actor) -> set[int]:
        """From `failed` or `unknown` to `queued`, as somebody decided; those that were.

        The audit log has it, by account.
        """
        ...

    async def drop(self, ids: Sequence[int], actor: Actor) -> set[int]:
        """From `queued`, `failed` or `unknown` to `dropped`; those that were. Audited as well."""
        ...

    async def trim(self, keep: float, limit: int) -> int:
        """Remove what came to rest more than `keep` seconds ago, `limit` at once; how many."""
        ...
