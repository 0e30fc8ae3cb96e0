"""Whose request it is: the client's address, and the scheme, behind proxies that are trusted."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .head import RequestHead

_Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"

# Of RFC 7239: pairs with a token or a quoted string, and what separates them.
_PAIR: Final = re.compile(
    r"\s*(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|"
    r"(?P<token>[^\s\",;]*))\s*(?P<end>[;,]|$)"
)
_WITH_PORT: Final = re.compile(r"(?:\[(?P<six>[^\]]*)\]|(?P<four>[^:]*))(?::[0-9A-Za-z._-]+)?")


def parse_address(text: str) -> _Address | None:
    """An address, perhaps with a port or in brackets; None when it is not one.

    An IPv4 address within IPv6 is the IPv4 address, and an interface (`%eth0`) is left out.
    """
    text = text.strip()
    match = _WITH_PORT.fullmatch(text)
    if match is not None:
        text = match["six"] or match["four"] or ""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(maxsize=4096)
def normal_address(text: str) -> str:
    """The one way to write an address; a text that is none stays what it is."""
    address = parse_address(text)
    return text if address is None else str(address)


class Proxies:
    """The proxies whose word about their clients counts.

    Only one of the two forms is believed, the one that the proxies are known to set: the other
    comes from the client as it is.
    """

    def __init__(self, trusted: Iterable[str], *, forwarded: bool = False) -> None:
        """`trusted` are networks or addresses; `forwarded`: they set `Forwarded` (RFC 7239).

        Else they set `X-Forwarded-For` and `X-Forwarded-Proto`.

        Raises:
            ValueError: one is no network.
        """
        self._trusted = [ipaddress.ip_network(network, strict=False) for network in trusted]
        self._forwarded = forwarded

    def client(self, head: RequestHead, peer: str, scheme: str) -> tuple[str, str]:
        """The address and the scheme of the client whose request came from `peer` by `scheme`.

        The address is that of the last hop before the trusted proxies: what stands further left
        was written by somebody unknown. Where a proxy did not tell an address, it is the proxy's.
        """
        if not self._trusted:
            return normal_address(peer), scheme
        address = parse_address(peer)
        if address is None or not self._is_trusted(address):
            return normal_address(peer), scheme
        if self._forwarded:
            hops, told = _forwarded(head)
        else:
            hops = [hop.decode("latin-1") for hop in head.get_list(b"x-forwarded-for")]
            told = [proto.decode("latin-1") for proto in head.get_list(b"x-forwarded-proto")]
        for hop in reversed(hops):
            found = parse_address(hop)
            if found is None:
                break
            address = found
            if not self._is_trusted(found):
                break
        # The nearest proxy's word.
        if told and (proto := told[-1].lower()) in ("http", "https"):
            scheme = proto
        return str(address), scheme

    def _is_trusted(self, address: _Address) -> bool:
        return any(address in network for network in self._trusted)


def _forwarded(head: RequestHead) -> tuple[list[str], list[str]]:
    """What the `Forwarded` fields tell: `for` of each hop, and `proto` of those that told it.

    Nothing, if they can't be read: a hop must not hide what stands behind it.
    """
    text = b",".join(head.get_all(b"forwarded")).decode("latin-1")
    hops: list[str] = []
    protos: list[str] = []
    hop, at = "", 0
    while at < len(text):
        match = _PAIR.match(text, at)
        if match is None:
            return [], []
        value = match["token"] if match["quoted"] is None else match["quoted"]
        if match["name"].lower() == "for":
            hop = value
        elif match["name"].lower() == "proto":
            protos.append(value)
        at = match.end()
        if match["end"] != ";":
            hops.append(hop)
            hop = ""
    return hops, protos
