"""Service clients: programs that call the REST API in their own name, within their scopes."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.clients import ServiceClient

from .errors import BadCredentials, InvalidField
from .passwords import PasswordRefused
from .scopes import SCOPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chat4all_storage.ports.accounts import AccountStores
    from chat4all_storage.ports.audit import Actor

    from .passwords import Passwords

SECRET_PREFIX: Final = "c4s_"
_NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_ID = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


class AddedClient(Struct, frozen=True):
    """A new client, and the secret that is told only now."""

    client: ServiceClient
    secret: str


class ServiceClients:
    """All service clients."""

    def __init__(self, stores: AccountStores, passwords: Passwords) -> None:
        self._store = stores.clients
        self._audit = stores.audit
        self._passwords = passwords

    async def add(
        self,
        name: str,
        scopes: Sequence[str],
        actor: Actor,
        *,
        id_: str | None = None,
        secret: str | None = None,
    ) -> AddedClient:
        """Add a client; its id and secret are made up when not given.

        Raises:
            InvalidField: a name, id, scope or secret can't be used.
            ClientTaken: the id or the name is in use.
        """
        if not _NAME.match(name):
            raise InvalidField("name", "a name has 1 to 64 letters, digits, '.', '_' or '-'")
        if id_ is not None and not _ID.match(id_):
            raise InvalidField("id", "an id has 1 to 128 letters, digits, '.', '_' or '-'")
        if unknown := [scope for scope in scopes if scope not in SCOPES]:
            raise InvalidField(
                "scope", f"there is no scope {unknown[0]}; there are {', '.join(SCOPES)}"
            )
        told = secret if secret is not None else SECRET_PREFIX + secrets.token_urlsafe(32)
        try:
            hashed = await self._passwords.hash(told)
        except PasswordRefused as error:
            raise InvalidField("secret", f"as a secret, {error}") from None
        kept = tuple(scope for scope in SCOPES if scope in scopes)
        client = ServiceClient(id_ or new_id(), name, hashed, kept)
        await self._store.add(client, actor)
        return AddedClient(client, told)

    async def authenticate(self, client_id: str, secret: str, actor: Actor) -> ServiceClient:
        """The client with this id and secret; an id that does not exist takes as long.

        Raises:
            BadCredentials: they do not fit.
            TooBusy: too many secrets are being checked.
        """
        client = await self._store.find(client_id) if _ID.match(client_id) else None
        fits = await self._passwords.check(secret, client.secret_hash if client else None)
        if client is None or not fits:
            subject = f"client:{client.name}" if client else None
            await self._audit.note("client.refused", subject, actor, {})
            raise BadCredentials("the client's id or secret is wrong")
        return client


def requested(client: ServiceClient, scope: str | None) -> list[str]:
    """The scopes that a token is to have: those asked for (between spaces), or all.

    Raises:
        InvalidField: the client does not have one of them.
    """
    if scope is None:
        return list(client.scopes)
    asked = scope.split()
    if beyond := [each for each in asked if each not in client.scopes]:
        raise InvalidField("scope", f"this client does not have the scope {beyond[0]}")
    return [each for each in client.scopes if each in asked]
