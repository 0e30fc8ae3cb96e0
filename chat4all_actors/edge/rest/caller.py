"""Who calls: the bearer token, checked once for every endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from chat4all_protocol.codes import ErrorCode

from ...accounts.tokens import Identity, TokenRefused
from .errors import ApiError, invalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...session.revocations import Revocations

ACT_AS: Final = "act_as"
"""The scope of a service client that may do what users may, in their name."""
ON_BEHALF_OF: Final = "X-On-Behalf-Of"
"""The header field in which it names the user."""


class Guard(Struct, frozen=True):
    """What tokens are checked against."""

    verify: Callable[[str], Identity]
    """Whom a token names, or `TokenRefused`."""
    revocations: Revocations


class Caller(Struct, frozen=True):
    """Who a valid token names: a user, or a service client."""

    identity: Identity
    on_behalf_of: str | None = None
    """The user in whose name a service client acts."""

    @property
    def client(self) -> str | None:
        """The name of the service client, if it is one."""
        return self.identity.client

    @property
    def key(self) -> str:
        """Names the caller among all."""
        return self.identity.user_id

    def user(self, field: str | None = None) -> str:
        """The user who acts.

        Raises:
            ApiError: it is a service client that names none.
        """
        if self.client is None:
            return self.identity.username
        if self.on_behalf_of is None:
            where = field or ON_BEHALF_OF
            raise invalid(where, f"a service client names the user in whose name it acts: {where}")
        return self.on_behalf_of

    @property
    def acts_for_a_user(self) -> bool:
        """Whether a user acts, and not a service client for itself."""
        return self.client is None or self.on_behalf_of is not None

    def may(self, scope: str | None) -> bool:
        """Whether a service client has this scope; users have all."""
        return self.client is None or scope is None or scope in self.identity.scopes

    def acting_for(self, user: str | None) -> Caller:
        """The caller in the name of this user, if one is given.

        Raises:
            ApiError: it may not.
        """
        if user is None or (self.client is None and user == self.identity.username):
            return self
        if self.client is None or ACT_AS not in self.identity.scopes:
            raise ApiError(ErrorCode.FORBIDDEN, "you may act in your own name only")
        return Caller(self.identity, user)


def authenticate(guard: Guard, authorization: str | None) -> Caller:
    """The caller that the field `Authorization` names.

    Raises:
        ApiError: there is none, or its token does not count (any more).
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _unauthenticated("a bearer token is required")
    try:
        identity = guard.verify(token.strip())
    except TokenRefused as error:
        raise _unauthenticated(str(error)) from None
    if guard.revocations.refuses(identity):
        raise _unauthenticated("the token was revoked")
    return Caller(identity)


def _unauthenticated(message: str) -> ApiError:
    return ApiError(
        ErrorCode.UNAUTHENTICATED, message, headers={"WWW-Authenticate": 'Bearer realm="chat4all"'}
    )
