"""Commands and their arguments. Heavy imports wait until a command runs."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..config import Settings

OK: Final = 0
FINDING: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
INTERNAL: Final = 4
INTERRUPTED: Final = 130

_COMMANDS: Final = {
    "demo": "show it working: everything embedded, in a throw-away directory",
    "serve": "run the server",
    "migrate": "create or upgrade the schema on every database",
    "user": "manage accounts: user add NAME… --password P, user revoke NAME…",
    "token": "print access tokens",
    "client": "manage service clients: client add NAME --scope …, client list, client remove NAME",
    "keys": "manage the keys that sign access tokens: keys list, keys rotate",
    "files": "decide on files in quarantine: files list, files release ID…, files remove ID…",
    "chat": "chat from the terminal",
    "shards": "show where conversations are, and move shards between databases",
    "bench": "measure the server under load",
    "doctor": "check this machine and say what to mend",
}


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
        + "\n".join(f"  {name:<10}{help_}" for name, help_ in _COMMANDS.items())
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
    if options.command not in _COMMANDS:
        near = get_close_matches(options.command, _COMMANDS, 1)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        print(f"chat4all: there is no command `{options.command}`{hint}", file=sys.stderr)
        return USAGE
    module = importlib.import_module(f".{options.command}", __package__)
    command = _Parser(prog=f"chat4all {options.command}", description=module.__doc__)
    module.add_arguments(command)
    return _execute(module.run, command.parse_args(options.rest))


def _execute(command: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Run a command; its errors are two lines, never a traceback."""
    from ..config_loading import ConfigError

    try:
        code = command(options)
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


def add_settings(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add `--config`, and a flag for each of these settings."""
    parser.add_argument("--config", metavar="FILE", help="settings in TOML")
    for name in names:
        flag = "--" + name.replace("_", "-")
        help_, metavar = _FLAGS[name]
        if name == "migrate":
            parser.add_argument(
                "--no-migrate", dest="migrate", action="store_false", default=None, help=help_
            )
        elif name == "postgres":
            parser.add_argument(flag, action="append", metavar=metavar, help=help_)
        else:
            parser.add_argument(flag, metavar=metavar, help=help_)


_FLAGS: Final = {
    "host": ("address to listen on (127.0.0.1)", "ADDRESS"),
    "port": ("port to listen on; 0 picks a free one (8000)", "PORT"),
    "admin_port": ("port on 127.0.0.1 that answers health checks too", "PORT"),
    "data_dir": ("where what is embedded keeps its data (./chat4all-data)", "DIR"),
    "postgres": ("a PostgreSQL database; repeat it, one for each shard", "DSN"),
    "redis": ("carries events between nodes; embedded beside an embedded PostgreSQL", "URL"),
    "s3_bucket": ("the S3 bucket for files (they are kept in the data directory)", "NAME"),
    "s3_endpoint": ("a server that speaks S3, if it is not Amazon's", "URL"),
    "workers": ("node processes on the one port (1)", "N"),
    "migrate": ("leave the schema as it is", ""),
    "tls_cert": ("certificate chain, PEM", "FILE"),
    "tls_key": ("its private key, PEM", "FILE"),
    "jwt_algorithm": ("what signs access tokens: HS256, RS256 or EdDSA (HS256)", "NAME"),
    "drain_timeout": ("how long a stop may take (30)", "SECONDS"),
    "log_format": ("console or json", "FORMAT"),
    "log_level": ("debug, info, warning or error", "LEVEL"),
}


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings that a command runs with.

    Raises:
        ConfigError: one of them does not fit.
    """
    from pathlib import Path

    from ..config_loading import load

    flags: dict[str, Any] = {}
    for name in _FLAGS:
        value = getattr(options, name, None)
        if value is not None:
            flags[name] = value
    return load(flags, file=Path(options.config) if options.config else None)
