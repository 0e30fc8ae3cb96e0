"""Sockets that listen."""

from __future__ import annotations

import socket
from typing import Final

BACKLOG: Final = 4096


def open_listeners(host: str, port: int, *, share: bool = False) -> list[socket.socket]:
    """Listening sockets on every address of `host`; with port 0 all on one free port.

    With `share`, this user's processes may open more sockets on the port: each has a queue of its
    own, and the kernel spreads new connections over them.

    Raises:
        OSError: the host has no address here, or the port is in use.
    """
    infos = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_ADDRCONFIG
    )
    listeners: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(infos):
            listener = socket.socket(family, kind, protocol)
            listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if share:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            chosen = port or (listeners[0].getsockname()[1] if len(listeners) > 1 else 0)
            listener.bind((address[0], chosen, *address[2:]))
            listener.listen(BACKLOG)
            listener.setblocking(False)
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners
