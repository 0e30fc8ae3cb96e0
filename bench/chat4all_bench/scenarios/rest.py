"""The load test of the REST API: virtual users, a fixed rate, or beside a bare handler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..rest.options import add_arguments

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ..result import Run

__all__ = ["HELP", "add_arguments", "whole"]

HELP = "the REST API under load, with thresholds"


def whole(options: argparse.Namespace, command: Sequence[str]) -> Run:
    """Carry out a whole run; see `base.Whole`."""
    from ..rest.whole import run

    return run(options, command)
