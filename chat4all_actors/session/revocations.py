"""Whose tokens count no longer, and since when: known in memory, learned from the directory.

All tokens of a name that were issued before some second, or all that belong to one login.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat4all_storage.ports.logins import REVOCATION_LIFETIME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chat4all_storage.ports.logins import EndedLogin

    from ..accounts.tokens import Identity
    from ..fanout import LocalReaders


class Revocations:
    """Of all users, on one node."""

    def __init__(self, local: LocalReaders) -> None:
        self._local = local
        self._valid_from: dict[str, int] = {}
        self._ended: dict[str, int] = {}
        """Logins that ended, and when (milliseconds since the epoch); about in that order."""

    def learn(self, valid_from: Mapping[str, int]) -> None:
        """Tokens of these users must have been issued at that second or later.

        Sessions with older ones are closed.
        """
        for user, second in valid_from.items():
            if self._valid_from.get(user, 0) < second:
                self._valid_from[user] = second
                for reader in self._local.of(user):
                    reader.revoked(second)

    def end(self, ended: Iterable[EndedLogin]) -> None:
        """These logins have ended: their tokens count no longer, their sessions are closed."""
        for each in ended:
            if each.login in self._ended:
                continue
            self._ended[each.login] = each.at
            self._forget(each.at - int(REVOCATION_LIFETIME * 1000))
            for reader in self._local.of(each.username):
                reader.logged_out(each.login)

    def _forget(self, before: int) -> None:
        """Tokens of logins that ended so long ago have expired."""
        while self._ended[oldest := next(iter(self._ended))] < before:
            del self._ended[oldest]

    def refuses(self, identity: Identity) -> bool:
        """Whether the token was revoked."""
        if identity.login in self._ended:
            return True
        return identity.issued_at < self._valid_from.get(identity.username, 0)
