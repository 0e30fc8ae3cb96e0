"""Tell whether one run is better or worse than another, figure by figure."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import argparse

PASSED: Final = 0
FAILED: Final = 1
USAGE: Final = 2

NOISE: Final = 2.0
"""Per cent."""

HELP: Final = "what got better or worse from run A to run B, as far as that can be told"
_RUNS: Final = "a run.json or the --out directory that holds it; several runs: A1,A2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `compare`."""
    parser.add_argument("a", metavar="A", help=f"the one before: {_RUNS}")
    parser.add_argument("b", metavar="B", help="the one after, likewise")
    parser.add_argument(
        "--max-regress",
        metavar="METRIC=PERCENT%",
        action="append",
        default=[],
        help="fail when this median got worse by more, such as p99=10%%; repeat it",
    )
    parser.add_argument(
        "--noise",
        metavar="PERCENT",
        type=_percent,
        default=NOISE,
        help=f"a smaller difference is none ({NOISE:g})",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the resampling (1)")
    parser.add_argument("--json", action="store_true", help="the comparison as one JSON object")


def run(options: argparse.Namespace) -> int:
    """Tell how B compares with A; 1 when something got worse than allowed, 2 for what is no run."""
    import json

    from ..reporting.files import UnreadableRun
    from ..reporting.text import Paint, wants_colour
    from .judging import compare_sides
    from .limits import LimitError, hold, parse
    from .sides import side, warnings
    from .telling import Compared, as_json, as_text

    try:
        limits = [parse(text) for text in options.max_regress]
        a, b = side(options.a), side(options.b)
        compared = compare_sides(a, b, noise=options.noise, seed=options.seed)
        held = hold(limits, compared)
    except (UnreadableRun, LimitError) as error:
        print(f"chat4all bench compare: {error}", file=sys.stderr)
        return USAGE
    found = Compared(a, b, compared, held, list(warnings(a, b)))
    if options.json:
        print(json.dumps(as_json(found), indent=1))
    else:
        print(as_text(found, Paint(wants_colour())))
    return PASSED if found.passed else FAILED


def _percent(text: str) -> float:
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise ArgumentTypeError(f"{text!r} is not a number of per cents from 0 to 100")
    return value
