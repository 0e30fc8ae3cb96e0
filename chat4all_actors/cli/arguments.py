"""What can be said on the command line: every command with its help and its arguments.

Imports nothing that a command needs to run, so that help and usage errors are there at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from chat4all_storage.ports.logical_shards import LOGICAL_SHARDS

from ..accounts.rotation import DELAY
from ..accounts.scopes import SCOPES
from .channel_arguments import add_channels
from .flags import add_settings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

DEFAULT_URL: Final = "http://127.0.0.1:8000"
"""Where `chat` looks for a server of which nothing is known."""

_BESIDE: Final = "With --data-dir, or the same databases, it works beside a running server."


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", default="0", help="port to listen on (a free one)")


def _serve(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "All other settings are given by the environment (CHAT4ALL_MAX_CONNECTIONS=5000) or in"
        " --config FILE (max_connections = 5000). chat4all_actors/config.py lists them all."
    )
    add_settings(
        parser,
        "host",
        "port",
        "admin_port",
        "data_dir",
        "postgres",
        "redis",
        "s3_bucket",
        "s3_endpoint",
        "workers",
        "migrate",
        "tls_cert",
        "tls_key",
        "jwt_algorithm",
        "drain_timeout",
        "log_format",
        "log_level",
    )


def _migrate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="a JSON line for each database")
    add_settings(parser, "data_dir", "postgres")


def _user(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser("add", help="add accounts", description="Add accounts.")
    add.add_argument("names", nargs="+", metavar="NAME", help="user names")
    add.add_argument("--password", metavar="P", help="of all of them; asked for when left out")
    add.add_argument("--json", action="store_true", help="a JSON line for each account")
    add_settings(add, "data_dir", "postgres")
    revoke = actions.add_parser(
        "revoke",
        help="end all sessions of accounts, and refuse the tokens they have",
        description="Refuse the access tokens that these users have now, and close their sessions"
        " on every node within two seconds. Tokens that are issued from the next second on count.",
    )
    revoke.add_argument("names", nargs="+", metavar="NAME", help="user names")
    revoke.add_argument("--json", action="store_true", help="a JSON line for each account")
    add_settings(revoke, "data_dir", "postgres")


def _token(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="NAME", help="user names")
    parser.add_argument("--password", metavar="P", help="check it before a token is printed")
    parser.add_argument("--json", action="store_true", help="a JSON line for each token")
    add_settings(parser, "data_dir", "postgres")


def _client(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser(
        "add",
        help="add a client, and print its id and secret",
        description="Add a client. Its id and secret are printed once, a line; the secret can't be"
        " shown again.",
    )
    add.add_argument("name", metavar="NAME", help="it acts as client:NAME")
    add.add_argument(
        "--scope",
        action="append",
        default=[],
        metavar="SCOPE",
        help=f"what it may do; repeat it, or give several between spaces: {' '.join(SCOPES)}",
    )
    add.add_argument("--id", metavar="ID", help="made up when left out")
    add.add_argument("--secret", metavar="SECRET", help="likewise")
    listed = actions.add_parser("list", help="list clients", description="List all clients.")
    remove = actions.add_parser(
        "remove",
        help="remove clients, and refuse their tokens",
        description="Remove clients. Their tokens count no longer, within two seconds.",
    )
    remove.add_argument("names", nargs="+", metavar="NAME", help="names of clients")
    for action in (add, listed, remove):
        action.add_argument("--json", action="store_true", help="a JSON line for each client")
        add_settings(action, "data_dir", "postgres")


def _keys(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="list keys", description="List the signing keys.")
    rotate = actions.add_parser(
        "rotate",
        help="let a new key sign, and the old ones retire",
        description=f"Add a key. It signs in {DELAY:.0f} seconds, when every node has learned it;"
        " those before it verify until all they signed has expired.",
    )
    for action in (listed, rotate):
        action.add_argument("--json", action="store_true", help="a JSON line for each key")
    add_settings(listed, "data_dir", "postgres")
    add_settings(rotate, "data_dir", "postgres", "jwt_algorithm")


def _files(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = actions.add_parser(
        "list",
        help="list files in quarantine, or somebody's",
        description="List the files that are in quarantine, or all files of a user.",
    )
    listed.add_argument("--owner", metavar="NAME", help="all files of this user")
    release = actions.add_parser(
        "release",
        help="let files out of quarantine",
        description="Let files be used that could not be scanned: they were looked at otherwise.",
    )
    remove = actions.add_parser(
        "remove",
        help="remove files",
        description="Remove files, whoever has them: nobody gets them, and their bytes go.",
    )
    for action in (release, remove):
        action.add_argument("files", nargs="+", metavar="ID", help="as `files list` shows it")
    for action in (listed, release, remove):
        action.add_argument("--json", action="store_true", help="a JSON line for each file")
        add_settings(action, "data_dir", "postgres")


def _chat(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--as", dest="name", metavar="NAME", help="who you are")
    whom = parser.add_mutually_exclusive_group()
    whom.add_argument(
        "--with", dest="peer", metavar="NAME", help="whom to talk to: a user, or an address"
    )
    whom.add_argument("--conversation", metavar="ID", help="which conversation to join")
    parser.add_argument("--url", help=f"the server ($CHAT4ALL_URL, else {DEFAULT_URL})")
    parser.add_argument(
        "--token",
        help="an access token ($CHAT4ALL_TOKEN; else one is made with the data directory)",
    )
    parser.add_argument("--json", action="store_true", help="print what is received as JSON lines")
    parser.add_argument(
        "--follow", action="store_true", help="in a pipe: go on receiving at the end of the input"
    )
    add_settings(parser, "data_dir", "postgres")


def _shards(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    status = actions.add_parser(
        "status", help="where the logical shards are", description="Where the logical shards are."
    )
    move = actions.add_parser(
        "move",
        help="move a logical shard to another database while traffic runs",
        description="Move a logical shard to another database while traffic runs. Every node has"
        " to know that database already. If a move dies, run it again: it is finished, or starts"
        " over.",
    )
    move.add_argument("shard", type=int, metavar="SHARD", help=f"0 to {LOGICAL_SHARDS - 1}")
    move.add_argument(
        "--to",
        required=True,
        metavar="DATABASE",
        help="its position among the databases, from 1, or its lasting name",
    )
    for action in (status, move):
        action.add_argument("--json", action="store_true", help="print JSON")
        add_settings(action, "data_dir", "postgres")


def _bench(parser: argparse.ArgumentParser) -> None:
    # The harness has many, and does without the server; the other commands do without the harness.
    from chat4all_bench.cli import add_arguments

    add_arguments(parser)


def _doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the checks as JSON")
    add_settings(
        parser, "host", "port", "data_dir", "postgres", "redis", "s3_bucket", "s3_endpoint"
    )


class Command(NamedTuple):
    """A command, as it is to be called. The module of its name in this folder runs it."""

    summary: str
    """Its line in the help of `chat4all`."""
    description: str
    """What its own help begins with."""
    add_arguments: Callable[[argparse.ArgumentParser], None]


COMMANDS: Final = {
    "demo": Command(
        "show it working: everything embedded, in a throw-away directory",
        "Show it working: a server with everything embedded, in a directory that is gone"
        " afterwards.",
        _demo,
    ),
    "serve": Command(
        "run the server",
        "Run the server: what is not configured is embedded under the data directory.",
        _serve,
    ),
    "migrate": Command(
        "create or upgrade the schema on every database",
        "Create or upgrade the schema on every database; harmless to repeat.",
        _migrate,
    ),
    "user": Command(
        "manage accounts: user add NAME… --password P, user revoke NAME…",
        f"Manage accounts: add them, end their sessions. {_BESIDE}",
        _user,
    ),
    "token": Command(
        "print access tokens",
        "Print access tokens, a line each, in the order of the names.",
        _token,
    ),
    "client": Command(
        "manage service clients: client add NAME --scope …, client list, client remove NAME",
        f"Manage service clients: programs that call the REST API in their own name. {_BESIDE}",
        _client,
    ),
    "keys": Command(
        "manage the keys that sign access tokens: keys list, keys rotate",
        f"Manage the keys that access tokens are signed with. {_BESIDE}",
        _keys,
    ),
    "files": Command(
        "decide on files in quarantine: files list, files release ID…, files remove ID…",
        f"Look at files, and decide on those that nobody could scan. {_BESIDE}",
        _files,
    ),
    "chat": Command(
        "chat from the terminal",
        "Chat from the terminal. In a pipe a line in is a message out; received ones come as"
        " lines.",
        _chat,
    ),
    "channels": Command(
        "look after accounts on channels: channels status, list, retry ID…, play loopback:ana, …",
        f"Look after accounts on channels, and decide on messages that did not arrive. {_BESIDE}",
        add_channels,
    ),
    "shards": Command(
        "show where conversations are, and move shards between databases",
        "Show where the conversations are, and move logical shards between databases.",
        _shards,
    ),
    "bench": Command(
        "measure the server under load",
        "Measure the server under load; 1 when a threshold is broken, or a message was lost.",
        _bench,
    ),
    "doctor": Command(
        "check this machine and say what to mend",
        "Check this machine and the configured databases, and print what mends each finding.",
        _doctor,
    ),
}
"""In the order in which help shows them."""
