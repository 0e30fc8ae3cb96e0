"""Print access tokens, a line each, in the order of the names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import trio

from .access import tokens_for
from .main import OK, add_settings, settings_of

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `chat4all token`."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="user names")
    parser.add_argument("--password", metavar="P", help="check it before a token is printed")
    parser.add_argument("--json", action="store_true", help="a JSON line for each token")
    add_settings(parser, "data_dir", "postgres")


def run(options: argparse.Namespace) -> int:
    """Print the tokens."""

    async def issue() -> list[str]:
        return await tokens_for(settings_of(options), options.names, password=options.password)

    for name, token in zip(options.names, trio.run(issue), strict=True):
        print(json.dumps({"username": name, "access_token": token}) if options.json else token)
    return OK
