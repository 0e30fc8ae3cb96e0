"""Which command is meant, and how it ends. Its module is imported only to run it."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NoReturn

from .arguments import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Sequence

OK: Final = 0
FINDING: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
INTERNAL: Final = 4
INTERRUPTED: Final = 130


class CommandError(Exception):
    """A command can't go on: what is wrong, and the command or setting that mends it."""

    def __init__(self, message: str, mend: str = "", *, code: int = UNREACHABLE) -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend
        self.code = code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        print(f"{self.prog}: {message}", file=sys.stderr)
        sys.exit(USAGE)


def run(arguments: Sequence[str]) -> int:
    """Run a command line, and return its exit code."""
    parser = _Parser(
        prog="chat4all",
        description="A real-time chat server: durable, ordered, each message exactly once.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="commands:\n"
        + "\n".join(f"  {name:<10}{command.summary}" for name, command in COMMANDS.items())
        + "\n\nchat4all COMMAND --help tells more; start with: chat4all demo",
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.add_argument("command", nargs="?", metavar="COMMAND", help="what to do")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.version:
        from .. import __version__

        print(f"chat4all {__version__}")
        return OK
    if options.command is None:
        parser.print_help()
        return OK
    command = COMMANDS.get(options.command)
    if command is None:
        near = get_close_matches(options.command, COMMANDS, 1)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        print(f"chat4all: there is no command `{options.command}`{hint}", file=sys.stderr)
        return USAGE
    parser = _Parser(prog=f"chat4all {options.command}", description=command.description)
    command.add_arguments(parser)
    return _execute(options.command, parser.parse_args(options.rest))


def _execute(name: str, options: argparse.Namespace) -> int:
    """Run a command; its errors are two lines, never a traceback."""
    from ..config_loading import ConfigError

    try:
        code: int = importlib.import_module(f".{name}", __package__).run(options)
        sys.stdout.flush()  # here, where it may fail without a traceback
        return code
    except BaseException as raised:
        error = first_error(raised)
        if isinstance(error, ConfigError):
            return _tell(str(error), code=USAGE)
        if isinstance(error, CommandError):
            return _tell(error.message, error.mend, code=error.code)
        if isinstance(error, KeyboardInterrupt):
            return INTERRUPTED
        if isinstance(error, BrokenPipeError):
            # Whoever read our output has gone; nothing more can be said to them.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return OK
        if not isinstance(error, Exception) or os.environ.get("CHAT4ALL_TRACEBACK"):
            raise
        return _tell(
            f"internal error: {type(error).__name__}: {error}",
            "set CHAT4ALL_TRACEBACK=1 to see where",
            code=INTERNAL,
        )


def first_error(error: BaseException) -> BaseException:
    """What went wrong first, out of the groups that nurseries make."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _tell(message: str, mend: str = "", *, code: int) -> int:
    print(f"chat4all: {message}", file=sys.stderr)
    if mend:
        print(f"  {mend}", file=sys.stderr)
    return code
