"""Manage service clients: programs that call the REST API in their own name.

With --data-dir, or the same databases, it works beside a running server.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import trio

from chat4all_storage.ports.audit import SHELL
from chat4all_storage.ports.errors import ClientTaken, StorageError

from ..accounts.clients import ServiceClients
from ..accounts.errors import InvalidField
from ..accounts.passwords import Passwords
from ..accounts.scopes import SCOPES
from .main import FINDING, OK, USAGE, CommandError, add_settings, settings_of
from .opening import open_storage

if TYPE_CHECKING:
    import argparse

    from chat4all_storage.ports.clients import ServiceClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `chat4all client`."""
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


def run(options: argparse.Namespace) -> int:
    """Add, list or remove; 1 when it could not be done for some."""
    return trio.run(_run, options)


async def _run(options: argparse.Namespace) -> int:
    settings = settings_of(options)
    async with open_storage(settings, beside_server=True) as opened:
        stores = opened.storage.accounts
        try:
            if options.action == "list":
                for client in await stores.clients.all():
                    _print(client, as_json=options.json)
                return OK
            if options.action == "remove":
                known = [await stores.clients.remove(name, SHELL) for name in options.names]
                for name, removed in zip(options.names, known, strict=True):
                    if not removed:
                        print(f"chat4all: there is no client {name}", file=sys.stderr)
                    elif options.json:
                        print(json.dumps({"name": name, "removed": True}))
                    else:
                        print(f"{name} removed")
                return OK if all(known) else FINDING
            clients = ServiceClients(stores, Passwords(settings.bcrypt_cost))
            scopes = [scope for given in options.scope for scope in given.split()]
            added = await clients.add(
                options.name, scopes, SHELL, id_=options.id, secret=options.secret
            )
        except InvalidField as error:
            raise CommandError(f"{error.field}: {error}", code=USAGE) from error
        except ClientTaken:
            print(f"chat4all: {options.name}: the name or the id is taken", file=sys.stderr)
            return FINDING
        except StorageError as error:
            raise CommandError(f"the directory could not do it: {error}") from error
    _print(added.client, added.secret, as_json=options.json)
    return OK


def _print(client: ServiceClient, secret: str | None = None, *, as_json: bool) -> None:
    scope = " ".join(client.scopes)
    if as_json:
        told = {"client_id": client.id, "name": client.name, "scope": scope}
        print(json.dumps(told if secret is None else told | {"client_secret": secret}))
    elif secret is not None:
        print(f"{client.id} {secret}")
    else:
        print(f"{client.name}  {client.id}  {scope or '-'}")
