"""`chat4all migrate`: the migrations that each database lacks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import trio

from chat4all_storage.bridge import open_bridge
from chat4all_storage.ports.errors import Rejected, Unavailable
from chat4all_storage.postgres.migrations import migrate

from .flags import settings_of
from .main import OK, USAGE, CommandError
from .opening import open_servers

if TYPE_CHECKING:
    import argparse

    from ..config import Settings


def run(options: argparse.Namespace) -> int:
    """Migrate each database."""
    return trio.run(_migrate, settings_of(options), options.json)


async def _migrate(settings: Settings, as_json: bool) -> int:
    async with open_servers(settings, beside_server=True) as servers, open_bridge() as bridge:
        for number, dsn in enumerate(servers.postgres, 1):
            try:
                applied = await migrate(bridge, dsn)
            except Unavailable as error:
                raise CommandError(
                    f"database {number} can't be reached: {error}",
                    "check --postgres / CHAT4ALL_POSTGRES",
                ) from error
            except Rejected as error:
                raise CommandError(f"database {number}: {error}", code=USAGE) from error
            if as_json:
                print(json.dumps({"database": number, "applied": applied}))
            else:
                print(f"database {number}: {', '.join(applied) or 'up to date'}")
    return OK
