"""Whose tokens count no longer, and since when: known in memory, learned from the directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .accounts.tokens import Identity
    from .fanout import LocalReaders


class Revocations:
    """Of all users, on one node."""

    def __init__(self, local: LocalReaders) -> None:
        self._local = local
        self._valid_from: dict[str, int] = {}

    def learn(self, valid_from: Mapping[str, int]) -> None:
        """Tokens of these users must have been issued at that second or later.

        Sessions with older ones are closed.
        """
        for user, second in valid_from.items():
            if self._valid_from.get(user, 0) < second:
                self._valid_from[user] = second
                for reader in self._local.of(user):
                    reader.revoked(second)

    def refuses(self, identity: Identity) -> bool:
        """Whether the token was revoked."""
        return identity.issued_at < self._valid_from.get(identity.username, 0)
