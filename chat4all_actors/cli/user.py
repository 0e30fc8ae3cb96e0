"""Manage accounts. With --data-dir, or the same databases, it works beside a running server."""

from __future__ import annotations

import getpass
import json
import sys
from typing import TYPE_CHECKING

import trio

from chat4all_storage.ports import StorageError, UsernameTaken

from ..accounts.passwords import PasswordRefused, Passwords
from ..accounts.service import Accounts, InvalidUsername
from .main import FINDING, OK, USAGE, CommandError, add_settings, settings_of
from .opening import open_storage

if TYPE_CHECKING:
    import argparse

    from ..config import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `chat4all user`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser("add", help="add accounts", description="Add accounts.")
    add.add_argument("names", nargs="+", metavar="NAME", help="user names")
    add.add_argument("--password", metavar="P", help="of all of them; asked for when left out")
    add.add_argument("--json", action="store_true", help="a JSON line for each account")
    add_settings(add, "data_dir", "postgres")


def run(options: argparse.Namespace) -> int:
    """Add the accounts; 1 when some could not be added."""
    password = options.password
    if password is None:
        if not sys.stdin.isatty():
            raise CommandError("no password was given", "add --password P", code=USAGE)
        password = getpass.getpass("Password: ")
    return trio.run(_add, settings_of(options), options.names, password, options.json)


async def _add(settings: Settings, names: list[str], password: str, as_json: bool) -> int:
    failed = False
    async with open_storage(settings, beside_server=True) as opened:
        accounts = Accounts(opened.storage.directory, Passwords(settings.bcrypt_cost))
        for name in names:
            try:
                user = await accounts.add(name, password)
            except (InvalidUsername, PasswordRefused) as error:
                raise CommandError(f"{name}: {error}", code=USAGE) from error
            except UsernameTaken:
                failed = True
                print(f"chat4all: {name}: the name is taken", file=sys.stderr)
            except StorageError as error:
                raise CommandError(f"{name} could not be added: {error}") from error
            else:
                told = {"user_id": user.id, "username": user.username}
                print(json.dumps(told) if as_json else f"{user.username} {user.id}")
    return FINDING if failed else OK
