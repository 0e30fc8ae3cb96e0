"""The greatest rate that keeps its limits: one number.

The rate goes up in steps until a limit breaks, a message is lost or refused, or the rate is not
reached. Then the step between the last good rate and the first bad one is halved until it is small,
and the rate that was found must hold for longer; if it does not, it goes down until one does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..result import COSTS
from .base import add_crowd, amount, latency_names, percent, seat_crowd

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ..dialects.base import Seat
    from ..running.measured import Measured
    from ..running.outcome import Outcome
    from ..running.round import Round
    from ..running.thresholds import Condition

HELP = "raise the rate until a limit breaks; one number"
PRIMARY = "ack"
LIMIT = "ack_p99<100ms"
REACHED = 0.97
"""Of the rate that is asked for: below, it was not reached."""
DOWN = 0.9
"""From a rate that did not hold to the next one that is tried."""
TRIES = 8
NONE_HELD = "no rate kept its limits"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The scenario's own."""
    add_crowd(parser, pairs=50)
    add = parser.add_argument_group("the search").add_argument
    add(
        "--limit",
        action="append",
        metavar="COND",
        help=f"what a good rate keeps, as --threshold has it; repeat it ({LIMIT})",
    )
    add("--start", type=amount, default=500.0, metavar="N", help="messages a second (500)")
    add("--step", type=amount, default=1.5, metavar="X", help="times the rate before (1.5)")
    add("--step-seconds", type=amount, default=5.0, metavar="S", help="(5)")
    add("--precision", type=percent, default=5.0, metavar="%", help="of the rate (5)")
    add("--confirm-seconds", type=amount, default=30.0, metavar="S", help="it must hold (30)")


def figures(options: argparse.Namespace) -> list[str]:
    """See `base.Scenario`."""
    return ["capacity", "rate", "delivery_rate", *latency_names("ack", "delivery"), *COSTS]


def run(round_: Round, options: argparse.Namespace) -> Outcome:
    """See `base.Scenario`."""
    from ..result import Curve
    from ..running import thresholds
    from ..running.outcome import Outcome
    from ..targets.target import UsageError

    limits = [thresholds.parse(text) for text in options.limit or [LIMIT]]
    thresholds.check_names(limits, figures(options)[1:])
    if options.step <= 1:
        raise UsageError(f"--step {options.step:g}: it must be greater than 1")
    seats = seat_crowd(round_, options)
    round_.join(seats)
    search = _Search(round_, seats, limits)
    good, bad = 0.0, 0.0
    rate = options.start
    while not bad:
        good, bad = (rate, 0.0) if search.holds(rate, options.step_seconds) else (good, rate)
        rate *= options.step
    while good and bad - good > good * max(options.precision, 0.1) / 100:
        middle = (good + bad) / 2
        if search.holds(middle, options.step_seconds):
            good = middle
        else:
            bad = middle
    confirmed: Measured | None = None
    for _ in range(TRIES):
        if good and search.holds(good, options.confirm_seconds):
            confirmed = search.last
            break
        good *= DOWN
    round_.verify()
    outcome = Outcome(expected=frozenset(search.errors))
    outcome.curves["load"] = Curve("messages/s", "ms", sorted(search.points))
    if confirmed is None:
        outcome.add("capacity", 0.0, "/s", "higher")
        round_.integrity.errors[NONE_HELD] = 1
        outcome.notes.append(
            f"No rate from {options.start:g} on kept its limits for {options.confirm_seconds:g} s."
        )
    else:
        # What the generator could not do at rates that were too great says nothing of this one.
        round_.late_ms = confirmed.histogram("late").quantile_ms(0.99)
        round_.busy = confirmed.generator_busy
        outcome.add_load(confirmed, round_=round_.plan.number)
        rate_found = outcome.metrics["rate"].values[0]
        outcome.add("capacity", rate_found, "/s", "higher")
        outcome.notes.append(
            f"capacity: {rate_found:,.0f} messages/s for {options.confirm_seconds:g} s with "
            + ", ".join(limit.text for limit in limits)
        )
    outcome.notes += search.notes
    return outcome


class _Search:
    """Tries rates, and remembers what they did."""

    def __init__(self, round_: Round, seats: Sequence[Seat], limits: Sequence[Condition]) -> None:
        self._round = round_
        self._seats = seats
        self._limits = limits
        self.points: list[tuple[float, float]] = []
        """(rate that was reached, p99 of the acknowledgements in milliseconds)"""
        self.errors: set[str] = set()
        """What a rate that was too great brought about."""
        self.notes: list[str] = []
        self.last: Measured | None = None

    def holds(self, rate: float, seconds: float) -> bool:
        """Whether everything is kept at this rate, for so long."""
        from ..running import thresholds
        from ..running.outcome import Outcome

        gathering = self._round.gathering
        errors_before = dict(gathering.errors)
        measured = self._round.load(
            f"{rate:,.0f}/s for {seconds:g} s", rate=rate, seconds=seconds, speakers=self._seats
        )
        tried = Outcome()
        tried.add_load(measured)
        reached = measured.acknowledged / measured.seconds
        self.points.append((round(reached, 1), measured.histogram("ack").quantile_ms(0.99)))
        new = {
            what for what, count in gathering.errors.items() if count > errors_before.get(what, 0)
        }
        self.errors |= new
        self.last = measured
        kept = all(thresholds.judge(each, tried.metrics, PRIMARY).passed for each in self._limits)
        if not kept and measured.generator_busy > 0.9:
            self.notes.append(f"At {rate:,.0f}/s the generator was the limit.")
        return kept and not new and reached >= REACHED * rate
