"""`chat4all bench peers`: ours and other servers under the same load, in turns."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from ..scenarios.base import amount, positive
from .catalogue import PEERS, SCENARIOS

if TYPE_CHECKING:
    import argparse

HELP: Final = "other servers under the same load, in turns: ratios"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of the command."""
    which = parser.add_argument_group("what is compared")
    which.add_argument(
        "--only", metavar="NAME,…", help=f"ours and these: {', '.join(PEERS)} (default: all)"
    )
    which.add_argument(
        "--scenario",
        dest="scenarios",
        choices=SCENARIOS,
        action="append",
        help="repeat it for several (default: all four)",
    )
    how = parser.add_argument_group("how")
    how.add_argument("--rounds", type=positive, default=5, metavar="N", help="of each server (5)")
    how.add_argument("--seconds", type=amount, default=3.0, metavar="S", help="of a round (3)")
    how.add_argument(
        "--dir", metavar="DIR", help="where servers are installed that are missing (your cache)"
    )
    load = parser.add_argument_group("the load")
    load.add_argument(
        "--connections", type=positive, default=100, metavar="N", help="echo: clients (100)"
    )
    load.add_argument("--pairs", type=positive, default=50, metavar="N", help="chat: (50)")
    load.add_argument(
        "--members", type=positive, default=1000, metavar="N", help="fanout: of the room (1000)"
    )
    load.add_argument(
        "--sessions", type=positive, default=3000, metavar="N", help="connect: (3000)"
    )
    load.add_argument(
        "--rate", type=amount, metavar="N", help="messages a second: chat (500), fanout (3)"
    )
    load.add_argument("--text-bytes", type=positive, default=160, metavar="N", help="(160)")
    result = parser.add_argument_group("the result")
    result.add_argument("--json", action="store_true", help="a JSON object for each scenario")
    result.add_argument("--out", metavar="DIR", help="write it to DIR too")


def run(options: argparse.Namespace) -> int:
    """Compare, and tell; 1 when a server lost, doubled or reordered something, or refused it.

    Raises:
        SetupError: ours can't be started, or a server that was named.
        UsageError: a name is nobody's.
    """
    from .run import run as compare

    return compare(options, sys.argv)
