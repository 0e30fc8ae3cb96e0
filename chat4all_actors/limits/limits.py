"""The limits of a node by their names: `take` decides in its memory, and never waits."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Literal

from .addresses import AddressCounts, address_key
from .gcra import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config import Settings

LimitName = Literal[
    "messages",
    "requests",
    "client_requests",
    "handshakes",
    "logins",
    "logins_address",
    "registrations",
    "files",
    "callbacks",
    "link_codes",
    "link_codes_address",
]

MESSAGES: Final = "messages"
"""Messages of a user; the key is the user name."""
REQUESTS: Final = "requests"
"""REST requests of an address."""
CLIENT_REQUESTS: Final = "client_requests"
"""REST requests of a service client; the key is its client id."""
HANDSHAKES: Final = "handshakes"
"""New WebSockets of an address."""
LOGINS: Final = "logins"
"""Attempts to log in to an account; the key is the user name, whether it exists or not."""
LOGINS_ADDRESS: Final = "logins_address"
"""Attempts to log in from an address."""
REGISTRATIONS: Final = "registrations"
"""Registrations from an address."""
CALLBACKS: Final = "callbacks"
"""Calls of providers of channels, or of who says to be one, from an address."""
LINK_CODES: Final = "link_codes"
"""Codes that link a user to a channel; the key is the user name."""
LINK_CODES_ADDRESS: Final = "link_codes_address"
"""Those that are sent to somebody on a channel, whoever asks; the key is the address there."""
FILES: Final = "files"
"""Uploads that a user begins; the key is the user name."""

_OF_ADDRESSES: Final = frozenset({REQUESTS, HANDSHAKES, LOGINS_ADDRESS, REGISTRATIONS, CALLBACKS})
SHARES: Final = 4
"""One address has at most such a part of the large calls."""
MINUTES_OF_HOUR: Final = 60
LONGEST_KEY: Final = 128
"""Characters of a key that is held as it is; of longer ones only a hash."""


class Limits:
    """All limits of a node."""

    def __init__(self, settings: Settings) -> None:
        keys = settings.rate_max_keys
        self.limiters: Mapping[str, RateLimiter] = {
            name: RateLimiter(per_minute, burst, max_keys=keys)
            for name, per_minute, burst in _rates(settings)
        }
        self.connections: Final = AddressCounts(settings.max_connections_per_address)
        """Those that are open, by address."""
        large = settings.channel_max_large_callbacks
        self.large_callbacks: Final = AddressCounts(max(1, large // SHARES), large)
        """Providers' calls with much to read that are being read."""

    def take(self, limit: LimitName, key: str) -> float:
        """Count one against a limit: 0 if it may pass, else seconds until one would.

        What is refused is not counted. An address is given as it is: see `address_key`.
        """
        if limit in _OF_ADDRESSES:
            key = address_key(key)
        if len(key) > LONGEST_KEY:
            key = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        return self.limiters[limit].take(key)

    def watch(self, limit: LimitName, key: str) -> None:
        """A key is likely to be used here soon: ask the other nodes what it has left."""
        self.limiters[limit].watch(key)


def _rates(settings: Settings) -> list[tuple[LimitName, float, int]]:
    codes, codes_address = settings.rate_link_codes, settings.rate_link_codes_per_address
    return [
        (LINK_CODES, codes / MINUTES_OF_HOUR, max(1, codes)),
        (LINK_CODES_ADDRESS, codes_address / MINUTES_OF_HOUR, max(1, codes_address)),
        (MESSAGES, settings.rate_messages_per_minute, settings.rate_burst),
        (
            CALLBACKS,
            settings.rate_channel_callbacks_per_minute,
            settings.rate_channel_callbacks_burst,
        ),
        (FILES, settings.rate_files_per_minute, settings.rate_files_burst),
        (REQUESTS, settings.rate_requests_per_minute, settings.rate_requests_burst),
        (
            CLIENT_REQUESTS,
            settings.rate_client_requests_per_minute,
            settings.rate_client_requests_burst,
        ),
        (HANDSHAKES, settings.rate_handshakes_per_minute, settings.rate_handshakes_burst),
        (LOGINS, settings.rate_logins_per_minute, settings.rate_logins_burst),
        (
            LOGINS_ADDRESS,
            settings.rate_logins_per_address_per_minute,
            settings.rate_logins_per_address_burst,
        ),
        (
            REGISTRATIONS,
            settings.rate_registrations_per_minute,
            settings.rate_registrations_burst,
        ),
    ]
