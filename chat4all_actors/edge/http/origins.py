"""Which web pages may speak to this server: the Origin of a request, and the allow-list."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://"
    r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_~%!$&'()*+,;=.-]+)"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
)
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


class Origins:
    """An allow-list: exact origins, without wildcards."""

    def __init__(self, allowed: Iterable[str]) -> None:
        """Each is `scheme://host[:port]` or `null`; what is none of these allows nothing."""
        self._allowed = frozenset(map(normalize_origin, allowed)) - {None}

    def __bool__(self) -> bool:
        return bool(self._allowed)

    def allowed(self, origin: bytes) -> bool:
        """Whether this origin is listed."""
        return normalize_origin(origin.decode("latin-1")) in self._allowed

    @staticmethod
    def own(origin: bytes, host: bytes | None) -> bool:
        """Whether this is the origin of the request's own Host, under the scheme it has.

        Which scheme the client used is not known here: TLS may end at a proxy.
        """
        normal = normalize_origin(origin.decode("latin-1"))
        if normal is None or host is None:
            return False
        scheme = normal.partition("://")[0]
        if scheme not in _DEFAULT_PORTS:
            return False
        return normal == normalize_origin(f"{scheme}://{host.decode('latin-1')}")


def normalize_origin(origin: str) -> str | None:
    """Return the canonical form of a serialized origin, or None if it is not one.

    Scheme and host become lower case, the default port of http and https is left out; nothing
    may follow the port, not even a slash. `null`, the opaque origin, is returned as it is.
    """
    match = _ORIGIN.fullmatch(origin.lower()) if origin.isascii() else None
    if match is None:
        return "null" if origin == "null" else None
    scheme, host, port = match.group("scheme", "host", "port")
    if port is None or port == _DEFAULT_PORTS.get(scheme):
        return f"{scheme}://{host}"
    return f"{scheme}://{host}:{port}"
