"""Accounts: add one, find out who somebody is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from chat4all_protocol.ids import USERNAME_PATTERN, new_id
from chat4all_storage.ports.audit import SHELL, Actor
from chat4all_storage.ports.directory import User

if TYPE_CHECKING:
    from chat4all_storage.ports.directory import Directory

    from .passwords import Passwords

_USERNAME = re.compile(USERNAME_PATTERN)
MAX_EMAIL: Final = 254
"""Characters, as RFC 5321 allows in a path."""
# No address is valid or invalid by its looks alone: this catches what is surely none.
EMAIL_PATTERN: Final = (
    r"\A[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f.]+(\.[^@\s\x00-\x1f\x7f.]+)+\Z"
)
_EMAIL = re.compile(EMAIL_PATTERN)


class InvalidUsername(ValueError):
    """Not a user name; the message says what is."""


class InvalidEmail(ValueError):
    """Surely no e-mail address; the message says what one looks like."""


def is_username(text: str) -> bool:
    """Whether an account may have this name."""
    return _USERNAME.match(text) is not None


def check_email(text: str) -> None:
    """Let an address pass that may exist.

    Raises:
        InvalidEmail: it can't.
    """
    if len(text) > MAX_EMAIL or not _EMAIL.match(text):
        raise InvalidEmail(
            f"an e-mail address has the form name@host.domain, and at most {MAX_EMAIL} characters"
        )


class Accounts:
    """The accounts in a directory."""

    def __init__(self, directory: Directory, passwords: Passwords) -> None:
        self._directory = directory
        self._passwords = passwords

    async def add(
        self,
        username: str,
        password: str,
        *,
        email: str | None = None,
        actor: Actor = SHELL,
    ) -> User:
        """Add an account.

        Raises:
            InvalidUsername, InvalidEmail, PasswordRefused: and says what is allowed.
            UsernameTaken: in whatever letter case.
            TooBusy: too many passwords are being hashed.
            StorageError: the directory failed.
        """
        if not is_username(username):
            raise InvalidUsername(
                "a user name has 1 to 64 letters, digits, '.', '_' or '-', and begins with a"
                " letter or digit"
            )
        if email is not None:
            check_email(email)
        user = User(new_id(), username, await self._passwords.hash(password))
        await self._directory.add_user(user, email=email, actor=actor)
        return user

    async def authenticate(self, username: str, password: str) -> User | None:
        """The user, if name and password fit; a name that does not exist takes as long.

        Raises:
            TooBusy: too many passwords are being checked.
            StorageError: the directory failed.
        """
        user = await self._directory.find_user(username)
        fits = await self._passwords.check(password, user.password_hash if user else None)
        return user if fits else None

    async def find(self, username: str) -> User | None:
        """The user of that name, in whatever letter case.

        Raises:
            StorageError: the directory failed.
        """
        return await self._directory.find_user(username)
