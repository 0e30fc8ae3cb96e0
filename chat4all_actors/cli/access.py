"""Access tokens for people who may use this machine's key and database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat4all_storage.ports.errors import StorageError

from ..accounts.passwords import Passwords, TooBusy
from ..accounts.service import Accounts
from ..accounts.tokens import Tokens
from .flags import settings_of
from .main import CommandError
from .opening import open_storage, signing_key

if TYPE_CHECKING:
    import argparse

    from ..config import Settings


async def tokens_for(
    settings: Settings, names: list[str], *, password: str | None = None
) -> list[str]:
    """An access token for each user; with a password only if it is theirs.

    Raises:
        CommandError: somebody does not exist, or the password is wrong.
    """
    issuer = Tokens(signing_key(settings), lifetime=settings.token_lifetime)
    issued: list[str] = []
    async with open_storage(settings, beside_server=True) as opened:
        accounts = Accounts(opened.storage.directory, Passwords(settings.bcrypt_cost))
        for name in names:
            try:
                if password is not None:
                    user = await accounts.authenticate(name, password)
                else:
                    user = await accounts.find(name)
            except (StorageError, TooBusy) as error:
                raise CommandError(f"{name} could not be looked up: {error}") from error
            if user is None and password is not None:
                raise CommandError(f"{name}: the name or the password is wrong")
            if user is None:
                raise CommandError(
                    f"there is no user {name}", f"chat4all user add {name} --password …"
                )
            issued.append(issuer.issue(user.id, user.username))
    return issued


async def token_for(options: argparse.Namespace, name: str) -> str:
    """An access token for a user, with the settings of a command.

    Raises:
        CommandError: the user does not exist, or nothing can be reached.
    """
    (token,) = await tokens_for(settings_of(options), [name])
    return token
