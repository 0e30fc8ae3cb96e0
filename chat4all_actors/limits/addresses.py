"""What counts as one address, and how many connections each has open."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final

NETWORK: Final = 64
"""Bits of an IPv6 address that are given to one customer: the rest of them is free to choose."""


@lru_cache(maxsize=4096)
def address_key(address: str) -> str:
    """What an address is counted as: an IPv6 address as its network, a mapped one as IPv4.

    What is no address, such as the path of a socket, is counted as it is.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((found, NETWORK), strict=False))


class AddressCounts:
    """Open connections of each address."""

    def __init__(self, limit: int) -> None:
        """`limit` connections of one address; 0 is unlimited."""
        self._limit = limit
        self._open: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, address: str) -> bool:
        """Count a connection, which must `leave` later; False if there are too many."""
        if not self._limit:
            return True
        key = address_key(address)
        count = self._open.get(key, 0)
        if count >= self._limit:
            return False
        self._open[key] = count + 1
        return True

    def leave(self, address: str) -> None:
        """A connection that was counted has closed."""
        if not self._limit:
            return
        key = address_key(address)
        count = self._open[key] - 1
        if count:
            self._open[key] = count
        else:
            del self._open[key]
