"""What an endpoint is told, in which order, and what becomes of what it does not take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_actors.config import MINUTES, SECONDS
from chat4all_actors.webhooks import delivery, tail
from chat4all_protocol.codec import encode_body
from chat4all_protocol.frames import TextBody
from chat4all_storage.ports.changes import Failure
from chat4all_storage.ports.deliveries import Finish, NewDelivery
from tests.storage.builders import append, join, leave, react
from tests.webhooks.world import BUSY, DOWN, GONE, OK, World

if TYPE_CHECKING:
    from trio.testing import MockClock

    from chat4all_actors.webhooks.sending import Outcome
    from tests.webhooks.world import Request

HOURS = 60 * MINUTES
DAYS = 24 * HOURS
SOON = 2 * SECONDS


@pytest.fixture
def seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nodes look at journals each ten minutes, so that days pass quickly."""
    monkeypatch.setattr(tail, "EVERY", 10 * MINUTES)
    monkeypatch.setattr(delivery, "IDLE", 10 * MINUTES)


async def test_an_endpoint_is_told_what_happens_from_then_on(autojump_clock: MockClock) -> None:
    world = World()
    group = await world.group("ann", "bob")
    await world.say(group, "bob", "before")
    await trio.sleep(1)
    async with world.node() as service:
        await world.add(service)
        await world.say(group, "bob", "one", "two")
        await world.say(group, "ann", "three")
        await trio.sleep(SOON)
        assert world.receiver.places() == [("message.created", seq) for seq in (2, 3, 4)]
    told = world.receiver.taken[0].json
    assert told["data"]["payload"] == {"type": "text", "text": "one"}
    assert told["data"]["from"] == "bob"
    assert told["timestamp"] == told["data"]["created_at"]


async def test_every_kind_of_event_has_its_type(autojump_clock: MockClock) -> None:
    world = World()
    async with world.node() as service:
        await world.add(service)
        group = await world.group("ann", "bob")
        await world.say(group, "ann", "a text")
        entries = [
            react(group, "ann", 1),
            append(group, "ann", text("another"), kind="edit", target=1),
            append(group, "ann", None, kind="delete", target=1),
            join(group, "ann", "carl"),
            leave(group, "ann", "carl"),
        ]
        for entry in entries:
            await world.shard.commit([entry], [])
        await world.receives(group, "bob", 2)
        await world.reads(group, "bob", 3)
        await trio.sleep(SOON)
    types = [(type_, seq) for type_, seq in world.receiver.places()]
    assert types == [
        ("conversation.created", 0),
        ("message.created", 1),
        ("message.reaction", 2),
        ("message.edited", 3),
        ("message.deleted", 4),
        ("conversation.member_joined", 5),
        ("conversation.member_left", 6),
        ("message.delivered", 2),
        ("message.delivered", 3),
        ("message.read", 3),
    ]


def text(words: str) -> bytes:
    return encode_body(TextBody(words))


async def test_an_endpoint_is_told_only_what_it_asked_for(autojump_clock: MockClock) -> None:
    world = World()
    async with world.node() as service:
        await world.add(service, "ann", "conversation.*", "message.read")
        group = await world.group("ann", "bob")
        await world.say(group, "ann")
        await world.reads(group, "bob", 1)
        await trio.sleep(SOON)
    assert world.receiver.places() == [("conversation.created", 0), ("message.read", 1)]


async def test_nobody_is_told_of_conversations_of_others(autojump_clock: MockClock) -> None:
    world = World()
    async with world.node() as service:
        await world.add(service, "ann")
        theirs = await world.group("bob", "carl")
        await world.say(theirs, "bob")
        await world.reads(theirs, "carl", 1)
        mine = await world.group("bob", "carl")
        await world.say(mine, "bob", "before she came")
        await world.shard.commit([join(mine, "bob", "ann")], [])
        await world.say(mine, "bob", "welcome")
        await trio.sleep(SOON)
        await world.shard.commit([leave(mine, "bob", "ann")], [])
        await world.say(mine, "bob", "she is gone")
        await trio.sleep(SOON)
    assert world.receiver.places() == [
        ("conversation.member_joined", 2),
        ("message.created", 3),
    ]


async def test_a_client_with_the_scope_is_told_everything(autojump_clock: MockClock) -> None:
    world = World(2)
    async with world.node() as service:
        await world.add(service, None)
        for sender in ("ann", "bob"):
            group = await world.group(sender)
            await world.say(group, sender)
        await trio.sleep(SOON)
    created = [("conversation.created", 0), ("message.created", 1)]
    assert sorted(world.receiver.places()) == sorted(2 * created)


# --- order and failures ---------------------------------------------------------------------------


def unless(condition: bool, outcome: Outcome) -> Outcome:
    return OK if not condition else outcome


async def test_what_follows_in_a_conversation_waits_and_others_go_on(
    autojump_clock: MockClock,
) -> None:
    world = World()
    one, two = [await world.group("ann", "bob") for _ in range(2)]
    failing = True
    world.receiver.answer = lambda request: unless(failing and request.conversation == one, BUSY)
    async with world.node() as service:
        webhook = await world.add(service)
        await world.say(one, "ann", "a", "b")
        await world.say(two, "ann", "c")
        await trio.sleep(SOON)
        await world.say(one, "ann", "d")
        await world.say(two, "ann", "e")
        await trio.sleep(SOON)
        assert world.receiver.places(one) == []
        assert world.receiver.places(two) == [("message.created", 1), ("message.created", 2)]
        assert [each.place[1] for each in world.receiver.requests if each.conversation == one] == [
            1
        ]
        failing = False
        await trio.sleep(5 * SECONDS)
        assert world.receiver.places(one) == [("message.created", seq) for seq in (1, 2, 3)]
        assert (await world.stands(webhook)).failing_since is None
        await world.say(one, "ann", "f")
        await trio.sleep(SOON)
        assert world.receiver.places(one)[-1] == ("message.created", 4)


async def test_a_watermark_is_told_after_what_it_is_about(autojump_clock: MockClock) -> None:
    world = World()
    group = await world.group("ann", "bob")
    failing = True
    world.receiver.answer = lambda request: unless(failing, BUSY)
    async with world.node() as service:
        await world.add(service)
        await world.say(group, "ann", "a")
        await trio.sleep(SOON)
        await world.reads(group, "bob", 1)
        await trio.sleep(SOON)
        await world.say(group, "ann", "b")
        failing = False
        await trio.sleep(10 * SECONDS)
    assert world.receiver.places() == [
        ("message.created", 1),
        ("message.created", 2),
        ("message.delivered", 1),
        ("message.read", 1),
    ]


async def test_a_failure_that_was_not_told_in_its_turn_is_found_where_it_is_kept(
    autojump_clock: MockClock,
) -> None:
    world, address = World(), "telegram:7"
    group = await world.group("ann", address)
    failing = True
    world.receiver.answer = lambda request: unless(failing, BUSY)
    deliveries = world.storage.channels.deliveries
    async with world.node() as service:
        await world.add(service, "ann", "message.failed")
        await world.say(group, "ann", "a")
        new = NewDelivery(
            account="telegram",
            chat="7",
            address=address,
            conversation=group,
            seq=1,
            kind="message",
        )
        await world.storage.channels.accounts.hold("telegram", "one", 3600)
        await deliveries.add([new])
        await deliveries.begin("one", "telegram", [1])
        await world.storage.shards.note_failure(Failure(group, 1, address, "telegram", "why"))
        await deliveries.finish("one", "telegram", [Finish(id=1, state="failed", reason="why")])
        await trio.sleep(SOON)
        assert (len(world.receiver.requests), world.receiver.taken) == (1, [])
        failing = False
        await trio.sleep(10 * SECONDS)
    first, (told,) = world.receiver.requests[0], world.receiver.taken
    assert told.id == first.id
    assert told.json["data"] == first.json["data"]


async def test_an_event_is_tried_nine_times_in_75_hours_and_then_given_up(
    autojump_clock: MockClock,
    seldom: None,
) -> None:
    world = World(webhook_lease=HOURS)
    group, other = await world.group("ann", "bob"), await world.group("ann")
    bad = True
    world.receiver.answer = lambda request: unless(
        bad and request.conversation == group and request.place[1] == 1, BUSY
    )
    async with world.node() as service:
        webhook = await world.add(service)
        await world.say(group, "ann", "a", "b")
        for _ in range(90):
            await world.say(other, "ann")
            await trio.sleep(1 * HOURS)
        requests = [each for each in world.receiver.requests if each.conversation == group]
        attempts = [each.at for each in requests if each.place[1] == 1]
        assert len(attempts) == 9
        assert 75 * HOURS <= attempts[-1] - attempts[0] <= 1.1 * 76 * HOURS
        # The next one waited until the first was given up; each has an id of its own.
        assert [each.place[1] for each in requests] == [*(9 * [1]), 2]
        assert len({each.id for each in requests}) == 2
        assert (await world.stands(webhook)).given_up == 1
        assert world.receiver.places(group) == [("message.created", 2)]


async def test_the_endpoint_may_ask_for_more_time(autojump_clock: MockClock) -> None:
    world = World()
    group = await world.group("ann")
    asked = BUSY.__class__(False, "answered 429", retry_after=100.0)
    world.receiver.answer = lambda request: unless(len(world.receiver.requests) == 1, asked)
    async with world.node() as service:
        await world.add(service)
        await world.say(group, "ann")
        await trio.sleep(99)
        assert len(world.receiver.requests) == 1
        await trio.sleep(10)
        assert len(world.receiver.taken) == 1


async def test_an_endpoint_that_is_gone_is_told_nothing_more(
    autojump_clock: MockClock, seldom: None
) -> None:
    world = World(webhook_lease=HOURS)
    group = await world.group("ann")
    world.receiver.answer = lambda request: GONE
    async with world.node() as service:
        webhook = await world.add(service)
        await world.say(group, "ann", "a", "b")
        await trio.sleep(1 * DAYS)
        assert len(world.receiver.requests) == 1
        assert (await world.stands(webhook)).state == "disabled"
        assert service.statistics().stopped == 1
        assert service.statistics().served == 0


async def test_an_endpoint_that_fails_for_days_is_paused_until_it_is_resumed(
    autojump_clock: MockClock,
    seldom: None,
) -> None:
    world = World(webhook_lease=HOURS)
    group = await world.group("ann")
    world.receiver.answer = lambda request: DOWN
    async with world.node() as service:
        webhook = await world.add(service)
        for day in range(6):
            assert (await world.stands(webhook)).state == "active", day
            await world.say(group, "ann")
            await trio.sleep(1 * DAYS)
        found = await world.stands(webhook)
        assert found.state == "paused"
        assert found.reason == "every attempt has failed for 5 days"
        await world.say(group, "ann")
        count = len(world.receiver.requests)
        await trio.sleep(1 * DAYS)
        assert len(world.receiver.requests) == count
        world.receiver.answer = lambda request: OK
        await service.resume(webhook.id, webhook.owner)
        await trio.sleep(1 * HOURS)
    assert world.receiver.places()[-1] == ("message.created", 7)
    assert len(world.receiver.places()) + found.given_up == 7


async def test_one_success_is_enough_not_to_be_paused(
    autojump_clock: MockClock, seldom: None
) -> None:
    world = World(webhook_lease=HOURS)
    bad, good = await world.group("ann"), await world.group("ann")
    world.receiver.answer = lambda request: unless(request.conversation == bad, DOWN)
    async with world.node() as service:
        webhook = await world.add(service)
        for _ in range(8):
            await world.say(bad, "ann")
            await world.say(good, "ann")
            await trio.sleep(1 * DAYS)
        assert (await world.stands(webhook)).state == "active"


async def test_requests_at_once_are_bounded_and_never_two_of_a_conversation(
    autojump_clock: MockClock,
) -> None:
    world = World(webhook_in_flight=3)
    groups = [await world.group("ann") for _ in range(6)]
    world.receiver.takes = 1.0
    under_way: list[str] = []

    def answer(request: Request) -> Outcome:
        under_way.append(request.conversation)
        return OK

    world.receiver.answer = answer
    async with world.node() as service:
        await world.add(service)
        for group in groups:
            await world.say(group, "ann", "a", "b")
        await trio.sleep(30)
    assert world.receiver.most_at_once == 3
    for group in groups:
        assert [seq for _, seq in world.receiver.places(group)] == [1, 2]


async def test_while_nothing_answers_other_conversations_are_not_waited_for(
    autojump_clock: MockClock,
) -> None:
    world = World(webhook_in_flight=1)
    groups = [await world.group("ann") for _ in range(30)]
    world.receiver.takes = 15.0
    world.receiver.answer = lambda request: DOWN
    async with world.node() as service:
        webhook = await world.add(service)
        for group in groups:
            await world.say(group, "ann")
        await trio.sleep(4 * 15)
        assert len(world.receiver.requests) <= 4
        world.receiver.answer, world.receiver.takes = (lambda request: OK), 0.0
        await trio.sleep(10 * MINUTES)
        assert len(world.receiver.taken) == 30
        assert await world.storage.webhooks.backlog_count(webhook.id, 100) == 0


@pytest.mark.parametrize("size", [4096, 9000])
async def test_what_is_too_large_is_told_by_its_place_alone(
    autojump_clock: MockClock, size: int
) -> None:
    world = World(webhook_max_payload=8 * 1024)
    group = await world.group("ann")
    async with world.node() as service:
        await world.add(service)
        await world.say(group, "ann", "x" * size)
        await trio.sleep(SOON)
    data = world.receiver.taken[0].json["data"]
    if size == 4096:
        assert data["payload"]["text"] == "x" * size
    else:
        assert data == {
            "omitted": "too_large",
            "conversation_id": group,
            "sequence_number": 1,
            "file_id": None,
        }
