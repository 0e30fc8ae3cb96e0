"""The caller's own account: profile and second factor."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.frames import Id
from chat4all_storage.ports.audit import user_subject

from ...accounts.service import check_email
from .accounting import actor_of, explained, once, the_user
from .auth import Code, Email, Password
from .errors import ApiError
from .models import moment
from .operations import Answer, Routes

if TYPE_CHECKING:
    from .call import Call

routes = Routes("Users", "The caller's own account.")

DisplayName: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=100, pattern=r"\A[^\x00-\x1f\x7f]*\Z")
]


class Profile(Struct, frozen=True):
    """An account, as its user sees it."""

    user_id: Id
    username: str
    display_name: str | None
    email: str | None
    created_at: datetime
    password_changed_at: datetime | None
    totp: bool
    """Whether logging in needs a second factor."""


class ProfileChange(Struct, frozen=True):
    """What is to be different; null removes it, what is left out stays."""

    display_name: DisplayName | UnsetType | None = UNSET
    email: Email | UnsetType | None = UNSET


class PasswordOnly(Struct, frozen=True):
    """The password, once more: a token alone is not enough for this."""

    password: Password


class Confirmation(Struct, frozen=True):
    """A code that the authenticator shows."""

    code: Code


class PasswordAndCode(Struct, frozen=True):
    """Both factors, once more."""

    password: Password
    code: Code


class Enrolment(Struct, frozen=True):
    """What an authenticator app needs."""

    secret: str
    """In base32, to be typed."""
    otpauth_uri: str
    """To be shown as a QR code."""


class RecoveryCodes(Struct, frozen=True):
    """Codes in place of the authenticator's, each for one login. They are told only now."""

    recovery_codes: list[str]


@routes.get("/v1/users/me", answers={200: Profile})
async def read_profile(call: Call) -> Profile:
    """Read the own profile."""
    found = await call.services.desk.stores.profiles.profile(the_user(call).user_id)
    if found is None:
        raise ApiError(ErrorCode.UNAUTHENTICATED, "the user does not exist any more")
    changed = found.password_changed_at
    return Profile(
        user_id=found.id,
        username=found.username,
        display_name=found.display_name,
        email=found.email,
        created_at=moment(found.created_at),
        password_changed_at=None if changed is None else moment(changed),
        totp=found.totp,
    )


@routes.patch(
    "/v1/users/me",
    body=ProfileChange,
    answers={200: Profile},
    errors=(ErrorCode.CONFLICT,),
    examples={"a name": ProfileChange(display_name="Ana María")},
)
async def change_profile(call: Call, body: ProfileChange) -> Answer:
    """Change the own profile."""
    changes: dict[str, str | None] = {}
    if body.display_name is not UNSET:
        changes["display_name"] = body.display_name
    if body.email is not UNSET:
        changes["email"] = body.email
        if body.email is not None:
            with explained():
                check_email(body.email)
    user = the_user(call)

    async def act() -> Answer:
        if changes:
            await call.services.desk.stores.profiles.change(user.user_id, changes, actor_of(call))
        return Answer(await read_profile(call), 200)

    return await once(call, "profile", body, act, scope=user_subject(user.user_id))


@routes.post(
    "/v1/auth/totp", body=PasswordOnly, answers={201: Enrolment}, errors=(ErrorCode.CONFLICT,)
)
async def enrol_totp(call: Call, body: PasswordOnly) -> Enrolment:
    """Begin to use a second factor.

    It counts once `/v1/auth/totp/verify` has seen a code; beginning again makes another secret.
    """
    user, desk, actor = the_user(call), call.services.desk, actor_of(call)
    with explained():
        await desk.logins.confirm_password(user.username, body.password, actor)
        made = await desk.factors.enrol(user.user_id, user.username, actor)
    return Enrolment(made.secret, made.uri)


@routes.post(
    "/v1/auth/totp/verify",
    body=Confirmation,
    answers={200: RecoveryCodes},
    errors=(ErrorCode.CONFLICT,),
)
async def verify_totp(call: Call, body: Confirmation) -> RecoveryCodes:
    """Let the second factor count from now on."""
    user, desk = the_user(call), call.services.desk
    with explained():
        return RecoveryCodes(await desk.factors.confirm(user.user_id, body.code, actor_of(call)))


@routes.post(
    "/v1/auth/totp/recovery-codes",
    body=PasswordAndCode,
    answers={200: RecoveryCodes},
    errors=(ErrorCode.CONFLICT,),
)
async def replace_recovery_codes(call: Call, body: PasswordAndCode) -> RecoveryCodes:
    """Make new recovery codes; the former ones count no longer."""
    user, desk, actor = the_user(call), call.services.desk, actor_of(call)
    with explained():
        await desk.logins.confirm_password(user.username, body.password, actor)
        await desk.factors.check(user.user_id, body.code, actor)
        return RecoveryCodes(await desk.factors.replace_codes(user.user_id, actor))


@routes.post(
    "/v1/auth/totp/disable",
    body=PasswordAndCode,
    answers={204: None},
    errors=(ErrorCode.CONFLICT,),
)
async def disable_totp(call: Call, body: PasswordAndCode) -> Answer:
    """Let the password be enough again."""
    user, desk, actor = the_user(call), call.services.desk, actor_of(call)

    async def act() -> Answer:
        with explained():
            await desk.logins.confirm_password(user.username, body.password, actor)
            await desk.factors.check(user.user_id, body.code, actor)
            await desk.factors.disable(user.user_id, actor)
        return Answer(None, 204)

    return await once(call, "totp off", body, act, scope=user_subject(user.user_id))
