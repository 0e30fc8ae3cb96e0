"""Tokens that were verified a moment ago, so that their signatures are not checked each time.

A caller sends the same token with every request, and checking it costs as much as decoding the
whole request. What may change meanwhile is looked at each time: whether it has expired here,
whether it was revoked by the caller of this. A key that is withdrawn counts for as long as a token
is remembered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...accounts.tokens import Identity

REMEMBERED: Final = 60.0
"""Seconds after which a signature is checked again."""
MOST: Final = 4096
"""Tokens: about 1 KiB each."""


class KnownTokens:
    """The verified tokens of a node."""

    def __init__(
        self, verify: Callable[[str], Identity], *, wall_clock: Callable[[], float]
    ) -> None:
        """`verify` checks a token that is not known."""
        self._verify = verify
        self._wall_clock = wall_clock
        self._known: dict[str, tuple[float, Identity]] = {}
        """When each was verified, by the monotonic clock; about in that order."""

    def __len__(self) -> int:
        return len(self._known)

    def verify(self, token: str) -> Identity:
        """Whom the token names.

        Raises:
            TokenRefused: it is not valid, or no longer.
        """
        now = trio.current_time()
        found = self._known.get(token)
        if found is not None:
            since, identity = found
            if now - since < REMEMBERED and self._wall_clock() < identity.expires_at:
                return identity
            del self._known[token]
        identity = self._verify(token)  # which refuses one that has expired, in its words
        if len(self._known) >= MOST:
            del self._known[next(iter(self._known))]
        self._known[token] = (now, identity)
        return identity
