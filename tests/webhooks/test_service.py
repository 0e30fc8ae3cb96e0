"""Which node serves an endpoint, and what its owner can do with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from chat4all_actors.webhooks import signing
from chat4all_actors.webhooks.guard import BadAddress
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.audit import SHELL
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.webhooks import TooManyWebhooks
from tests.webhooks.world import BUSY, OK, URL, World, clock

if TYPE_CHECKING:
    from trio.testing import MockClock

    from chat4all_actors.webhooks.sending import Outcome
    from tests.webhooks.world import Request

SOON = 2.0
LEASE = 15.0


async def test_of_two_nodes_one_serves_an_endpoint_and_the_other_when_it_stops(
    autojump_clock: MockClock,
) -> None:
    world = World()
    group = await world.group("ann")
    async with world.node() as second:
        async with world.node() as first:
            await world.add(first)
            await world.say(group, "ann")
            await trio.sleep(LEASE)
            assert (first.statistics().served, second.statistics().served) == (1, 0)
        await world.say(group, "ann")
        await trio.sleep(LEASE / 3 + SOON)  # it was given back
        assert second.statistics().served == 1
    assert world.receiver.places() == [("message.created", 1), ("message.created", 2)]


async def test_an_endpoint_of_a_node_that_died_is_taken_over(autojump_clock: MockClock) -> None:
    world = World()
    group = await world.group("ann")
    async with world.node() as first:
        webhook = await world.add(first)
        await trio.sleep(SOON)
        await world.say(group, "ann")
        await trio.sleep(SOON)
    await world.storage.webhooks.claim("dead", lease=LEASE, limit=1)  # as if it still had it
    await world.say(group, "ann")
    async with world.node() as second:
        await trio.sleep(LEASE / 2)
        assert second.statistics().served == 0
        await trio.sleep(LEASE)
        assert second.statistics().served == 1
    assert world.receiver.places() == [("message.created", 1), ("message.created", 2)]
    assert (await world.stands(webhook)).delivered == 2


async def test_who_can_not_renew_stops_before_another_node_begins(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    async with world.node() as node:
        await world.add(node)
        await trio.sleep(SOON)
        assert node.statistics().served == 1

        async def unavailable(*_: object, **__: object) -> Any:
            await trio.lowlevel.checkpoint()
            raise Unavailable("away")

        monkeypatch.setattr(world.storage.webhooks, "renew", unavailable)
        await trio.sleep(LEASE)
        assert node.statistics().served == 0
        assert await world.storage.webhooks.claim("other", lease=LEASE, limit=1) != []


async def test_what_happened_while_nobody_served_it_is_told(autojump_clock: MockClock) -> None:
    world = World(journal_kept=3600.0)
    group = await world.group("ann")
    async with world.node() as node:
        await world.add(node)
        await world.say(group, "ann")
        await trio.sleep(SOON)
    await world.say(group, "ann")
    await trio.sleep(1800)
    async with world.node():
        await trio.sleep(SOON + LEASE)
    assert world.receiver.places() == [("message.created", 1), ("message.created", 2)]


async def test_what_the_journal_has_lost_is_found_in_the_logs(autojump_clock: MockClock) -> None:
    world = World(journal_kept=3600.0)
    group, quiet = await world.group("ann", "bob"), await world.group("ann")
    await world.say(quiet, "ann", "before")
    await trio.sleep(1)
    async with world.node() as node:
        await world.add(node)
        await world.say(group, "ann")
        await trio.sleep(SOON)
    await trio.sleep(300)
    for _ in range(3):
        await world.say(group, "ann")
    await world.reads(group, "bob", 3)
    fresh = await world.group("ann")
    await trio.sleep(4000)
    await world.shard.trim_journal(0)
    async with world.node():
        await trio.sleep(SOON + LEASE)
        await world.say(group, "ann")
        await trio.sleep(SOON)
    seqs = [seq for type_, seq in world.receiver.places(group) if type_ == "message.created"]
    assert list(dict.fromkeys(seqs)) == [1, 2, 3, 4, 5]
    assert (
        len({each.id for each in world.receiver.taken if each.place[0] == "message.created"}) == 5
    )
    assert ("message.read", 3) in world.receiver.places(group)
    assert world.receiver.places(fresh) == [("conversation.created", 0)]
    assert world.receiver.places(quiet) == []


async def test_a_replay_tells_again_what_happened_since_with_the_same_ids(
    autojump_clock: MockClock,
) -> None:
    world = World()
    group = await world.group("ann")
    await world.say(group, "ann", "long ago")
    await trio.sleep(100)
    since = int(clock() * 1000)
    await world.say(group, "ann", "before it was added")
    await trio.sleep(1)
    async with world.node() as node:
        webhook = await world.add(node, "ann", "message.created")
        await world.say(group, "ann", "after")
        await trio.sleep(SOON)
        first = list(world.receiver.taken)
        found = await node.replay(webhook.id, webhook.owner, since)
        assert found is not None
        await trio.sleep(SOON + LEASE)
        again = world.receiver.taken[len(first) :]
        assert [each.place[1] for each in first] == [3]
        assert [each.place[1] for each in again] == [2, 3]
        assert again[1].id == first[0].id
        assert (await world.stands(webhook)).replay_from is None


async def test_an_endpoint_that_is_removed_is_told_nothing_more(autojump_clock: MockClock) -> None:
    world = World()
    group = await world.group("ann")
    world.receiver.answer = lambda request: BUSY
    async with world.node() as node:
        webhook = await world.add(node)
        await world.say(group, "ann")
        await trio.sleep(SOON)
        assert await world.storage.webhooks.remove(webhook.id, webhook.owner, SHELL)
        await trio.sleep(LEASE)
        count = len(world.receiver.requests)
        await world.say(group, "ann")
        await trio.sleep(600)
        assert len(world.receiver.requests) == count
        assert node.statistics().served == 0


async def test_both_secrets_sign_for_a_while_and_then_the_new_one_alone(
    autojump_clock: MockClock,
) -> None:
    world = World(webhook_secret_kept=60.0)
    group = await world.group("ann")
    async with world.node() as node:
        webhook, former = await node.add(
            new_id(), "user:ann", "ann", URL, ["message.*"], None, SHELL
        )
        new = node.made_up(webhook.id, "turn")
        await node.rotate(webhook.id, webhook.owner, new, SHELL)
        await trio.sleep(SOON)
        await world.say(group, "ann")
        await trio.sleep(60)
        await world.say(group, "ann")
        await trio.sleep(SOON)
    during, after = world.receiver.taken
    for request, keys in ((during, [new, former]), (after, [new])):
        at = int(request.headers["webhook-timestamp"])
        assert dict(request.headers) == signing.headers(request.id, at, request.body, keys)


async def test_the_same_again_is_the_same_endpoint(autojump_clock: MockClock) -> None:
    world = World(max_webhooks_per_owner=1)
    id_ = new_id()
    async with world.node() as node:
        asked = (id_, "user:ann", "ann", URL, ["message.*"], None, SHELL)
        made, key = await node.add(*asked)
        again, same = await node.add(*asked)
        assert (again.id, same) == (made.id, key)
        assert node.same(again, URL, ["message.*"], key)
        assert not node.same(again, URL, ["file.*"], key)
        with pytest.raises(TooManyWebhooks):
            await world.add(node)


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "https://a.example:22/"])
async def test_no_endpoint_is_added_where_none_may_be(autojump_clock: MockClock, url: str) -> None:
    world = World()
    async with world.node() as node:
        with pytest.raises(BadAddress):
            await node.add(new_id(), "user:ann", "ann", url, ["*"], None, SHELL)
    assert await world.storage.webhooks.of("user:ann") == []


async def test_a_node_serves_no_more_than_it_may(autojump_clock: MockClock) -> None:
    world = World(max_webhooks_per_node=1)
    async with world.node() as first, world.node() as second:
        for _ in range(3):
            await world.add(first)
        await trio.sleep(LEASE)
        assert first.statistics().served == second.statistics().served == 1


async def test_a_fault_of_one_endpoint_ends_no_other_and_it_goes_on_itself(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    group = await world.group("ann")
    fail = True

    def answer(request: Request) -> Outcome:
        if fail and request.url.endswith("bad"):
            raise RuntimeError("a defect")
        return OK

    world.receiver.answer = answer
    async with world.node() as node:
        for path in ("/good", "/bad"):
            await node.add(new_id(), "user:ann", "ann", URL + path, ["*"], None, SHELL)
        await world.say(group, "ann")
        await trio.sleep(SOON)
        assert len(world.receiver.taken) == 1
        fail = False
        await trio.sleep(LEASE)
        assert len(world.receiver.taken) == 2
    assert "a defect" in caplog.text
