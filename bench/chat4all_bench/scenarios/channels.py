"""People on another messenger: how fast the outbox is, and what one that hangs costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import amount, positive

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ..result import Run

HELP = "messages to people on another messenger, beside a provider that hangs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument(
        "--people", type=positive, default=50, metavar="N", help="of each account (50)"
    )
    parser.add_argument(
        "--backlog", type=positive, default=2000, metavar="N", help="messages sent at once (2000)"
    )
    parser.add_argument("--rate", type=amount, default=100.0, metavar="N", help="a second (100)")
    parser.add_argument(
        "--hanging-rate", type=amount, default=10.0, metavar="N", help="likewise there (10)"
    )
    parser.add_argument("--seconds", type=amount, default=10.0, metavar="S", help="measured (10)")


def whole(options: argparse.Namespace, command: Sequence[str]) -> Run:
    """Carry out a whole run; see `base.Whole`."""
    from ..channels.whole import run

    return run(options, command)
