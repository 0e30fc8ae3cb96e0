"""What the endpoints about accounts share: who acts, what a refusal is, and answers given again."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.ids import new_id
from chat4all_storage.ports import answers as answer_ports
from chat4all_storage.ports.audit import Actor, user_subject
from chat4all_storage.ports.errors import InDoubt, StorageError, UsernameTaken

from ...accounts import errors
from ...accounts.passwords import PasswordRefused, TooBusy
from ...accounts.service import InvalidEmail, InvalidUsername
from ...accounts.tokens import principal
from ...conversation.outside import Refusal
from .errors import ApiError, invalid
from .operations import Answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from msgspec import Struct

    from ...accounts.tokens import Identity
    from .call import Call

BUSY: Final = 2.0
"""Seconds after which a password check may find room."""
AGAIN: Final = 1.0
"""Seconds after which a request that is being answered may have its answer."""


def actor_of(call: Call, name: str | None = None) -> Actor:
    """Whoever calls, as the audit log tells it; `name` where the call itself does not say."""
    if name is None:
        identity = call.caller.identity
        name = (
            user_subject(identity.user_id)
            if identity.client is None
            else principal(identity.client)
        )
    return Actor(name, call.address or None, bytes.fromhex(call.trace_id))


def the_user(call: Call) -> Identity:
    """The user who calls.

    Raises:
        ApiError: it is a service client: accounts are their users' own.
    """
    identity = call.caller.identity
    if identity.client is not None:
        raise ApiError(ErrorCode.FORBIDDEN, "only the user may do this, with a token of its own")
    return identity


@contextmanager
def explained(password: str = "password") -> Iterator[None]:
    """Turn refusals of the accounts into answers; `password` names the field of a new one.

    Raises:
        ApiError: instead of what was raised.
    """
    try:
        yield
    except (
        errors.AccountError,
        PasswordRefused,
        InvalidUsername,
        InvalidEmail,
        UsernameTaken,
        TooBusy,
    ) as error:
        raise _told(error, password) from None


def _told(error: Exception, password: str) -> ApiError:
    said = str(error)
    match error:
        case errors.CodeRequired():
            return ApiError(ErrorCode.UNAUTHENTICATED, said, details={"totp": "required"})
        case errors.CodeRefused():
            return ApiError(ErrorCode.UNAUTHENTICATED, said, details={"totp": "refused"})
        case errors.BadCredentials():
            return ApiError(ErrorCode.UNAUTHENTICATED, said)
        case errors.Throttled():
            return ApiError(ErrorCode.RATE_LIMITED, said, retry_after=error.retry_after)
        case errors.InvalidField():
            return invalid(error.field, said)
        case PasswordRefused():
            return invalid(password, said)
        case InvalidUsername():
            return invalid("username", said)
        case InvalidEmail():
            return invalid("email", said)
        case UsernameTaken():
            return ApiError(ErrorCode.CONFLICT, "the name is taken", field="username")
        case TooBusy():
            return ApiError(ErrorCode.UNAVAILABLE, "too many log in at once", retry_after=BUSY)
        case _:
            return ApiError(ErrorCode.CONFLICT, said)


async def once(
    call: Call,
    purpose: str,
    body: Struct | str,
    act: Callable[[], Awaitable[Answer]],
    *,
    scope: str,
) -> Answer:
    """Do this once for an `Idempotency-Key`; the answer is given again to the same request.

    `body` is what tells requests of this purpose apart; `scope` is among whom the key is unique.
    What was refused, or failed for sure, may be tried again; what is in doubt is not tried before a
    minute has passed. Not for what answers with secrets: they are kept nowhere.

    Raises:
        ApiError: the key was used for something else, or the request is being answered.
    """
    if call.idempotency_key is None:
        return await act()
    desk = call.services.desk
    answers, key, claim = desk.stores.answers, call.idempotency_key, new_id()
    digest = desk.digest(purpose.encode() + b"\0" + msgspec.json.encode(body))
    found = await answers.claim(scope, key, digest, claim)
    if found.answer is not None:
        return Answer(found.answer.body or None, found.answer.status)
    if found.state == "conflict":
        raise ApiError(
            ErrorCode.CONFLICT, "the key was used for another request", field="Idempotency-Key"
        )
    if found.state == "in_progress":
        raise ApiError(
            ErrorCode.CONFLICT,
            "the same request is being answered",
            field="Idempotency-Key",
            retry_after=AGAIN,
        )
    try:
        answer = await act()
    except (ApiError, Refusal, StorageError) as error:
        if not isinstance(error, InDoubt):
            await answers.abandon(scope, key, claim)
        raise
    status = answer.status
    assert status is not None, "an answer that is kept says its status"
    data = b"" if answer.body is None else msgspec.json.encode(answer.body)
    await answers.finish(scope, key, claim, answer_ports.Answer(status, data))
    return answer
