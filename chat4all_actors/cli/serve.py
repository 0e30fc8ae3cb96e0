"""Run the server: what is not configured is embedded under the data directory."""

from __future__ import annotations

import gc
import logging
import resource
import signal
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct
from msgspec.structs import replace

from ..edge.handshake import normalize_origin
from ..edge.listener import open_listeners
from ..logs import configure
from ..node import Node
from .main import OK, USAGE, CommandError, add_settings, settings_of
from .opening import SPARE_DESCRIPTORS, announced, open_storage, signing_key

if TYPE_CHECKING:
    import argparse
    import socket
    from collections.abc import AsyncIterator

    from chat4all_storage.storage import Storage

    from ..config import Settings
    from .opening import Opened

logger = logging.getLogger(__name__)

GC_THRESHOLD: Final = 50_000
"""Allocations between collections: a full one costs 0.1 ms per 1,000 objects that live."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `chat4all serve`."""
    add_settings(
        parser,
        "host",
        "port",
        "admin_port",
        "data_dir",
        "postgres",
        "redis",
        "workers",
        "migrate",
        "tls_cert",
        "tls_key",
        "drain_timeout",
        "log_format",
        "log_level",
    )


def run(options: argparse.Namespace) -> int:
    """Serve until told to stop."""
    settings = settings_of(options)
    configure(settings.log_format, settings.log_level)
    trio.run(serve, fit_to_limits(settings))
    return OK


def fit_to_limits(settings: Settings) -> Settings:
    """Raise the process's limit of descriptors, and admit no more clients than it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.max_connections + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if soft < wanted:
            room = max(1, soft - SPARE_DESCRIPTORS)
            logger.warning("the limit of %d descriptors leaves room for %d clients", soft, room)
            return replace(settings, max_connections=room)
    return settings


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        CommandError: it can't start, or an embedded server gave up.
    """
    async with open_node(settings) as running:
        # Whoever reads the line may send a signal at once.
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            print(f"listening on {running.url}", flush=True)
            async for number in signals:
                logger.info("%s: draining", signal.Signals(number).name)
                break
        await running.node.drain()


class Running(Struct, frozen=True):
    """A node that accepts work."""

    node: Node
    storage: Storage
    url: str


@asynccontextmanager
async def open_node(settings: Settings, *, throwaway: bool = False) -> AsyncIterator[Running]:
    """A node that accepts work; it is stopped when the block is left.

    Raises:
        CommandError: it can't start, or an embedded server gave up.
    """
    tls = _tls_context(settings)
    _check_origins(settings)
    listeners = _listen(settings)
    try:
        async with open_storage(settings, throwaway=throwaway) as opened:
            node = Node(
                settings,
                opened.storage,
                jwt_key=signing_key(settings),
                listeners=listeners,
                bus=opened.bus,
                tls=tls,
            )
            url = _url(settings, listeners[0])
            # The bridge, the pools and all code are there for good: no collection need look.
            gc.collect()
            gc.freeze()
            gc.set_threshold(GC_THRESHOLD)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_watch_embedded, opened)
                await nursery.start(node.run)
                with announced(settings, url):
                    yield Running(node, opened.storage, url)
                nursery.cancel_scope.cancel()
    finally:
        for listener in listeners:
            listener.close()


async def _watch_embedded(opened: Opened) -> None:
    if opened.embedded is not None:
        await opened.embedded.wait_failed()


def _listen(settings: Settings) -> list[socket.socket]:
    try:
        listeners = open_listeners(settings.host, settings.port)
    except OSError as error:
        raise CommandError(
            f"can't listen on {settings.host} port {settings.port}: {error.strerror}",
            "choose another --port (0 picks a free one), or stop what uses it",
        ) from error
    if settings.admin_port is not None:
        try:
            listeners += open_listeners("127.0.0.1", settings.admin_port)
        except OSError as error:
            for listener in listeners:
                listener.close()
            raise CommandError(
                f"can't listen on 127.0.0.1 port {settings.admin_port}: {error.strerror}",
                "choose another --admin-port",
            ) from error
    return listeners


def _url(settings: Settings, listener: socket.socket) -> str:
    scheme = "https" if settings.tls_cert else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{listener.getsockname()[1]}"


def _tls_context(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise CommandError(
            f"the TLS certificate can't be used: {error}",
            "check --tls-cert (the chain, PEM) and --tls-key",
            code=USAGE,
        ) from error
    return context


def _check_origins(settings: Settings) -> None:
    for origin in settings.allowed_origins:
        if normalize_origin(origin) is None:
            raise CommandError(
                f"allowed_origins: {origin!r} is no origin",
                "write it as scheme://host[:port], such as https://chat.example.org",
                code=USAGE,
            )
