"""What counts as one address, and how much each has open at once."""

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
    """What each address has open: connections, say."""

    def __init__(self, limit: int, together: int = 0) -> None:
        """`limit` of one address, and `together` of all; 0 is unlimited."""
        self._limit = limit
        self._together = together
        self._count = 0
        """Of all, where that is limited."""
        self._open: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, address: str) -> bool:
        """Count one, which must `leave` later; False if there are too many."""
        if self._together and self._count >= self._together:
            return False
        if self._limit:
            key = address_key(address)
            count = self._open.get(key, 0)
            if count >= self._limit:
                return False
            self._open[key] = count + 1
        self._count += 1
        return True

    def leave(self, address: str) -> None:
        """One that was counted has closed."""
        self._count -= 1
        if not self._limit:
            return
        key = address_key(address)
        count = self._open[key] - 1
        if count:
            self._open[key] = count
        else:
            del self._open[key]
