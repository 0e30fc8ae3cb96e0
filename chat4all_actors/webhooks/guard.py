"""Where an endpoint may be: addresses that are public, and nothing that leads elsewhere. No I/O.

`ipaddress` alone is not enough: which networks it calls private depends on the Python version, and
it lets pass IPv6 addresses that stand for IPv4 ones (mapped, NAT64, 6to4, Teredo). So the networks
are listed here, from the registries of special-purpose addresses (IANA, RFC 6890 and successors),
and what is embedded is looked at as well.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_URL: Final = 2048

_DENIED_4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carrier-grade NAT
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local, and metadata of clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.31.196.0/24",  # AS112
            "192.52.193.0/24",  # AMT
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",  # private
            "192.175.48.0/24",  # AS112
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
_GLOBAL_6: Final = IPv6Network("2000::/3")
"""All that is assigned to networks of the internet; what is outside is denied."""
_DENIED_6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks, …
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4: an IPv4 address inside
            "2620:4f:8000::/48",  # AS112
            "3ffe::/16",  # the former 6bone
            "3fff::/20",  # documentation
        ),
    )
)
_LOCAL_NAMES: Final = re.compile(
    r"(?:\A|\.)(?:localhost|local|internal|intranet|lan|home|corp|localdomain|home\.arpa)\Z"
)
_HOST: Final = re.compile(r"\A[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9])?\Z")


class BadAddress(ValueError):
    """An endpoint can't be there; why is safe to tell."""


class Target(Struct, frozen=True):
    """Where an endpoint is, taken apart."""

    scheme: str
    host: str
    """In lower case; an IPv6 address without brackets."""
    port: int


def public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is one of the public internet, and stands for no other one."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _DENIED_4)
    if address.scope_id is not None:
        return False
    # What is outside of 2000::/3 is denied, and with it ::/96, ::ffff:0:0/96, 64:ff9b::/96,
    # 64:ff9b:1::/48, 100::/64, 5f00::/16, fc00::/7, fe80::/10, fec0::/10 and ff00::/8.
    return address in _GLOBAL_6 and not any(address in network for network in _DENIED_6)


def parse(url: str, *, ports: Collection[int], allow_private: bool) -> Target:
    """Take the address of an endpoint apart.

    Raises:
        BadAddress: it is none, or one where no endpoint may be, whatever its name stands for.
    """
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise BadAddress(f"an address has at most {MAX_URL} visible ASCII characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadAddress("this is no address") from None
    if parts.scheme not in ("http", "https"):
        raise BadAddress("an address begins with https:// or http://")
    if "@" in parts.netloc or "\\" in url:
        raise BadAddress("an address has no user, no password and no backslash")
    if parts.fragment or "#" in url:
        raise BadAddress("an address has no fragment")
    host = (parts.hostname or "").rstrip(".")
    if port is None:
        port = 443 if parts.scheme == "https" else 80
    target = Target(parts.scheme, host, port)
    literal = _literal(host)
    if literal is None and not _HOST.match(host):
        raise BadAddress("an address names a host")
    if not allow_private:
        if port not in ports:
            allowed = ", ".join(map(str, ports))
            raise BadAddress(f"endpoints may be at these ports: {allowed}")
        # A name whose last part is a number is an address in an odd form (127.1, 0x7f.1).
        odd = literal is None and (host.rpartition(".")[2][:1].isdigit() or "." not in host)
        if odd or (literal is not None and not public(literal)) or _LOCAL_NAMES.search(host):
            raise BadAddress("an endpoint is at a public address")
    return target


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
