"""`chat4all keys`: the signing keys that the directory has, and a new one."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import trio

from chat4all_storage.ports.audit import SHELL
from chat4all_storage.ports.errors import StorageError

from ..accounts.keyring import add_key
from ..accounts.sealing import Sealing
from .flags import settings_of
from .main import OK, CommandError
from .opening import open_storage, signing_key

if TYPE_CHECKING:
    import argparse

    from chat4all_storage.ports.keys import SigningKey


def run(options: argparse.Namespace) -> int:
    """List or rotate."""
    return trio.run(_run, options)


async def _run(options: argparse.Namespace) -> int:
    settings = settings_of(options)
    async with open_storage(settings, beside_server=True) as opened:
        store = opened.storage.accounts.keys
        try:
            if options.action == "rotate":
                sealing = Sealing(signing_key(settings))
                await add_key(store, sealing, settings.jwt_algorithm, SHELL)
            keys = await store.all()
        except StorageError as error:
            raise CommandError(f"the directory could not do it: {error}") from error
    for key in keys:
        _print(key, as_json=options.json)
    return OK


def _print(key: SigningKey, *, as_json: bool) -> None:
    state = _state(key)
    if as_json:
        told = {
            "kid": key.kid,
            "algorithm": key.algorithm,
            "state": state,
            "active_from": _moment(key.active_from),
            "retires_at": None if key.retires_at is None else _moment(key.retires_at),
        }
        print(json.dumps(told))
    else:
        print(f"{key.kid}  {key.algorithm:<6}  {state:<8}  from {_moment(key.active_from)}")


def _state(key: SigningKey) -> str:
    if key.active_from > time.time() * 1000:
        return "waiting"
    return "active" if key.retires_at is None else "retiring"


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
