"""Leave a provider alone that fails: the circuit breaker of an account.

    closed ── failures in a row ──▶ open ── its pause is over ──▶ half-open ── answered ──▶ closed
                                     ▲                                │
                                     └──────────── failed ────────────┘

Open, nothing is called; half-open, one call is made to see. What fails is what the provider can't
do for now (`Transient`), or does not answer (`UnknownOutcome`): else a provider that hangs would
make one message after the other unknown. Any other answer is one, a refusal too.

It is not the breaker of the databases (`storage/chat4all_storage/sharding/breaker.py`): that one
gives up calls under way, which would leave messages of unknown outcome here, and asks by a call
that changes nothing, which tells nothing of sending.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from msgspec import Struct

from chat4all_connectors.errors import Transient, UnknownOutcome

if TYPE_CHECKING:
    from chat4all_connectors.errors import SendError

SECONDS: Final = 1.0

BreakerState: TypeAlias = Literal["closed", "open", "half_open"]


class BreakerSettings(Struct, frozen=True, kw_only=True):
    """When it opens, and for how long."""

    failures: int = 10
    """In a row. More than the calls that one message gets, so that one alone does not open it."""
    pause: float = 5 * SECONDS
    """When it opens; twice as long each time that it is still open after that."""
    longest_pause: float = 60 * SECONDS


class Trial(Struct, frozen=True):
    """A call that was begun, to be handed back when it has ended."""

    period: int
    """What happened since the breaker last opened or closed: other calls count for nothing."""


class Breaker:
    """Of one account. It waits for nothing and reads no clock: times are of the caller's."""

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._period = 0
        self._failures = 0
        self._open_until: float | None = None
        """None: it is closed."""
        self._pause = settings.pause
        self._trying = False

    def state(self, now: float) -> BreakerState:
        """As it stands."""
        if self._open_until is None:
            return "closed"
        return "open" if now < self._open_until else "half_open"

    def ready_at(self, now: float) -> float | None:
        """When a call may be begun: `now` or later; None: when the one under way has ended."""
        if self._open_until is None:
            return now
        return None if self._trying else max(now, self._open_until)

    def begin(self) -> Trial:
        """A call is begun, at `ready_at` or later. It is `ended` whatever becomes of it."""
        self._trying = self._open_until is not None
        return Trial(self._period)

    def ended(self, trial: Trial, now: float, error: SendError | None) -> None:
        """It has brought an answer, or this error.

        A call that was begun before the breaker opened or closed tells nothing any more.
        """
        if trial.period != self._period:
            return
        self._trying = False
        if isinstance(error, Transient | UnknownOutcome):
            self._fail(now)
        else:
            self._answer()

    def given_up(self, trial: Trial) -> None:
        """It was cancelled before it told anything: another may be made."""
        if trial.period == self._period:
            self._trying = False

    def _fail(self, now: float) -> None:
        if self._open_until is not None:
            self._pause = min(2 * self._pause, self._settings.longest_pause)
        else:
            self._failures += 1
            if self._failures < self._settings.failures:
                return
        self._open_until = now + self._pause
        self._period += 1

    def _answer(self) -> None:
        self._failures = 0
        if self._open_until is not None:
            self._open_until = None
            self._pause = self._settings.pause
            self._period += 1
