"""The command line: scenarios, their arguments, and how a run is told.

Imports little, so that help is there at once; a scenario's own modules are imported when it runs.
"""

from __future__ import annotations

import importlib
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from .peers.catalogue import PEERS
from .scenarios.base import amount, natural, positive

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from .result import Run
    from .scenarios.base import Command, Scenario, Whole

PASSED: Final = 0
FAILED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
INTERNAL: Final = 4

SCENARIOS: Final = (
    "connect",
    "chat",
    "fanout",
    "churn",
    "slow",
    "soak",
    "cluster",
    "capacity",
    "files",
)
"""Modules of `scenarios`, in the order in which help shows them."""
FOR_PEERS: Final = ("connect", "chat", "fanout", "capacity")
"""Those that need nothing of a server but that it passes messages on."""
WHOLE: Final = ("rest", "channels")
"""Those with a way of their own to run."""
COMMANDS: Final = {"peers": ".peers.command", "compare": ".comparing.command"}
"""What is no scenario, and the modules that carry it out."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A command for each scenario."""
    parser.epilog = f"{parser.prog} SCENARIO --help tells more; method and results: bench/README.md"
    commands = parser.add_subparsers(dest="scenario", required=True, metavar="SCENARIO")
    for name in (*SCENARIOS, *WHOLE):
        scenario = _module(name)
        command = commands.add_parser(name, help=scenario.HELP, description=scenario.__doc__)
        if name in SCENARIOS:
            add_common(command)
        scenario.add_arguments(command)
        add_result(command)
    for name in COMMANDS:
        module = _command(name)
        command = commands.add_parser(name, help=module.HELP, description=module.__doc__)
        module.add_arguments(command)


def add_common(parser: argparse.ArgumentParser) -> None:
    """The arguments of every scenario."""
    where = parser.add_argument_group("the server")
    which = where.add_mutually_exclusive_group()
    which.add_argument("--url", metavar="URL", help="one that runs: http://HOST:PORT")
    which.add_argument(
        "--serve",
        metavar="FLAGS",
        help="start one with these flags (the default: everything"
        " embedded, with rate limits out of reach)",
    )
    which.add_argument(
        "--peer", choices=PEERS, metavar="NAME", help=f"start another one: {', '.join(PEERS)}"
    )
    where.add_argument(
        "--pid",
        type=positive,
        action="append",
        metavar="PID",
        help="--url: its processes, with their children, where its port does not tell them",
    )
    where.add_argument(
        "--tokens",
        metavar="FILE",
        help="--url: users by their tokens, a line each, as `chat4all token` prints them (default:"
        " users are registered)",
    )
    where.add_argument("--fresh", action="store_true", help="--serve: one for each round")
    where.add_argument(
        "--history",
        type=natural,
        default=0,
        metavar="N",
        help="--serve: messages that its database holds before (0)",
    )
    how = parser.add_argument_group("the run")
    how.add_argument("--repeat", type=positive, default=1, metavar="N", help="rounds (1)")
    how.add_argument("--seconds", type=amount, default=10.0, metavar="S", help="measured (10)")
    how.add_argument(
        "--warm-up", type=_seconds, default=1.0, metavar="S", help="before that, under load (1)"
    )
    how.add_argument("--seed", type=natural, metavar="N", help="of names, ids and order (random)")
    how.add_argument("--text-bytes", type=positive, default=100, metavar="N", help="(100)")
    how.add_argument("--generators", type=positive, metavar="N", help="processes (as needed)")
    how.add_argument(
        "--connect-rate", type=amount, default=500.0, metavar="N", help="a second (500)"
    )


def add_result(parser: argparse.ArgumentParser) -> None:
    """The arguments that say how a run is judged and told."""
    what = parser.add_argument_group("the result")
    what.add_argument(
        "--threshold",
        action="append",
        metavar="COND",
        help="what must hold, such as p99<50ms, rate>11600, lost==0; repeat it",
    )
    what.add_argument("--json", action="store_true", help="the whole run as one JSON object")
    what.add_argument("--out", metavar="DIR", help="write run.json and reports there")


def run(options: argparse.Namespace) -> int:
    """Run a scenario; 1 when a threshold is broken, or a message was lost or out of order."""
    from .aiming import target_of
    from .running.pool import GeneratorFailed
    from .running.runner import run as carry_out
    from .running.thresholds import ThresholdError
    from .targets.target import SetupError, UsageError

    name = options.scenario
    try:
        if name in COMMANDS:
            return _command(name).run(options)
        if name in WHOLE:
            done = cast("Whole", _module(name)).whole(options, command_line(sys.argv))
        else:
            check(options)
            scenario = cast("Scenario", _module(name))
            done = carry_out(scenario, name, options, command_line(sys.argv), target_of)
    except (UsageError, ThresholdError) as error:
        return _tell(str(error), USAGE)
    except SetupError as error:
        return _tell(str(error), UNREACHABLE)
    except GeneratorFailed as error:
        return _tell(str(error), INTERNAL)
    return show(done, as_json=options.json, out=options.out)


def command_line(argv: Sequence[str]) -> list[str]:
    """What people type to run it again."""
    arguments = list(argv[2:] if argv[1:2] == ["bench"] else argv[1:])
    return ["chat4all", "bench", *arguments]


def check(options: argparse.Namespace) -> None:
    """See that the arguments fit together, and choose a seed if none was given.

    Raises:
        UsageError: they don't.
    """
    from .targets.target import UsageError

    if options.url is None and options.pid:
        raise UsageError("--pid is of a server that runs: give --url too")
    if options.url is None and options.tokens:
        raise UsageError("--tokens is of a server that runs: give --url too")
    if options.url is not None and getattr(options, "nodes", 1) > 1:
        raise UsageError("this scenario starts nodes of its own: leave --url out")
    if options.url is not None and options.fresh:
        raise UsageError("--fresh starts a server for each round: leave --url out")
    if options.history and (options.url is not None or options.peer is not None):
        raise UsageError("--history fills a database of our own: leave --url and --peer out")
    if options.peer is not None and options.scenario not in FOR_PEERS:
        raise UsageError(f"--peer is for {', '.join(FOR_PEERS)}: the others replay nothing")
    if options.seed is None:
        options.seed = random.randrange(1 << 24)


def show(done: Run, *, as_json: bool, out: str | None) -> int:
    """Tell what was found, and return the exit code."""
    import msgspec

    from . import reporting
    from .running.runner import note_on_generator

    if out is not None:
        reporting.write(done, Path(out))
        print(f"written to {out}", file=sys.stderr)
    if as_json:
        print(msgspec.json.encode(done).decode(), flush=True)
        note_on_generator(done)
    else:
        print(reporting.summary(done), flush=True)
    return PASSED if done.passed else FAILED


def _module(name: str) -> Scenario | Whole:
    return cast("Scenario | Whole", importlib.import_module(f".scenarios.{name}", __package__))


def _command(name: str) -> Command:
    return cast("Command", importlib.import_module(COMMANDS[name], __package__))


def _seconds(text: str) -> float:
    return 0.0 if text == "0" else amount(text)


def _tell(message: str, code: int) -> int:
    print(f"chat4all bench: {message}", file=sys.stderr)
    return code
