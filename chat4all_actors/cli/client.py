"""`chat4all client`: service clients, as the directory has them."""

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
from .flags import settings_of
from .main import FINDING, OK, USAGE, CommandError
from .opening import open_storage

if TYPE_CHECKING:
    import argparse

    from chat4all_storage.ports.clients import ServiceClient


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
