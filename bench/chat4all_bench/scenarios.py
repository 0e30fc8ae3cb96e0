"""The scenarios: their names, their arguments, and how one is run and told of.

Imports little, so that help is there at once; a scenario's own modules are imported when it runs.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .comparing.options import HELP as COMPARE_HELP
from .comparing.options import add_compare_arguments, compare
from .report import as_json, as_text
from .rest.options import UsageError
from .rest.options import add_arguments as add_rest_arguments

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

PASSED: Final = 0
FAILED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3

SCENARIOS: Final = {
    "rest": "the REST API under load, with thresholds",
    "chat": "durable messages over WebSockets: rates, latency and cost",
    "cluster": "several nodes: what a hop costs, and what a message to many",
    "echo": "server time for a frame, beside other servers",
    "idle": "memory of an idle session",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A command for each scenario."""
    scenarios = parser.add_subparsers(dest="scenario", required=True, metavar="SCENARIO")
    for name, help_ in SCENARIOS.items():
        scenario = scenarios.add_parser(name, help=help_, description=f"Measure: {help_}.")
        scenario.add_argument("--json", action="store_true", help="a line of JSON for each figure")
        scenario.add_argument("--out", metavar="DIR", help="write these lines to DIR too")
        if name == "rest":
            add_rest_arguments(scenario)
    compared = scenarios.add_parser("compare", help=COMPARE_HELP, description=f"{COMPARE_HELP}.")
    add_compare_arguments(compared)


def run(options: argparse.Namespace) -> int:
    """Run a scenario; 1 when a threshold is broken, or a message was lost or out of order."""
    if options.scenario == "compare":
        return compare(options)
    from .rest.place import SetupError

    passed = True
    written: list[str] = []
    with tempfile.TemporaryDirectory(prefix="chat4all-bench-") as data_dir:
        try:
            for line in _lines(options, data_dir):
                passed = passed and _good(line)
                written.append(as_json(line))
                print(written[-1] if options.json else as_text(line), flush=True)
        except UsageError as error:
            return _tell(str(error), USAGE)
        except SetupError as error:
            return _tell(str(error), UNREACHABLE)
    if options.out is not None:
        profile = f"-{options.profile}" if options.scenario == "rest" else ""
        _write(Path(options.out) / f"{options.scenario}{profile}.jsonl", written)
    return PASSED if passed else FAILED


def _lines(options: argparse.Namespace, data_dir: str) -> Iterable[Mapping[str, Any]]:
    if options.scenario == "rest":
        from msgspec import to_builtins

        from .rest.options import run as rest

        yield to_builtins(rest(options, data_dir))
    elif options.scenario == "chat":
        from .chat import run as chat

        yield from chat(data_dir)
    elif options.scenario == "cluster":
        from .cluster import run as cluster

        yield from cluster(data_dir)
    elif options.scenario == "echo":
        from .echo import run as echo

        for name, figures in echo(data_dir).items():
            yield {"server": name} | figures
    else:
        from .idle import run as idle

        yield idle(data_dir)


def _good(line: Mapping[str, Any]) -> bool:
    return bool(line.get("passed", True)) and not line.get("lost") and not line.get("errors")


def _write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    print(f"written to {path}", file=sys.stderr)


def _tell(message: str, code: int) -> int:
    print(f"chat4all bench: {message}", file=sys.stderr)
    return code
