"""Accounts: add one, find out who somebody is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chat4all_protocol.ids import USERNAME_PATTERN, new_id
from chat4all_storage.ports import User

if TYPE_CHECKING:
    from chat4all_storage.ports import Directory

    from .passwords import Passwords

_USERNAME = re.compile(USERNAME_PATTERN)


class InvalidUsername(ValueError):
    """Not a user name; the message says what is."""


class Accounts:
    """The accounts in a directory."""

    def __init__(self, directory: Directory, passwords: Passwords) -> None:
        self._directory = directory
        self._passwords = passwords

    async def add(self, username: str, password: str) -> User:
        """Add an account.

        Raises:
            InvalidUsername, PasswordRefused: and says what is allowed.
            UsernameTaken: in whatever letter case.
            TooBusy: too many passwords are being hashed.
            StorageError: the directory failed.
        """
        if not _USERNAME.match(username):
            raise InvalidUsername(
                "a user name has 1 to 64 letters, digits, '.', '_' or '-', and begins with a"
                " letter or digit"
            )
        user = User(new_id(), username, await self._passwords.hash(password))
        await self._directory.add_user(user)
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
