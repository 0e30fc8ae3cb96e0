"""Logging in and staying so: passwords, second factors, refresh tokens, and the end of logins."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from msgspec import Struct

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.audit import Actor, user_subject
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.logins import NewLogin

from . import refresh
from .errors import BadCredentials, CodeRequired, Throttled
from .service import is_username

if TYPE_CHECKING:
    from collections.abc import Callable

    from chat4all_storage.ports.accounts import AccountStores
    from chat4all_storage.ports.directory import Directory, User
    from chat4all_storage.ports.logins import EndedLogin, Login

    from .factors import SecondFactors
    from .passwords import Passwords
    from .refresh import RefreshTokens
    from .tokens import Tokens

Refusal = Literal["login.refused", "password.refused"]
Limit = Literal["logins", "logins_address", "registrations"]
Throttle: TypeAlias = "Callable[[Limit, str], float]"
"""Counts one try under a limit and a key: 0 when it may pass, else seconds until one would."""

SALT_BYTES: Final = 16
TRIES: Final = 5
"""Of a refresh that others are always before; each of them was answered."""


class Device(Struct, frozen=True):
    """What a client tells of itself, to be shown in the list of sessions."""

    label: str | None = None
    user_agent: str | None = None


class Grant(Struct, frozen=True):
    """Tokens for somebody who has shown who it is."""

    access_token: str
    expires_in: int
    """Seconds."""
    refresh_token: str | None = None
    scope: str | None = None
    """What a service client may do, between spaces."""


class Logins:
    """All logins, as one node handles them."""

    def __init__(
        self,
        directory: Directory,
        stores: AccountStores,
        passwords: Passwords,
        factors: SecondFactors,
        tokens: Tokens,
        refresh_tokens: RefreshTokens,
        *,
        throttle: Throttle,
        ended: Callable[[list[EndedLogin]], None],
        lifetime: float,
        grace: float,
        most: int,
    ) -> None:
        """`ended` is told at once what ends here; the other nodes learn it from the directory.

        A login that is not used ends after `lifetime` seconds; a client that uses a refresh token
        twice within `grace` seconds gets the same answer; beyond `most` of a user old ones end.
        """
        self._directory = directory
        self._store = stores.logins
        self._profiles = stores.profiles
        self._audit = stores.audit
        self._passwords = passwords
        self._factors = factors
        self._tokens = tokens
        self._refresh_tokens = refresh_tokens
        self._throttle = throttle
        self._ended = ended
        self._lifetime = lifetime
        self._grace = grace
        self._most = most

    async def login(
        self, username: str, password: str, code: str | None, device: Device, actor: Actor
    ) -> Grant:
        """Log a device in.

        Raises:
            BadCredentials: name and password do not fit.
            CodeRequired, CodeRefused: they do, but the second factor's code does not.
            Throttled: too many tries, of the account, the address or the code.
            TooBusy: too many passwords are being checked.
            StorageError: the directory failed.
        """
        user = await self._known(username, password, actor, "login.refused")
        await self._second_factor(user, code, actor)
        login, salt = new_id(), secrets.token_bytes(SALT_BYTES)
        token = self._refresh_tokens.make(login, 1, salt)
        opened = NewLogin(
            id=login,
            user_id=user.id,
            salt=salt,
            token_hash=refresh.hash_of(token),
            lifetime=self._lifetime,
            device=device.label,
            address=actor.address,
            user_agent=device.user_agent,
        )
        by = Actor(user_subject(user.id), actor.address, actor.trace)
        beyond = await self._store.open(opened, user.password_hash, self._most, by)
        if beyond is None:
            raise _wrong_password()  # it was changed meanwhile
        self._ended(beyond)
        return self._grant(user.id, user.username, login, token)

    async def _second_factor(self, user: User, code: str | None, actor: Actor) -> None:
        if await self._factors.required(user.id):
            if code is None:
                raise CodeRequired("the code of the second factor is needed")
            await self._factors.check(user.id, code, actor)

    async def refresh(self, token: str, actor: Actor) -> Grant:
        """New tokens for a refresh token, which has one successor however often it is shown.

        Raises:
            BadCredentials: it is none, has expired, or its login has ended; or it was used long
                ago, which ends its login: somebody has copied it.
            StorageError: the directory failed. The same again is safe.
        """
        shown = refresh.read(token)
        if shown is None:
            raise _bad_token()
        for _ in range(TRIES):
            login = await self._store.find(shown.login)
            if login is None or not login.alive:
                raise _bad_token()
            by = Actor(user_subject(login.user_id), actor.address, actor.trace)
            if shown.hash == login.token_hash:
                successor = self._refresh_tokens.make(login.id, login.generation + 1, login.salt)
                new_hash = refresh.hash_of(successor)
                if await self._store.rotate(login.id, shown.hash, new_hash, self._lifetime, by):
                    return self._grant(login.user_id, login.username, login.id, successor)
                continue  # somebody was first, with the same token or to end the login
            if shown.hash == login.previous_hash and self._just_rotated(login):
                successor = self._refresh_tokens.make(login.id, login.generation, login.salt)
                if refresh.hash_of(successor) == login.token_hash:
                    return self._grant(login.user_id, login.username, login.id, successor)
                raise _bad_token()  # the server's key has changed since
            if shown.hash == login.previous_hash or self._refresh_tokens.genuine(shown, login.salt):
                ended = await self._store.end(
                    login.user_id, "replay", by, only=login.id, act="token.replayed"
                )
                self._ended(ended)
            raise _bad_token()
        raise Unavailable("others use the same refresh token all the time")

    def _just_rotated(self, login: Login) -> bool:
        return login.rotated_ago is not None and login.rotated_ago <= self._grace

    async def of(self, user_id: str) -> list[Login]:
        """The user's logins that are alive, last used first."""
        return await self._store.of(user_id)

    async def end(self, user_id: str, login: str, why: str, actor: Actor) -> bool:
        """End one login of a user; False when it is not alive, or not this user's."""
        ended = await self._store.end(user_id, why, actor, only=login)
        self._ended(ended)
        return bool(ended)

    async def end_all(
        self, user_id: str, why: str, actor: Actor, *, keep: str | None = None
    ) -> int:
        """End all logins of a user but `keep`; how many."""
        ended = await self._store.end(user_id, why, actor, keep=keep)
        self._ended(ended)
        return len(ended)

    async def confirm_password(self, username: str, password: str, actor: Actor) -> User:
        """The user, who has to show the password again before something weighty.

        Raises:
            BadCredentials, Throttled, TooBusy, StorageError: as `login`.
        """
        return await self._known(username, password, actor, "password.refused")

    async def erase(
        self, username: str, password: str, code: str | None, pseudonym: str, actor: Actor
    ) -> None:
        """Remove the account: all logins end, and its traces are removed from now on.

        Raises:
            BadCredentials, CodeRequired, CodeRefused, Throttled, TooBusy, StorageError: as `login`.
        """
        user = await self.confirm_password(username, password, actor)
        await self._second_factor(user, code, actor)
        self._ended(await self._profiles.erase(user.id, pseudonym, actor) or [])

    async def change_password(
        self, username: str, former: str, password: str, keep: str | None, actor: Actor
    ) -> None:
        """Change a password; all logins but `keep` end.

        Raises:
            PasswordRefused: the new one can't be used.
            BadCredentials: `former` does not fit.
            Throttled, TooBusy, StorageError: as `login`.
        """
        user = await self.confirm_password(username, former, actor)
        new_hash = await self._passwords.hash(password)
        ended = await self._profiles.change_password(
            user.id, user.password_hash, new_hash, keep, actor
        )
        if ended is None:
            raise _wrong_password()  # it was changed meanwhile
        self._ended(ended)

    def count_login(self, account: str, address: str | None) -> None:
        """Count a try to log in to an account from an address.

        Raises:
            Throttled: there were too many.
        """
        self._count("logins", account)
        if address is not None:
            self._count("logins_address", address)

    async def _known(self, username: str, password: str, actor: Actor, act: Refusal) -> User:
        self.count_login(username.lower(), actor.address)
        user = await self._directory.find_user(username) if is_username(username) else None
        fits = await self._passwords.check(password, user.password_hash if user else None)
        if user is None or not fits:
            # Of a name that nobody has nothing is kept: it may be a password in the wrong field.
            await self._audit.note(act, user_subject(user.id) if user else None, actor, {})
            raise _wrong_password()
        return user

    def _count(self, limit: Limit, key: str) -> None:
        if wait := self._throttle(limit, key):
            raise Throttled(wait)

    def _grant(self, user_id: str, username: str, login: str, token: str) -> Grant:
        access = self._tokens.issue(user_id, username, login=login)
        return Grant(access, int(self._tokens.lifetime), token)


def _wrong_password() -> BadCredentials:
    return BadCredentials("the name or the password is wrong")


def _bad_token() -> BadCredentials:
    return BadCredentials("the refresh token is not valid, or no longer")
