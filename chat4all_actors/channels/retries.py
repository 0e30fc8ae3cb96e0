"""What becomes of a delivery after a call that failed, by the class of the error.

| error | what becomes of it |
|---|---|
| `Transient` | `Again` after the next delay of the schedule; when there is none left, `Failed` |
| `Throttled` | `Again` after what the provider says; counts as no attempt, and holds others too |
| `Moved` | `ChatMoved`: again at once; counts as an attempt, so that it ends |
| `WindowClosed` | `InTemplate` if there is one that was not tried yet, else `Failed` |
| `Unreachable` | `Failed`, and the person is noted as not reachable |
| `Refused`, `NotSupported` | `Failed` |
| `Misconfigured` | `Stopped`: it waits, as does everything of the account |
| `UnknownOutcome` | `Unknown`: never again |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import Struct

from chat4all_connectors.errors import (
    Misconfigured,
    Moved,
    Throttled,
    Transient,
    UnknownOutcome,
    Unreachable,
    WindowClosed,
)

if TYPE_CHECKING:
    from chat4all_connectors.errors import Scope, SendError

SECONDS: Final = 1.0
DAYS: Final = 24 * 60 * 60 * SECONDS
MAX_REASON: Final = 300
"""Characters: it stands with every delivery that failed."""


class Schedule(Struct, frozen=True, kw_only=True):
    """How patiently it is tried again; times are in seconds."""

    delays: tuple[float, ...] = (1 * SECONDS, 2 * SECONDS, 4 * SECONDS, 8 * SECONDS)
    """Before each further call, after the one that is made at once."""
    pause: float = 5 * SECONDS
    """When the provider throttles and does not say for how long."""
    least_pause: float = 0.5 * SECONDS
    """However little it says: calls in the meantime may prolong it."""
    most_pause: float = 7 * DAYS
    """However much it says."""


DEFAULT_SCHEDULE: Final = Schedule()


class Again(Struct, frozen=True, kw_only=True):
    """It was surely not sent, and is to be tried again."""

    after: float
    """Seconds from now."""
    attempts: int
    """Calls that have failed by now."""
    holds: Scope | None = None
    """What else is to wait for so long: everything for this chat, or of this account."""
    reason: str


class ChatMoved(Struct, frozen=True, kw_only=True):
    """It is to be sent at once to the id that the chat has now."""

    chat: str
    attempts: int
    reason: str


class InTemplate(Struct, frozen=True, kw_only=True):
    """Only a template gets through: it is to be sent in one at once."""

    reason: str


class Stopped(Struct, frozen=True, kw_only=True):
    """The account sends nothing until somebody mends it; this delivery is as it was before."""

    reason: str


class Failed(Struct, frozen=True, kw_only=True):
    """It is given up: a dead letter."""

    unreachable: bool = False
    """Whether the person takes nothing from us."""
    reason: str


class Unknown(Struct, frozen=True, kw_only=True):
    """It may have been sent. What is behind it goes on."""

    reason: str


Decision: TypeAlias = Again | ChatMoved | InTemplate | Stopped | Failed | Unknown


def decide(
    error: SendError,
    attempts: int,
    *,
    template: bool = False,
    schedule: Schedule = DEFAULT_SCHEDULE,
) -> Decision:
    """What becomes of a delivery whose call raised `error`.

    Args:
        attempts: Calls for it that had failed before, of the part that was sent.
        template: Whether it can be sent in a template, and this call was not that.
        schedule: How patiently it is tried again.
    """
    reason = _reason(error)
    match error:
        case UnknownOutcome():
            return Unknown(reason=reason)
        case Misconfigured():
            return Stopped(reason=reason)
        case Throttled():
            after = _pause(error.retry_after, schedule)
            return Again(after=after, attempts=attempts, holds=error.scope, reason=reason)
        case Transient() | Moved() if attempts >= len(schedule.delays):
            return Failed(reason=reason)
        case Transient():
            return Again(after=schedule.delays[attempts], attempts=attempts + 1, reason=reason)
        case Moved():
            return ChatMoved(chat=error.chat, attempts=attempts + 1, reason=reason)
        case WindowClosed() if template:
            return InTemplate(reason=reason)
        case _:  # surely not sent, and not later either
            return Failed(unreachable=isinstance(error, Unreachable), reason=reason)


def _pause(said: float | None, schedule: Schedule) -> float:
    if said is None:
        return schedule.pause
    # In this order, as no number (NaN) is then the least.
    return min(schedule.most_pause, max(schedule.least_pause, said))


def _reason(error: SendError) -> str:
    """The error for operators: connectors put no secret and nothing that people wrote in it."""
    return (f"{error.message} ({error.code})" if error.code else error.message)[:MAX_REASON]
