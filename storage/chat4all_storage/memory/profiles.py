"""Profiles in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from msgspec.structs import replace

from ..ports.answers import registration_scope
from ..ports.audit import user_subject
from ..ports.erasures import Erasure
from ..ports.profiles import Profile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..ports.audit import Actor
    from ..ports.directory import User
    from ..ports.logins import EndedLogin
    from .answers import MemoryAnswers
    from .directory import MemoryDirectory
    from .erasures import MemoryErasures
    from .factors import MemoryFactors
    from .logins import MemoryLogins


class MemoryProfiles:
    """See `Profiles`."""

    def __init__(
        self,
        directory: MemoryDirectory,
        logins: MemoryLogins,
        factors: MemoryFactors,
        answers: MemoryAnswers,
        erasures: MemoryErasures,
    ) -> None:
        self._directory = directory
        self._logins = logins
        self._factors = factors
        self._answers = answers
        self._erasures = erasures
        self._display_names: dict[str, str | None] = {}
        self._changed: dict[str, int] = {}

    async def profile(self, user_id: str) -> Profile | None:
        """See `Profiles.profile`."""
        factor = await self._factors.find(user_id)
        user = user_by_id(self._directory, user_id)
        if user is None:
            return None
        return Profile(
            id=user.id,
            username=user.username,
            display_name=self._display_names.get(user_id),
            email=self._directory.emails.get(user_id),
            created_at=self._directory.created_at[user_id],
            password_changed_at=self._changed.get(user_id),
            totp=factor is not None and factor.confirmed,
        )

    async def change(self, user_id: str, changes: Mapping[str, str | None], actor: Actor) -> bool:
        """See `Profiles.change`."""
        await trio.lowlevel.checkpoint()
        if user_by_id(self._directory, user_id) is None:
            return False
        if "email" in changes:
            self._directory.emails[user_id] = changes["email"]
        if "display_name" in changes:
            self._display_names[user_id] = changes["display_name"]
        fields = " ".join(sorted(changes))
        self._directory.audit.tell("user.changed", user_subject(user_id), actor, fields=fields)
        return True

    async def change_password(
        self, user_id: str, former: bytes, password_hash: bytes, keep: str | None, actor: Actor
    ) -> list[EndedLogin] | None:
        """See `Profiles.change_password`."""
        await trio.lowlevel.checkpoint()
        user = user_by_id(self._directory, user_id)
        if user is None or user.password_hash != former:
            return None
        self._directory.users[user.username.lower()] = replace(user, password_hash=password_hash)
        self._changed[user_id] = self._directory.clock_ms()
        self._directory.audit.tell("password.changed", user_subject(user_id), actor)
        return self._logins.end_now(user_id, keep=keep)

    async def erase(self, user_id: str, pseudonym: str, actor: Actor) -> list[EndedLogin] | None:
        """See `Profiles.erase`."""
        await trio.lowlevel.checkpoint()
        user = user_by_id(self._directory, user_id)
        if user is None:
            return None
        ended = self._logins.end_now(user_id)
        self._logins.forget(user_id)
        self._factors.forget(user_id)
        self._answers.forget(user_subject(user_id))
        self._answers.forget(registration_scope(user.username))
        self._directory.webhooks.forget(user_subject(user_id))
        self._directory.remove_user(user)
        self._display_names.pop(user_id, None)
        self._changed.pop(user_id, None)
        subject = user_subject(user_id)
        self._erasures.begin(Erasure(user_id, user.username, pseudonym))
        self._directory.audit.tell("user.erased", subject, actor)
        self._directory.audit.forget_addresses(subject)
        return ended


def user_by_id(directory: MemoryDirectory, user_id: str) -> User | None:
    """The account with this id."""
    return next((user for user in directory.users.values() if user.id == user_id), None)
