"""Endpoints of webhooks, as tests of their directories make them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.audit import SHELL
from chat4all_storage.ports.webhooks import NewBacklog, NewWebhook, Report

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chat4all_storage.ports.webhooks import Webhook, Webhooks

LEASE = 100.0
OWNER = "user:ann"
GOOD = Report(delivered=1, ended_well=True)
BAD = Report(failed=1, failure="503")


class WebhookPlace(NamedTuple):
    """A directory's endpoints, twice, and a way to let time pass."""

    webhooks: Webhooks
    other: Webhooks
    later: Callable[[float], Awaitable[None]]


AGED_WEBHOOKS = (
    """UPDATE webhooks SET held_until = held_until - $1::interval,
           former_until = former_until - $1::interval""",
    "UPDATE webhook_backlogs SET due_at = due_at - $1::interval",
)


def new(owner: str = OWNER, *, id: str | None = None) -> NewWebhook:
    return NewWebhook(id or new_id(), owner, "ann", "https://a.b/c", ("message.*",), b"sealed", 7)


async def added(hooks: WebhookPlace, owner: str = OWNER) -> Webhook:
    return await hooks.webhooks.add(new(owner), SHELL, most=10)


async def held(hooks: WebhookPlace) -> Webhook:
    """An endpoint that `one` serves."""
    await added(hooks)
    (webhook,) = await hooks.webhooks.claim("one", lease=LEASE, limit=10)
    return webhook


async def stands(hooks: WebhookPlace, webhook: Webhook) -> Webhook:
    found = await hooks.other.find(webhook.id, webhook.owner)
    assert found is not None
    return found


def backlog(
    key: str | None = None,
    *,
    after: int = 0,
    upto: int = 3,
    rises: int | None = None,
    delay: float = 0,
    attempts: int = 0,
) -> NewBacklog:
    return NewBacklog(key or new_id(), False, after, upto, rises, attempts, delay)
