"""`chat4all shards`: the state of all databases, or a move from one to another."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from chat4all_storage.bridge import open_bridge
from chat4all_storage.embedded.embedded import find_embedded
from chat4all_storage.moving.move import ShardMove
from chat4all_storage.moving.status import name_databases, shard_status
from chat4all_storage.ports.errors import Rejected, Unavailable
from chat4all_storage.ports.logical_shards import LOGICAL_SHARDS

from .flags import settings_of
from .main import FINDING, OK, USAGE, CommandError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from chat4all_storage.bridge import Bridge
    from chat4all_storage.moving.status import DatabaseStatus, Status

    from ..config import Settings

MOVE_TIMEOUT: Final = 24 * 3600.0
"""Seconds; a move of a large shard takes long, and nobody waits for it."""


def run(options: argparse.Namespace) -> int:
    """Show the shards, or move one; 1 when a database can't be reached or a move is not over."""
    settings = settings_of(options)
    try:
        if options.action == "status":
            return trio.run(_status, settings, options.json)
        if not 0 <= options.shard < LOGICAL_SHARDS:
            raise CommandError(f"shards are 0 to {LOGICAL_SHARDS - 1}", code=USAGE)
        return trio.run(_move, settings, options.shard, options.to, options.json)
    except Unavailable as error:
        raise CommandError(
            f"a database can't be reached: {error}",
            "check --postgres / CHAT4ALL_POSTGRES, then run the command again",
        ) from error
    except Rejected as error:
        raise CommandError(str(error), code=FINDING) from error


def _dsns(settings: Settings) -> Sequence[str]:
    if settings.postgres:
        return settings.postgres
    found = find_embedded(Path(settings.data_dir))
    if found is None or not found.postgres_dsn:
        raise CommandError(
            f"no server runs over {settings.data_dir}", "name the databases with --postgres"
        )
    return [found.postgres_dsn]


async def _status(settings: Settings, as_json: bool) -> int:
    async with open_bridge() as bridge:
        status = await shard_status(bridge, _dsns(settings))
    if as_json:
        print(msgspec.json.encode(status).decode())
    else:
        print(_readable(status))
    broken = any(database.error for database in status.databases) or bool(status.moves)
    return FINDING if broken else OK


def _readable(status: Status) -> str:
    lines: list[str] = []
    for database in status.databases:
        mine = [shard for shard in status.shards if shard.database == database.name]
        lines.append(f"database {database.position}: {database.name or 'unknown'}")
        lines.append(f"  at {database.address}")
        if database.error is not None:
            lines.append(f"  out of reach: {database.error}")
        conversations = sum(shard.conversations or 0 for shard in mine)
        events = sum(shard.events or 0 for shard in mine)
        lines.append(f"  {len(mine)} shards: {' '.join(str(shard.shard) for shard in mine)}")
        if database.error is None:
            lines.append(f"  {conversations} conversations, {events} events")
        lines += [
            f"  shard {shard.shard} is {shard.state}"
            for shard in mine
            if shard.state not in (None, "serving")
        ]
    known = {database.name for database in status.databases}
    lines += [
        f"shard {shard.shard} is in database {shard.database}, which is not configured"
        for shard in status.shards
        if shard.database not in known
    ]
    lines += [
        f"shard {move.shard} is on the way to {move.target} since {move.started_at}: if nothing"
        f" moves it, finish with `chat4all shards move {move.shard} --to {move.target}`"
        for move in status.moves
    ]
    return "\n".join(lines)


async def _move(settings: Settings, shard: int, to: str, as_json: bool) -> int:
    dsns = _dsns(settings)
    async with open_bridge() as bridge:
        target, names = await _find(bridge, dsns, to)
        move = ShardMove(names, shard, target, report=_say)
        moved = await bridge.call(move.run, timeout=MOVE_TIMEOUT)
    if as_json:
        print(msgspec.json.encode(moved).decode())
    else:
        print(
            f"shard {shard} moved to database {target} in {moved.took:.1f} s:"
            f" {moved.conversations} conversations and {moved.events} events in {moved.rounds}"
            f" rounds, paused for {moved.paused * 1000:.0f} ms"
        )
    return OK


async def _find(bridge: Bridge, dsns: Sequence[str], to: str) -> tuple[str, dict[str, str]]:
    """The lasting name of the database that is meant, and the DSNs of all by their names."""
    databases = await name_databases(bridge, dsns)
    names = {
        database.name: dsn
        for database, dsn in zip(databases, dsns, strict=True)
        if database.name is not None
    }
    for database in databases:
        if to in (str(database.position), database.name) and database.name is not None:
            _check(database)
            return database.name, names
    raise CommandError(
        f"there is no database {to}", "see them with: chat4all shards status", code=USAGE
    )


def _check(database: DatabaseStatus) -> None:
    if database.error is not None:
        raise CommandError(f"database {database.position} can't be reached: {database.error}")


def _say(stage: str) -> None:
    print(f"chat4all: {stage}", file=sys.stderr, flush=True)
