"""`chat4all user`: accounts, added or revoked in the directory."""

from __future__ import annotations

import getpass
import json
import sys
from typing import TYPE_CHECKING

import trio

from chat4all_storage.ports.errors import InDoubt, StorageError, UsernameTaken

from ..accounts.passwords import PasswordRefused, Passwords
from ..accounts.service import Accounts, InvalidUsername
from .flags import settings_of
from .main import FINDING, OK, USAGE, CommandError
from .opening import open_storage

if TYPE_CHECKING:
    import argparse

    from ..config import Settings


def run(options: argparse.Namespace) -> int:
    """Add accounts, or revoke their tokens; 1 when it could not be done for some."""
    if options.action == "revoke":
        return trio.run(_revoke, settings_of(options), options.names, options.json)
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


async def _revoke(settings: Settings, names: list[str], as_json: bool) -> int:
    failed = False
    async with open_storage(settings, beside_server=True) as opened:
        for name in names:
            try:
                revoked = await opened.storage.directory.revoke(name)
            except InDoubt as error:
                raise CommandError(
                    f"{name}: it may have been done: {error}", f"chat4all user revoke {name}"
                ) from error
            except StorageError as error:
                raise CommandError(f"{name}: nothing was changed: {error}") from error
            if revoked is None:
                failed = True
                print(f"chat4all: there is no user {name}", file=sys.stderr)
                continue
            username, valid_from = revoked
            told = {"username": username, "valid_from": valid_from}
            print(json.dumps(told) if as_json else f"{username} revoked")
    return FINDING if failed else OK
