"""By which names this server may be asked: the Host of a request, and the allow-list."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_HOST: Final = re.compile(
    r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?)\.?)"
    r"(?::(?P<port>[0-9]{1,5}))?"
)


def parse_host(value: str) -> tuple[str, int | None] | None:
    """The name or address and the port of a Host field, or None when it is not one.

    The name is in lower case, without the dot at the end; an IPv6 address is in its short form.
    """
    match = _HOST.fullmatch(value.lower()) if value.isascii() else None
    if match is None:
        return None
    port = None if match["port"] is None else int(match["port"])
    if port is not None and port > 65535:
        return None
    if match["six"] is None:
        return match["name"], port
    try:
        return str(ipaddress.IPv6Address(match["six"])), port
    except ipaddress.AddressValueError:
        return None


class Hosts:
    """An allow-list of names, each for every port or for one; without any, all are allowed.

    All is the default since nothing here rests on the name: tokens are sent by scripts that hold
    them, never by a browser on its own, so a page that rebinds its name gains nothing.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        """Each is `name` or `name:port`.

        Raises:
            ValueError: one is neither.
        """
        self._allowed = set()
        for host in allowed:
            parsed = parse_host(host)
            if parsed is None:
                raise ValueError(f"{host!r} is no host")
            self._allowed.add(parsed)

    def allowed(self, host: tuple[str, int | None]) -> bool:
        """Whether this host, as `parse_host` tells it, may be asked for."""
        return not self._allowed or host in self._allowed or (host[0], None) in self._allowed
