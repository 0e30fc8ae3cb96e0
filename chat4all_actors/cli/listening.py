"""The sockets that a server listens on, and what is checked before it opens them."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from msgspec import Struct

from ..edge.http.hosts import Hosts
from ..edge.http.origins import normalize_origin
from ..edge.sockets import open_listeners
from .main import USAGE, CommandError

if TYPE_CHECKING:
    from ..config import Settings


class Doors(Struct, frozen=True):
    """The listening sockets of one node."""

    public: list[socket.socket]
    admin: list[socket.socket]
    """On 127.0.0.1; several workers share them."""

    def close(self) -> None:
        """Close all of them."""
        for listener in (*self.public, *self.admin):
            listener.close()


def open_doors(settings: Settings) -> list[Doors]:
    """Sockets for each worker, all on the same port.

    Each worker has sockets, and thereby a queue of new connections, of its own; the kernel spreads
    the clients over them.

    Raises:
        CommandError: an address or port can't be had.
    """
    if settings.workers > 1 and not hasattr(socket, "SO_REUSEPORT"):
        raise CommandError("this system can't share a port among workers", "--workers 1")
    doors: list[Doors] = []
    try:
        port = settings.port
        if settings.workers > 1 and port:
            # Sharing would be shared with another server of ours too: first see whether it is free.
            for listener in _open(settings, port):
                listener.close()
        for _ in range(settings.workers):
            public = _open(settings, port, share=settings.workers > 1)
            port = public[0].getsockname()[1]
            doors.append(Doors(public, doors[0].admin if doors else []))
        if settings.admin_port is not None:
            doors[0].admin.extend(_open_admin(settings.admin_port))
    except CommandError:
        for each in doors:
            each.close()
        raise
    return doors


def _open(settings: Settings, port: int, *, share: bool = False) -> list[socket.socket]:
    try:
        return open_listeners(settings.host, port, share=share)
    except OSError as error:
        raise CommandError(
            f"can't listen on {settings.host} port {port}: {error.strerror}",
            "choose another --port (0 picks a free one), or stop what uses it",
        ) from error


def _open_admin(port: int) -> list[socket.socket]:
    try:
        return open_listeners("127.0.0.1", port)
    except OSError as error:
        raise CommandError(
            f"can't listen on 127.0.0.1 port {port}: {error.strerror}",
            "choose another --admin-port",
        ) from error


def url_of(settings: Settings, doors: Doors) -> str:
    """Where clients find the server."""
    scheme = "https" if settings.tls_cert else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{doors.public[0].getsockname()[1]}"


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """The certificate and key that the settings name, if they name any.

    Raises:
        CommandError: they can't be used.
    """
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


def check_names(settings: Settings) -> None:
    """See that the allowed origins are origins, and the allowed hosts are hosts.

    Raises:
        CommandError: one is not.
    """
    for origin in settings.allowed_origins:
        if normalize_origin(origin) is None:
            raise CommandError(
                f"allowed_origins: {origin!r} is no origin",
                "write it as scheme://host[:port], such as https://chat.example.org",
                code=USAGE,
            )
    try:
        Hosts(settings.allowed_hosts)
    except ValueError as error:
        raise CommandError(
            f"allowed_hosts: {error}",
            "write each as name or name:port, such as chat.example.org",
            code=USAGE,
        ) from error
