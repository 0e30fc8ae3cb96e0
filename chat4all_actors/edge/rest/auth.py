"""Accounts and tokens: register, log in, stay so, log out."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType
from quart import request

from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.frames import Id, Username
from chat4all_storage.ports.answers import registration_scope
from chat4all_storage.ports.audit import user_subject

from ...accounts.errors import Throttled
from ...accounts.logins import Device
from ...accounts.passwords import MAX_BYTES, MIN_CHARACTERS
from ...accounts.service import EMAIL_PATTERN, MAX_EMAIL
from .accounting import actor_of, explained, once, the_user
from .errors import ApiError, invalid, not_found
from .models import moment
from .operations import Answer, Routes
from .rules import TEXT, one_of, way

if TYPE_CHECKING:
    from ...accounts.logins import Grant
    from .call import Call

routes = Routes("Accounts", "Register, log in, stay so, log out.")

ANONYMOUS: Final = "anonymous"
MAX_AGENT: Final = 256
"""Characters of a `User-Agent` that are kept."""

Password: TypeAlias = Annotated[str, Meta(min_length=1, max_length=1024)]
NewPassword: TypeAlias = Annotated[
    str,
    Meta(
        min_length=MIN_CHARACTERS,
        max_length=MAX_BYTES,
        description=f"{MIN_CHARACTERS} characters to {MAX_BYTES} bytes in UTF-8",
    ),
]
Opaque: TypeAlias = Annotated[str, Meta(min_length=1, max_length=512)]
Code: TypeAlias = Annotated[
    str,
    Meta(
        min_length=6,
        max_length=32,
        pattern=r"\A[0-9A-Za-z -]+\Z",
        description="What the authenticator shows, or a recovery code",
    ),
]
Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"\A[^\x00-\x1f]*\Z")]
Email: TypeAlias = Annotated[str, Meta(max_length=MAX_EMAIL, pattern=EMAIL_PATTERN)]


class NewAccount(Struct, frozen=True):
    """Who is to have an account."""

    username: Username
    password: NewPassword
    email: Email | None = None


class Account(Struct, frozen=True):
    """A new account."""

    user_id: Id
    username: str


class TokenRequest(Struct, frozen=True):
    """Who wants tokens, shown in one of three ways."""

    username: Username | None = None
    """With `password`: a user logs in."""
    password: Password | None = None
    totp: Code | None = None
    """Where the account has a second factor."""
    device: Label | None = None
    """How the login is called in the list of sessions."""
    refresh_token: Opaque | None = None
    """A user stays logged in."""
    client_id: Opaque | None = None
    """With `client_secret`: a service client."""
    client_secret: Opaque | None = None
    scope: Annotated[str, Meta(max_length=512)] | None = None
    """What of its scopes the token is to have, between spaces; all when left out."""


class TokenPair(Struct, frozen=True):
    """Tokens."""

    access_token: str
    expires_in: int
    """Seconds."""
    token_type: Literal["Bearer"] = "Bearer"
    refresh_token: str | UnsetType = UNSET
    """For users: new tokens when the access token ends, once."""
    scope: str | UnsetType = UNSET
    """Of a service client."""


class LogoutQuery(Struct, frozen=True):
    """How much ends."""

    everywhere: Annotated[bool, Meta(description="All sessions of the user, not just this")] = False


class PasswordChange(Struct, frozen=True):
    """The password that counted, and the one that is to."""

    old_password: Password
    new_password: NewPassword


class LoginSession(Struct, frozen=True):
    """A device that is logged in."""

    session_id: Id
    device: str | None
    user_agent: str | None
    address: str | None
    """Where it logged in from."""
    created_at: datetime
    last_used_at: datetime
    """When it last got tokens."""
    expires_at: datetime
    """When it ends unless it is used."""
    current: bool
    """Whether the request came from it."""


class LoginSessions(Struct, frozen=True):
    """The devices that are logged in, last used first."""

    sessions: list[LoginSession]


class KeySet(Struct, frozen=True):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[dict[str, Any]]


_ANA = NewAccount("ana", "correct horse battery", "ana@example.org")


@routes.post(
    "/v1/auth/register",
    body=NewAccount,
    answers={201: Account},
    errors=(ErrorCode.CONFLICT,),
    public=True,
    examples={"a user": _ANA},
)
async def register(call: Call, body: NewAccount) -> Answer:
    """Register a user.

    A name is unique in whatever letter case, and kept as it was first written.
    """
    desk = call.services.desk

    async def act() -> Answer:
        with explained():
            if wait := desk.throttle("registrations", call.address):
                raise Throttled(wait)
            user = await desk.accounts.add(
                body.username, body.password, email=body.email, actor=actor_of(call, ANONYMOUS)
            )
        return Answer(Account(user.id, user.username), 201)

    return await once(call, "register", body, act, scope=registration_scope(body.username))


@routes.post(
    "/v1/auth/token",
    body=TokenRequest,
    answers={200: TokenPair},
    errors=(ErrorCode.UNAUTHENTICATED,),
    public=True,
    rules=one_of(
        way("refresh_token", "client_id", username=TEXT, password=TEXT),
        way("username", "client_id", refresh_token=TEXT),
        way("username", "refresh_token", client_id=TEXT, client_secret=TEXT),
    ),
    aliases=("/auth/token",),
    examples={
        "log in": TokenRequest(username="ana", password="correct horse battery"),
        "refresh": TokenRequest(refresh_token="c4r_…"),
        "a service client": TokenRequest(client_id="billing", client_secret="c4s_…"),
    },
)
async def issue_token(call: Call, body: TokenRequest) -> TokenPair:
    """Get tokens: for a password, a refresh token, or a client's secret.

    A refresh token has one successor: using it twice within 30 seconds gives the same answer, later
    it ends the session. Where a second factor is needed `details.totp` of the 401 is `required`.
    An `Idempotency-Key` changes nothing here: answers with tokens are not kept.
    """
    logins, actor = call.services.desk.logins, actor_of(call, ANONYMOUS)
    _check_one_way(body)
    with explained():
        if body.refresh_token is not None:
            return _pair(await logins.refresh(body.refresh_token, actor))
        if body.client_id is not None and body.client_secret is not None:
            granted = await call.services.desk.client_token(
                body.client_id, body.client_secret, body.scope, actor
            )
            return _pair(granted)
        assert body.username is not None
        assert body.password is not None
        device = Device(body.device, _user_agent())
        return _pair(await logins.login(body.username, body.password, body.totp, device, actor))


def _check_one_way(body: TokenRequest) -> None:
    ways = {
        "username": "password",
        "refresh_token": None,
        "client_id": "client_secret",
    }
    given = [name for name in ways if getattr(body, name) is not None]
    if len(given) != 1:
        raise ApiError(
            ErrorCode.INVALID_PAYLOAD,
            "send username and password, or refresh_token, or client_id and client_secret",
        )
    second = ways[given[0]]
    if second is not None and getattr(body, second) is None:
        raise invalid(second, f"{second} is required")


def _pair(grant: Grant) -> TokenPair:
    return TokenPair(
        grant.access_token,
        grant.expires_in,
        refresh_token=UNSET if grant.refresh_token is None else grant.refresh_token,
        scope=UNSET if grant.scope is None else grant.scope,
    )


def _user_agent() -> str | None:
    text = request.headers.get("User-Agent", "")
    return "".join(char for char in text if char.isprintable())[:MAX_AGENT] or None


@routes.post(
    "/v1/auth/logout", query=LogoutQuery, answers={204: None}, errors=(ErrorCode.CONFLICT,)
)
async def logout(call: Call, query: LogoutQuery) -> None:
    """End this session, or all of the user.

    Tokens of it count no longer, and its WebSockets are closed on every node within two seconds.
    """
    user, logins, actor = the_user(call), call.services.desk.logins, actor_of(call)
    if query.everywhere:
        await logins.end_all(user.user_id, "logout everywhere", actor)
    elif user.login is not None:
        await logins.end(user.user_id, user.login, "logout", actor)
    else:
        raise ApiError(
            ErrorCode.CONFLICT, "the token was made on the command line: it has no session to end"
        )


@routes.post(
    "/v1/auth/password",
    body=PasswordChange,
    answers={204: None},
    errors=(ErrorCode.CONFLICT,),
)
async def change_password(call: Call, body: PasswordChange) -> Answer:
    """Change the password; the user's other sessions end."""
    user = the_user(call)

    async def act() -> Answer:
        with explained("new_password"):
            await call.services.desk.logins.change_password(
                user.username, body.old_password, body.new_password, user.login, actor_of(call)
            )
        return Answer(None, 204)

    return await once(call, "password", body, act, scope=user_subject(user.user_id))


@routes.get("/v1/auth/sessions", answers={200: LoginSessions})
async def list_sessions(call: Call) -> LoginSessions:
    """List the devices that are logged in."""
    user = the_user(call)
    return LoginSessions(
        [
            LoginSession(
                session_id=login.id,
                device=login.device,
                user_agent=login.user_agent,
                address=login.address,
                created_at=moment(login.created_at),
                last_used_at=moment(login.last_used_at),
                expires_at=moment(login.expires_at),
                current=login.id == user.login,
            )
            for login in await call.services.desk.logins.of(user.user_id)
        ]
    )


@routes.delete("/v1/auth/sessions/{session_id}", answers={204: None}, errors=(ErrorCode.CONFLICT,))
async def end_session(call: Call, session_id: str) -> Answer:
    """End the session of a device, as if it had logged out."""
    user = the_user(call)
    logins = call.services.desk.logins

    async def act() -> Answer:
        if not await logins.end(user.user_id, session_id, "ended by the user", actor_of(call)):
            raise not_found("there is no such session")
        return Answer(None, 204)

    return await once(call, "session", session_id, act, scope=user_subject(user.user_id))


@routes.get("/.well-known/jwks.json", answers={200: KeySet}, public=True)
async def read_jwks(call: Call) -> KeySet:
    """The keys by which others verify access tokens; none while HS256 signs them."""
    return KeySet(call.services.desk.keyring.jwks()["keys"])
