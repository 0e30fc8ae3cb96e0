"""What became of a message, from receipts of users and deliveries to channels. Pure.

A message goes to each user who was there, and in deliveries to people on channels: external
members, and users who are linked to an account that its sender named. A delivery is one chat, or
a part of what goes in several messages; together they stand as the one that is furthest behind.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from chat4all_protocol.frames import Id
from chat4all_storage.ports.deliveries import Step
from chat4all_storage.ports.outbox import INTERNAL, is_external

from .models import MessageStatus, moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from chat4all_storage.ports.deliveries import DeliveryState, Progress
    from chat4all_storage.ports.events import StoredEvent
    from chat4all_storage.ports.queries import Receipt

Count: TypeAlias = Annotated[int, Meta(ge=0)]


class StatusStep(Struct, frozen=True):
    """That a message had come so far, with whom, and when it was known."""

    status: MessageStatus
    timestamp: datetime
    user: str | None = None
    """The member; somebody on a channel by the address."""
    channel: str | None = None
    """`internal`, or the account that it went through, or came in through."""
    uncertain: bool | UnsetType = UNSET
    """True: it may not have been sent."""


class Recipients(Struct, frozen=True):
    """How many people a message stands with how."""

    waiting: Count
    """It is being sent, or waits for that."""
    sent: Count
    delivered: Count
    read: Count
    uncertain: Count
    """It may have been sent: nobody knows, and it is not sent again."""
    failed: Count


class Delivery(Struct, frozen=True):
    """How far a message has come on one channel."""

    status: MessageStatus
    """As far as with the last recipient there. FAILED: with somebody for good, and with nobody it
    is still on its way."""
    recipients: Recipients | UnsetType = UNSET
    """Not of `internal`."""
    reason: str | UnsetType = UNSET
    """Why it failed, in words."""


class StatusReport(Struct, frozen=True):
    """What became of a message."""

    message_id: Id
    status: MessageStatus
    """As far as with the last of its recipients. FAILED: it reaches none of them."""
    status_history: list[StatusStep]
    """For a user, the moment is that of its latest receipt in the conversation."""
    channel_delivery: dict[str, Delivery]
    """By channel: `internal`, unless all recipients are elsewhere, and each account."""


_STATUSES: Final[dict[DeliveryState, MessageStatus]] = {
    "queued": "SENT",
    "sending": "SENT",
    "dropped": "FAILED",
    "failed": "FAILED",
    "unknown": "SENT",
    "sent": "SENT",
    "delivered": "DELIVERED",
    "read": "READ",
}
"""The state that is furthest behind comes first: of what is on its way nobody knows the end yet."""
_STATES: Final = tuple(_STATUSES)
_COUNTED: Final[dict[DeliveryState, str]] = {
    "queued": "waiting",
    "sending": "waiting",
    "dropped": "failed",
    "unknown": "uncertain",
}
"""Where a state is not counted by its own name."""
_BY_MARKS: Final[dict[MessageStatus, DeliveryState]] = {
    "SENT": "sent",
    "DELIVERED": "delivered",
    "READ": "read",
}
_FURTHEST_LAST: Final[tuple[MessageStatus, ...]] = ("FAILED", "SENT", "DELIVERED", "READ")


class _Way(Struct, frozen=True):
    """To one member, through one channel."""

    channel: str
    member: str
    state: DeliveryState
    steps: Sequence[Step]
    reason: str | None = None


def report(
    event: StoredEvent,
    receipts: Sequence[Receipt],
    progress: Sequence[Progress],
    *,
    forgotten: bool,
) -> StatusReport:
    """What became of an event.

    Args:
        receipts: of all members but its sender.
        progress: of its deliveries.
        forgotten: it is so old that its deliveries may not be known any more. Then the watermarks
            of members on channels tell; else deliveries alone do, as it may not go to all of them.
    """
    ways = list(_ways(receipts, progress, forgotten=forgotten))
    history = [StatusStep("SENT", moment(event.ts), event.sender, event.channel)]
    history += [_step(way, step) for way in ways for step in way.steps]
    history.sort(key=lambda step: step.timestamp)
    channels = sorted({way.channel for way in ways} or {INTERNAL})
    delivery = {
        channel: _delivery(channel, [way for way in ways if way.channel == channel])
        for channel in channels
    }
    return StatusReport(event.id, _overall(ways), history, delivery)


def _ways(
    receipts: Sequence[Receipt], progress: Sequence[Progress], *, forgotten: bool
) -> Iterator[_Way]:
    deliveries: dict[tuple[str, str], list[Progress]] = {}
    for each in progress:
        deliveries.setdefault((each.account, each.address), []).append(each)
    known = {address for _, address in deliveries}
    for receipt in receipts:
        if not is_external(receipt.user):
            yield _by_marks(INTERNAL, receipt)
        elif forgotten and receipt.user not in known:
            yield _by_marks(receipt.user.rpartition(":")[0], receipt)
    for (account, address), parts in deliveries.items():
        reasons = (part.reason for part in parts if _STATUSES[part.state] == "FAILED")
        yield _Way(
            account,
            address,
            _least(part.state for part in parts),
            _steps(parts),
            next(filter(None, reasons), None),
        )


def _by_marks(channel: str, receipt: Receipt) -> _Way:
    steps = []
    if receipt.recv_at is not None:
        steps.append(Step("delivered", receipt.recv_at))
    if receipt.read_at is not None:
        steps.append(Step("read", receipt.read_at))
    return _Way(channel, receipt.user, _BY_MARKS[receipt.status], steps)


def _least(states: Iterable[DeliveryState]) -> DeliveryState:
    return min(states, key=_STATES.index)


def _steps(parts: Sequence[Progress]) -> list[Step]:
    """When all parts together came to each state."""
    states: dict[int, DeliveryState] = {part.id: "queued" for part in parts}
    moves = [(step.at, part.id, step.state) for part in parts for step in part.steps]
    moves.sort(key=lambda move: move[0])  # those of a part stay in their order
    found: list[Step] = []
    before: DeliveryState = "queued"
    for at, part, state in moves:
        states[part] = state
        together = _least(states.values())
        if together not in (before, "queued"):
            found.append(Step(together, at))
        before = together
    return found


def _step(way: _Way, step: Step) -> StatusStep:
    return StatusStep(
        _STATUSES[step.state],
        moment(step.at),
        way.member,
        way.channel,
        uncertain=True if step.state == "unknown" else UNSET,
    )


def _delivery(channel: str, ways: Sequence[_Way]) -> Delivery:
    if channel == INTERNAL:
        return Delivery(_STATUSES[_least(way.state for way in ways)] if ways else "SENT")
    counts = Counter(_COUNTED.get(way.state, way.state) for way in ways)
    reason = next((way.reason for way in ways if way.reason is not None), None)
    return Delivery(
        _STATUSES[_least(way.state for way in ways)],
        Recipients(**{name: counts[name] for name in Recipients.__struct_fields__}),
        UNSET if reason is None else reason,
    )


def _overall(ways: Iterable[_Way]) -> MessageStatus:
    """As far as with the last; a member who has it by one way of several has it."""
    furthest: dict[str, int] = {}
    for way in ways:
        rank = _FURTHEST_LAST.index(_STATUSES[way.state])
        furthest[way.member] = max(rank, furthest.get(way.member, 0))
    if not furthest:
        return "SENT"
    if not any(furthest.values()):
        return "FAILED"
    # Somebody whom it does not reach keeps it from being everybody's.
    return _FURTHEST_LAST[max(1, min(furthest.values()))]
