"""Everything that a node does about accounts, put together."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NoReturn

import trio

from chat4all_storage.ports.audit import Actor
from chat4all_storage.ports.errors import StorageError

from .clients import ServiceClients, requested
from .factors import SecondFactors
from .keyring import Keyring
from .logins import Grant, Logins
from .passwords import Passwords
from .refresh import RefreshTokens
from .sealing import Sealing
from .service import Accounts
from .tokens import Tokens, principal

if TYPE_CHECKING:
    from collections.abc import Callable

    from chat4all_storage.ports.logins import EndedLogin
    from chat4all_storage.storage import Storage

    from ..config import Settings
    from .logins import Throttle

logger = logging.getLogger(__name__)

HOUR: Final = 3600.0
TRIM_EVERY: Final = 0.25 * HOUR
ROUNDS: Final = 100
"""Of one trim: each removes a bounded number of rows."""


class Desk:
    """Where people and programs show who they are."""

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        *,
        key: str,
        clock: Callable[[], float],
        throttle: Throttle,
        ended: Callable[[list[EndedLogin]], None],
    ) -> None:
        """`key` is the server's own; `throttle` and `ended` are those of `Logins`."""
        self.stores = storage.accounts
        sealing = Sealing(key)
        self.keyring = Keyring(self.stores.keys, sealing, settings.jwt_algorithm, clock)
        self.tokens = Tokens(
            key, lifetime=settings.token_lifetime, clock=clock, keyring=self.keyring
        )
        self.passwords = Passwords(settings.bcrypt_cost, settings.max_password_checks)
        self.accounts = Accounts(storage.directory, self.passwords)
        self.clients = ServiceClients(self.stores, self.passwords)
        self.throttle = throttle
        self.factors = SecondFactors(
            self.stores,
            sealing,
            clock,
            attempts=settings.totp_attempts,
            window=settings.totp_window,
        )
        self.logins = Logins(
            storage.directory,
            self.stores,
            self.passwords,
            self.factors,
            self.tokens,
            RefreshTokens(sealing),
            throttle=throttle,
            ended=ended,
            lifetime=settings.refresh_lifetime,
            grace=settings.refresh_grace,
            most=settings.max_logins_per_user,
        )
        self.sealing = sealing
        self._audit_kept = settings.audit_kept

    def digest(self, request: bytes) -> bytes:
        """What tells a request from others, and nobody what was in it: passwords may be."""
        return self.sealing.mac("request digests", request)

    async def client_token(
        self, client_id: str, secret: str, scope: str | None, actor: Actor
    ) -> Grant:
        """An access token for a service client, without a refresh token.

        Raises:
            BadCredentials: its id or secret is wrong.
            InvalidField: it asks for a scope that it does not have.
            Throttled, TooBusy, StorageError: as `Logins.login`.
        """
        self.logins.count_login(principal(client_id), actor.address)
        client = await self.clients.authenticate(client_id, secret, actor)
        scopes = requested(client, scope)
        name = principal(client.name)
        by = Actor(name, actor.address, actor.trace)
        await self.stores.audit.note("client.token", name, by, {"scope": " ".join(scopes)})
        token = self.tokens.issue_for_client(client.id, client.name, scopes)
        return Grant(token, int(self.tokens.lifetime), scope=" ".join(scopes))

    async def run_trims(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Now and then remove what nobody needs any more, until cancelled."""
        task_status.started()
        while True:
            await trio.sleep(TRIM_EVERY)
            try:
                await self._trim()
            except StorageError as error:
                logger.warning("old rows of accounts can't be removed: %s", error)

    async def _trim(self) -> None:
        stores = self.stores
        for trim in (
            stores.answers.trim,
            lambda: stores.logins.trim(0.0),
            lambda: stores.audit.trim(self._audit_kept),
        ):
            for _ in range(ROUNDS):
                if not await trim():
                    break
