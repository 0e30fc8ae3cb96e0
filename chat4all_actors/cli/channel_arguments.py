"""The arguments of `chat4all channels`. Like `arguments.py` it imports nothing that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .flags import add_settings

if TYPE_CHECKING:
    import argparse


def add_channels(parser: argparse.ArgumentParser) -> None:
    """Add what `channels` takes."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    status = actions.add_parser(
        "status",
        help="how the accounts do",
        description="How the accounts on channels do, and what waits in them; 1 when one is dead or"
        " no node works on it. With --config those are shown, too, that never worked.",
    )
    listed = actions.add_parser(
        "list",
        help="list messages that were given up, or may not have arrived",
        description="List deliveries: those that have failed, and those of which is not known"
        " whether they arrived.",
    )
    listed.add_argument(
        "--state",
        default="failed,unknown",
        metavar="STATES",
        help="with commas between: queued, sending, unknown, sent, delivered, read, failed, dropped"
        " (failed,unknown)",
    )
    listed.add_argument("--account", metavar="ACCOUNT", help="of this account only")
    show = actions.add_parser(
        "show",
        help="show how deliveries went",
        description="Show how deliveries went, and the other parts of the same message. What people"
        " wrote is not shown.",
    )
    show.add_argument("ids", nargs="+", type=int, metavar="ID", help="as `channels list` shows it")
    retry = actions.add_parser(
        "retry",
        help="send again what was given up",
        description="Send again what has failed; what is unknown, too, if it is named: it may then"
        " arrive twice.",
    )
    drop = actions.add_parser(
        "drop",
        help="never send it again",
        description="Put deliveries away that have failed, are unknown or wait: they are not sent.",
    )
    for action in (retry, drop):
        action.add_argument(
            "ids", nargs="*", type=int, metavar="ID", help="as `channels list` shows it"
        )
        action.add_argument(
            "--all", action="store_true", help="all that have failed, of --account ACCOUNT"
        )
        action.add_argument("--account", metavar="ACCOUNT", help="goes with --all")
        action.add_argument(
            "--state",
            default="failed",
            metavar="STATES",
            help="goes with --all: failed, unknown, or failed,unknown (failed)",
        )
    back = actions.add_parser(
        "put-back",
        help="work again on what came in and was put aside",
        description="Work again on what came in and could not be worked on, once its reason is"
        " mended. `channels status` shows how much that is, and why.",
    )
    back.add_argument("accounts", nargs="+", metavar="ACCOUNT", help="telegram, telegram:support")
    play = actions.add_parser(
        "play",
        help="be somebody on a loopback channel of the server that runs here",
        description="Be somebody on a loopback channel ([channels.loopback]) of the server that"
        " runs here: write, and see what she is sent. In a pipe a line in is a message or a"
        " /command, and what she sees comes as lines.",
    )
    play.add_argument("address", metavar="ADDRESS", help="loopback:ana")
    play.add_argument("--name", metavar="NAME", help="what she is called")
    play.add_argument("--read", action="store_true", help="read whatever comes, at once")
    play.add_argument(
        "--follow", action="store_true", help="in a pipe: go on receiving at the end of the input"
    )
    play.add_argument("--json", action="store_true", help="print what she sees as JSON lines")
    add_settings(play, "data_dir")
    for action in (status, listed, show, retry, drop, back):
        action.add_argument("--json", action="store_true", help="JSON lines")
        add_settings(action, "data_dir", "postgres")
