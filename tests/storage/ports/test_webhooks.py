"""What every directory keeps of the endpoints of webhooks, and who serves them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_protocol.ids import new_id
from chat4all_storage.memory.log import wall_clock_ms
from chat4all_storage.ports.audit import SHELL
from chat4all_storage.ports.clients import ServiceClient, client_owner
from chat4all_storage.ports.directory import User
from chat4all_storage.ports.errors import Rejected
from chat4all_storage.ports.webhooks import Backlog, Report, TooManyWebhooks
from chat4all_storage.postgres.webhooks import PostgresWebhooks

from ..webhooks import BAD, GOOD, LEASE, OWNER, WebhookPlace, added, backlog, held, new, stands

if TYPE_CHECKING:
    from tests.storage.conftest import AccountPlace

# --- its owner ------------------------------------------------------------------------------------


async def test_an_endpoint_is_noted_as_it_was_told(hooks: WebhookPlace) -> None:
    asked = new()
    made = await hooks.webhooks.add(asked, SHELL, most=1)
    assert {name: getattr(made, name) for name in asked.__struct_fields__} == {
        name: getattr(asked, name) for name in asked.__struct_fields__
    }
    assert made.state == "active"
    assert await hooks.other.of(OWNER) == [made]


async def test_the_same_endpoint_again_is_what_stands(hooks: WebhookPlace) -> None:
    asked = new()
    made = await hooks.webhooks.add(asked, SHELL, most=1)
    assert await hooks.other.add(asked, SHELL, most=1) == made
    with pytest.raises(Rejected):
        await hooks.webhooks.add(new("user:bob", id=asked.id), SHELL, most=1)


async def test_an_owner_has_no_more_than_allowed(hooks: WebhookPlace) -> None:
    await hooks.webhooks.add(new(), SHELL, most=1)
    with pytest.raises(TooManyWebhooks):
        await hooks.webhooks.add(new(), SHELL, most=1)
    await hooks.webhooks.add(new("user:bob"), SHELL, most=1)


async def test_nobody_else_finds_or_changes_an_endpoint(hooks: WebhookPlace) -> None:
    webhook, webhooks = await added(hooks), hooks.webhooks
    for id_, owner in ((webhook.id, "user:bob"), (new_id(), OWNER)):
        assert await webhooks.find(id_, owner) is None
        assert not await webhooks.remove(id_, owner, SHELL)
        assert await webhooks.rotate(id_, owner, b"another", SHELL, keep=1) is None
        assert await webhooks.resume(id_, owner) is None
        assert await webhooks.replay(id_, owner, 1) is None
    assert await webhooks.of("user:bob") == []
    assert await stands(hooks, webhook) == webhook


async def test_what_is_removed_is_gone_with_what_it_was_to_be_told(hooks: WebhookPlace) -> None:
    webhook = await held(hooks)
    await hooks.webhooks.advance(webhook.id, "one", b"", [backlog()], Report())
    assert await hooks.webhooks.backlog_count(webhook.id, 10) == 1
    assert await hooks.webhooks.remove(webhook.id, OWNER, SHELL)
    assert await hooks.webhooks.find(webhook.id, OWNER) is None
    assert await hooks.webhooks.backlog_count(webhook.id, 10) == 0
    assert not await hooks.webhooks.advance(webhook.id, "one", b"", [], Report())


async def test_a_former_secret_signs_for_a_while(hooks: WebhookPlace) -> None:
    webhook = await added(hooks)
    before = wall_clock_ms()
    turned = await hooks.webhooks.rotate(webhook.id, OWNER, b"another", SHELL, keep=60)
    assert turned is not None
    assert (turned.secret, turned.former_secret) == (b"another", b"sealed")
    assert before + 55_000 < turned.former_until < wall_clock_ms() + 65_000
    assert await hooks.other.rotate(webhook.id, OWNER, b"another", SHELL, keep=60) == turned


async def test_acts_are_told_to_the_audit_log(place: AccountPlace) -> None:
    webhooks = getattr(place.directory, "webhooks", None)
    if webhooks is None:
        webhooks = PostgresWebhooks(place.directory.database)  # type: ignore[attr-defined]
    asked = new()
    await webhooks.add(asked, SHELL, most=1)
    await webhooks.rotate(asked.id, OWNER, b"another", SHELL, keep=1)
    await webhooks.remove(asked.id, OWNER, SHELL)
    entries = await place.stores.audit.entries(OWNER)
    assert sorted(entry.act for entry in entries) == [
        "webhook.added",
        "webhook.removed",
        "webhook.rotated",
    ]


async def test_the_endpoints_of_who_is_gone_are_gone(place: AccountPlace) -> None:
    webhooks = getattr(place.directory, "webhooks", None)
    if webhooks is None:
        webhooks = PostgresWebhooks(place.directory.database)  # type: ignore[attr-defined]
    user, client = User(new_id(), "Ann", b"hash"), ServiceClient("c1", "billing", b"hash", ())
    await place.directory.add_user(user)
    await place.stores.clients.add(client, SHELL)
    owners = (f"user:{user.id}", client_owner("c1"))
    for owner in owners:
        await webhooks.add(new(owner), SHELL, most=1)
    await place.stores.profiles.erase(user.id, f"erased-{new_id()}", SHELL)
    await place.stores.clients.remove("billing", SHELL)
    for owner in owners:
        assert await webhooks.of(owner) == []


# --- who serves it --------------------------------------------------------------------------------


async def test_one_node_serves_an_endpoint_until_its_lease_ends(hooks: WebhookPlace) -> None:
    webhook = await held(hooks)
    assert await hooks.other.claim("two", lease=LEASE, limit=10) == []
    assert [each.id for each in await hooks.webhooks.renew("one", lease=LEASE)] == [webhook.id]
    assert await hooks.other.renew("two", lease=LEASE) == []
    await hooks.later(LEASE + 1)
    assert await hooks.webhooks.renew("one", lease=LEASE) == []
    (taken,) = await hooks.other.claim("two", lease=LEASE, limit=10)
    assert taken.id == webhook.id


async def test_a_lease_that_is_renewed_goes_on(hooks: WebhookPlace) -> None:
    await held(hooks)
    for _ in range(3):
        await hooks.later(LEASE / 2)
        assert len(await hooks.webhooks.renew("one", lease=LEASE)) == 1
    assert await hooks.other.claim("two", lease=LEASE, limit=10) == []


async def test_a_claim_takes_no_more_than_its_limit(hooks: WebhookPlace) -> None:
    for _ in range(3):
        await added(hooks)
    assert len(await hooks.webhooks.claim("one", lease=LEASE, limit=2)) == 2
    assert len(await hooks.other.claim("two", lease=LEASE, limit=2)) == 1


async def test_what_is_released_is_free_at_once(hooks: WebhookPlace) -> None:
    webhook = await held(hooks)
    await hooks.other.release(webhook.id, "two")  # not its to release
    assert await hooks.other.claim("two", lease=LEASE, limit=1) == []
    await hooks.webhooks.release(webhook.id, "one")
    assert len(await hooks.other.claim("two", lease=LEASE, limit=1)) == 1


async def test_only_the_holder_writes(hooks: WebhookPlace) -> None:
    webhook, webhooks = await held(hooks), hooks.webhooks
    known = Backlog(new_id(), False, 0, 1, None, 1, 0)

    async def writes(holder: str) -> list[bool]:
        return [
            await webhooks.advance(webhook.id, holder, b"2", [], GOOD),
            await webhooks.look_back(webhook.id, holder, [], done=None),
            await webhooks.settle(
                webhook.id, holder, known, GOOD, after=1, told_rises=True, attempts=0, delay=0
            ),
        ]

    before = await stands(hooks, webhook)
    assert await writes("two") == [False] * 3
    assert not await webhooks.stop(webhook.id, "two", "paused", "why")
    assert await stands(hooks, webhook) == before
    assert await writes("one") == [True] * 3
    await hooks.later(LEASE + 1)
    assert await writes("one") == [False] * 3


async def test_what_is_stopped_is_served_by_nobody_until_it_is_resumed(hooks: WebhookPlace) -> None:
    webhook = await held(hooks)
    await hooks.webhooks.advance(webhook.id, "one", b"", [backlog(delay=60, attempts=4)], BAD)
    assert await hooks.webhooks.stop(webhook.id, "one", "paused", "it fails")
    stopped = await stands(hooks, webhook)
    assert (stopped.state, stopped.reason) == ("paused", "it fails")
    assert await hooks.webhooks.renew("one", lease=LEASE) == []
    await hooks.later(LEASE + 1)
    assert await hooks.other.claim("two", lease=LEASE, limit=1) == []
    resumed = await hooks.other.resume(webhook.id, OWNER)
    assert resumed is not None
    assert (resumed.state, resumed.reason, resumed.failing_since) == ("active", None, None)
    assert len(await hooks.other.claim("two", lease=LEASE, limit=1)) == 1
    due, _ = await hooks.other.due(webhook.id, 10)
    assert [each.attempts for each in due] == [0]


async def test_resuming_what_is_active_changes_nothing(hooks: WebhookPlace) -> None:
    webhook = await held(hooks)
    await hooks.webhooks.advance(webhook.id, "one", b"", [backlog(delay=60, attempts=4)], BAD)
    before = await stands(hooks, webhook)
    assert await hooks.other.resume(webhook.id, OWNER) == before
    assert (await hooks.other.due(webhook.id, 10))[0] == []
