"""The arguments of the scenario `rest`, and what it runs for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..targets.target import UsageError

if TYPE_CHECKING:
    import argparse

    from msgspec import Struct

PROFILES: Final = {
    "ramp": "virtual users who write, wait and think, in stages; thresholds on the latency",
    "rate": "a fixed rate, whatever becomes of the answers",
    "bare": "beside a bare quart-trio handler, in turns",
    "breakdown": "where the server's processor time goes",
    "logins": "the latency of messages without and with logins beside them",
}
PER_MINUTE: Final = 100_000
"""Messages: what the service was specified for."""
LOGINS_PER_MINUTE: Final = 3_000
"""Messages beside which others log in: few enough to have a latency to lose."""


def run(options: argparse.Namespace, data_dir: str) -> Struct:
    """Run the profile that is asked for; what it found.

    Raises:
        SetupError: the run could not begin.
        UsageError: an argument does not fit.
    """
    from . import beside_bare, breakdown, load_test, logins
    from .stages import FULL, SHORT, parse
    from .verdict import Limits
    from .work import Rate, Users

    target = load_test.Target(
        url=options.url,
        callers=options.callers,
        client_id=options.client_id,
        client_secret=options.client_secret,
        workers=options.workers,
    )
    if options.profile in ("bare", "breakdown") and options.url is not None:
        raise UsageError(f"--profile {options.profile} needs a server of its own: leave --url out")
    if options.url is not None and options.callers == "users":
        raise UsageError("--callers users needs a server of its own: leave --url out")
    if options.profile == "bare":
        return beside_bare.run(
            target,
            data_dir,
            rounds=options.rounds,
            seconds=options.seconds or 5.0,
            window=options.window,
            least=options.least,
        )
    if options.profile == "breakdown":
        seconds = options.seconds or 10.0
        return breakdown.run(target, data_dir, seconds=seconds, window=options.window)
    if options.profile == "logins":
        return logins.run(
            target,
            data_dir,
            parallel=options.parallel,
            per_second=(options.rate or LOGINS_PER_MINUTE) / 60,
            seconds=options.seconds or 15.0,
        )
    load: Rate | Users
    if options.profile == "rate":
        load = Rate((options.rate or PER_MINUTE) / 60, options.seconds or 30.0)
    else:
        named = {"full": FULL, "short": SHORT}
        try:
            load = Users(parse(named.get(options.stages, options.stages)))
        except ValueError as error:
            raise UsageError(f"--stages: {error}") from None
    limits = Limits(options.p95, options.p99, options.errors)
    return load_test.run(
        options.profile, load, target, limits, data_dir, processes=options.processes
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    profiles = "; ".join(f"{name}: {help_}" for name, help_ in PROFILES.items())
    parser.add_argument("--profile", choices=PROFILES, default="ramp", help=profiles)
    where = parser.add_argument_group("the server")
    where.add_argument("--url", help="one that runs; else one is started, with all it needs")
    where.add_argument(
        "--callers",
        choices=("client", "users"),
        default="client",
        help="who sends: a service client in the users' names, or the users themselves (client)",
    )
    where.add_argument(
        "--client-id", default="test_client", metavar="ID", help="of the client (test_client)"
    )
    where.add_argument(
        "--client-secret", default="test_secret", metavar="SECRET", help="its secret (test_secret)"
    )
    where.add_argument(
        "--workers", type=int, default=1, metavar="N", help="of one that is started (1)"
    )
    load = parser.add_argument_group("the load")
    load.add_argument(
        "--stages",
        default="short",
        metavar="STAGES",
        help="ramp: `full` (23 minutes, up to 1,000 users), `short` (the same in a twentieth of the"
        " time), or DURATION:USERS,… such as 30s:100,5m:100,30s:0",
    )
    load.add_argument(
        "--rate",
        type=float,
        metavar="N",
        help=f"messages a minute: rate ({PER_MINUTE:,}), logins ({LOGINS_PER_MINUTE:,})",
    )
    load.add_argument("--seconds", type=float, metavar="S", help="of a run, or of each round")
    load.add_argument("--rounds", type=int, default=3, metavar="N", help="bare: of each server (3)")
    load.add_argument(
        "--window",
        type=int,
        default=32,
        metavar="N",
        help="bare, breakdown: messages under way (32)",
    )
    load.add_argument(
        "--parallel", type=int, default=200, metavar="N", help="logins: callers who log in (200)"
    )
    load.add_argument("--processes", type=int, default=2, metavar="N", help="of the generator (2)")
    limits = parser.add_argument_group("what is required")
    limits.add_argument("--p95", type=float, default=200.0, metavar="MS", help="below (200)")
    limits.add_argument("--p99", type=float, default=500.0, metavar="MS", help="below (500)")
    limits.add_argument("--errors", type=float, default=5.0, metavar="PERCENT", help="below (5)")
    limits.add_argument(
        "--least",
        type=float,
        default=0.5,
        metavar="RATIO",
        help="bare: of the bare handler's requests a second (0.5)",
    )
