"""Endpoints of webhooks: where programs are told what happens, and how that goes."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.frames import Id
from chat4all_storage.ports.audit import user_subject
from chat4all_storage.ports.clients import client_owner
from chat4all_storage.ports.webhooks import TooManyWebhooks

from ...webhooks import signing
from ...webhooks.events import PATTERNS
from ...webhooks.guard import MAX_URL, BadAddress
from .accounting import actor_of
from .errors import ApiError, invalid, not_found
from .models import SECRET_PATTERN, URL_PATTERN, moment
from .operations import Routes

if TYPE_CHECKING:
    from chat4all_storage.ports.webhooks import Webhook as StoredWebhook

    from .call import Call

routes = Routes("Webhooks", "Programs are told what happens, by Standard Webhooks.")

SCOPE: Final = "events:read"
"""A service client that has it is told everything, or in the name of a user what that may read."""
MOST_COUNTED: Final = 1000
"""A backlog is counted no further."""

EventPattern: TypeAlias = Literal[
    "*",
    "conversation.*",
    "file.*",
    "message.*",
    "presence.*",
    "conversation.changed",
    "conversation.created",
    "conversation.member_joined",
    "conversation.member_left",
    "file.ready",
    "message.created",
    "message.deleted",
    "message.delivered",
    "message.edited",
    "message.failed",
    "message.reaction",
    "message.read",
    "presence.away",
    "presence.offline",
    "presence.online",
]
assert EventPattern.__args__ == PATTERNS  # type: ignore[attr-defined]
Secret: TypeAlias = Annotated[
    str,
    Meta(
        pattern=SECRET_PATTERN,
        description="`whsec_` and 24 to 64 bytes in base64; made up if none is given",
    ),
]


class NewWebhook(Struct, frozen=True):
    """Where to tell what."""

    url: Annotated[str, Meta(pattern=URL_PATTERN, max_length=MAX_URL)]
    """`https://`, or `http://`, at a public address."""
    events: Annotated[list[EventPattern], Meta(min_length=1, max_length=len(PATTERNS))]
    """Types of events, or all of a group (`message.*`), or all but presences (`*`)."""
    secret: Secret | None = None


class Webhook(Struct, frozen=True):
    """An endpoint, and how it goes."""

    webhook_id: Id
    url: str
    events: list[EventPattern]
    state: Literal["active", "paused", "disabled"]
    """`paused`: every attempt has failed for days; `disabled`: it has answered 410. Both are over
    when it is resumed."""
    reason: str | None
    """Why it is not active."""
    created_at: datetime
    changed_at: datetime
    """When its state changed."""
    username: str | None
    """The user whose events it is told; null: everybody's."""
    delivered: int
    """Events that were taken."""
    failed: int
    """Attempts that failed."""
    given_up: int
    """Events that were not taken in any attempt."""
    backlog: int
    """Conversations and files of which something is to be told again, counted up to 1,000."""
    replaying: bool
    """Whether what is to be told again is still being looked for."""
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_failure: str | None
    """Why the last attempt that failed did."""
    failing_since: datetime | None
    """Since when every attempt has failed."""
    secret: str | None = None
    """Told when it is made, and never again."""
    former_secret_until: datetime | None = None
    """Until then the former secret signs, too."""


class WebhookList(Struct, frozen=True):
    """All endpoints of the caller, oldest first."""

    webhooks: list[Webhook]


class Replay(Struct, frozen=True):
    """From when on."""

    since: Annotated[datetime, Meta(tz=True)]


@routes.post(
    "/v1/webhooks",
    body=NewWebhook,
    answers={201: Webhook},
    errors=(ErrorCode.CONFLICT, ErrorCode.NOT_FOUND),
    scope=SCOPE,
)
async def create_webhook(call: Call, body: NewWebhook) -> Webhook:
    """Add an endpoint: it is told from now on what the caller may read.

    Each event is a POST with `webhook-id`, `webhook-timestamp` and `webhook-signature`, at least
    once and in the order of its conversation. Only 2xx takes it; else it is tried again for days,
    and what follows in its conversation waits.
    """
    key = None if body.secret is None else _parsed(body.secret)
    owner, username = await whose(call)
    service = call.services.webhooks
    try:
        made, signs = await service.add(
            call.id("webhook"),
            owner,
            username,
            body.url,
            body.events,
            key,
            actor_of(call),
        )
    except BadAddress as error:
        raise invalid("url", str(error)) from None
    except TooManyWebhooks as error:
        raise ApiError(ErrorCode.CONFLICT, f"{error}: remove one first") from None
    if not service.same(made, body.url, body.events, signs):
        raise ApiError(
            ErrorCode.CONFLICT, "the key was used for another request", field="Idempotency-Key"
        )
    return await _shown(call, made, secret=signs)


@routes.get("/v1/webhooks", answers={200: WebhookList}, scope=SCOPE)
async def list_webhooks(call: Call) -> WebhookList:
    """List the caller's endpoints."""
    found = await call.storage.webhooks.of(await _owner(call))
    return WebhookList([await _shown(call, each) for each in found])


@routes.get("/v1/webhooks/{webhook_id}", answers={200: Webhook}, scope=SCOPE)
async def read_webhook(call: Call, webhook_id: str) -> Webhook:
    """Tell how it goes with an endpoint."""
    return await _shown(call, await call.storage.webhooks.find(webhook_id, await _owner(call)))


@routes.delete("/v1/webhooks/{webhook_id}", answers={204: None}, scope=SCOPE)
async def delete_webhook(call: Call, webhook_id: str) -> None:
    """Remove an endpoint, and what it was to be told."""
    owner = await _owner(call)
    if not await call.storage.webhooks.remove(webhook_id, owner, actor_of(call)):
        raise _no_such_webhook()


@routes.post("/v1/webhooks/{webhook_id}/rotate", answers={200: Webhook}, scope=SCOPE)
async def rotate_secret(call: Call, webhook_id: str) -> Webhook:
    """Make another secret; the former one signs beside it for a day."""
    service, owner = call.services.webhooks, await _owner(call)
    key = service.made_up(webhook_id, call.id("rotate"))
    found = await service.rotate(webhook_id, owner, key, actor_of(call))
    return await _shown(call, found, secret=key)


@routes.post("/v1/webhooks/{webhook_id}/resume", answers={200: Webhook}, scope=SCOPE)
async def resume_webhook(call: Call, webhook_id: str) -> Webhook:
    """Let an endpoint that is paused or disabled be told what has happened since, and go on."""
    return await _shown(call, await call.services.webhooks.resume(webhook_id, await _owner(call)))


@routes.post("/v1/webhooks/{webhook_id}/replay", body=Replay, answers={202: Webhook}, scope=SCOPE)
async def replay_webhook(call: Call, webhook_id: str, body: Replay) -> Webhook:
    """Let an endpoint be told (again) what happened since a time, with the same ids."""
    since = int(body.since.timestamp() * 1000)
    service = call.services.webhooks
    return await _shown(call, await service.replay(webhook_id, await _owner(call), max(since, 0)))


async def whose(call: Call) -> tuple[str, str | None]:
    """Whose endpoints these are, and the member who is told; None: everything is.

    Raises:
        ApiError: a service client acts for somebody who does not exist.
    """
    identity = call.caller.identity
    if identity.client is None:
        return user_subject(identity.user_id), identity.username
    if not call.caller.acts_for_a_user:
        return client_owner(identity.user_id), None
    user = await call.storage.directory.find_user(call.caller.user())
    if user is None:
        raise not_found("no such user")
    return user_subject(user.id), user.username


async def _owner(call: Call) -> str:
    return (await whose(call))[0]


def _parsed(secret: str) -> bytes:
    try:
        return signing.parse(secret)
    except signing.BadSecret as error:
        raise invalid("secret", str(error)) from None


def _no_such_webhook() -> ApiError:
    return not_found("no such webhook")


async def _shown(
    call: Call, found: StoredWebhook | None, *, secret: bytes | None = None
) -> Webhook:
    if found is None:
        raise _no_such_webhook()
    backlog = await call.storage.webhooks.backlog_count(found.id, MOST_COUNTED)
    signs_until = found.former_until if found.former_secret is not None else 0
    still = signs_until > call.services.wall_clock() * 1000
    return Webhook(
        webhook_id=found.id,
        url=found.url,
        events=[pattern for pattern in PATTERNS if pattern in found.events],  # type: ignore[misc]
        state=found.state,
        reason=found.reason,
        created_at=moment(found.created_at),
        changed_at=moment(found.changed_at),
        username=found.username,
        delivered=found.delivered,
        failed=found.failed,
        given_up=found.given_up,
        backlog=backlog,
        replaying=found.replay_from is not None,
        last_success_at=_moment(found.last_success_at),
        last_failure_at=_moment(found.last_failure_at),
        last_failure=found.last_failure,
        failing_since=_moment(found.failing_since),
        secret=None if secret is None else signing.shown(secret),
        former_secret_until=moment(signs_until) if still else None,
    )


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else moment(ms)
