"""What every store of deliveries does: states lead on, chats keep their order, holders are one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.audit import SHELL, Actor
from chat4all_storage.ports.deliveries import (
    Finish,
    Sent,
    Told,
    delivery_of,
    reference_of,
)

from .builders import ACCOUNT, LEASE, NODE, delivery

if TYPE_CHECKING:
    from chat4all_storage.ports.deliveries import DeliveryState, NewDelivery

    from .builders import ChannelPlace


async def sent(place: ChannelPlace, new: NewDelivery, message: str = "m1") -> int:
    (id_,) = await place.begun(new)
    await place.finish(Finish(id=id_, state="sent", message=message))
    return id_


async def in_state(place: ChannelPlace, new: NewDelivery, state: DeliveryState) -> int:
    """The id of a delivery that has come so far."""
    deliveries = place.stores.deliveries
    if state == "queued":
        (id_,) = await place.added(new)
        return id_
    (id_,) = await place.begun(new)
    if state in ("sent", "delivered", "read"):
        await place.finish(Finish(id=id_, state="sent", message="m1"))
    if state in ("delivered", "read"):
        await deliveries.told(ACCOUNT, [Told(state=state, at=0, message="m1")])
    if state in ("unknown", "failed"):
        await place.finish(Finish(id=id_, state=state, message="m1", reason="why"))
    if state == "dropped":
        await place.finish(Finish(id=id_, state="failed", message="m1"))
        await deliveries.drop([id_], SHELL)
    assert await place.state(new) == state
    return id_


async def test_an_event_is_noted_once_for_each_chat(place: ChannelPlace) -> None:
    first = delivery("7")
    again = delivery("8", conversation=first.conversation)
    assert await place.stores.deliveries.add([first, again, first]) == [ACCOUNT]
    assert await place.other.deliveries.add([again]) == []
    progress = await place.stores.deliveries.progress(first.conversation, 1)
    assert [each.address for each in progress] == [first.address, again.address]
    assert await place.stores.deliveries.progress(first.conversation, 2) == []


async def test_a_chat_has_one_after_the_other_and_others_do_not_wait(place: ChannelPlace) -> None:
    conversation = new_id()
    mine = [delivery("7", conversation=conversation, seq=seq) for seq in (1, 2)]
    other = delivery("8")
    await place.hold()
    await place.stores.deliveries.add([*mine, other])
    first, second = await place.due()
    assert [(each.chat, each.seq) for each in (first, second)] == [("7", 1), ("8", 1)]
    await place.stores.deliveries.begin(NODE, ACCOUNT, [first.id])
    assert [each.chat for each in await place.due()] == ["8"]
    await place.finish(Finish(id=first.id, state="unknown"))
    assert [(each.chat, each.seq) for each in await place.due()] == [("7", 2), ("8", 1)]


async def test_what_failed_for_now_comes_again_in_its_time_and_holds_up_its_chat(
    place: ChannelPlace,
) -> None:
    conversation = new_id()
    first, second = (delivery(conversation=conversation, seq=seq) for seq in (1, 2))
    (id_,) = await place.begun(first)
    await place.stores.deliveries.add([second])
    await place.finish(Finish(id=id_, state="queued", delay=60, attempts=1, reason="busy"))
    found, wait = await place.stores.deliveries.due(ACCOUNT, 10)
    assert found == []
    assert wait is not None
    assert 50 < wait <= 60
    await place.later(61)
    (again,) = await place.due()
    assert (again.id, again.attempts, again.seq) == (id_, 1, 1)
    assert (again.address, again.conversation, again.kind) == (
        first.address,
        conversation,
        "message",
    )


async def test_only_so_many_are_found_and_those_of_an_account(place: ChannelPlace) -> None:
    await place.stores.deliveries.add([delivery(str(chat)) for chat in range(5)])
    await place.stores.deliveries.add([delivery("7", account="instagram")])
    found, wait = await place.stores.deliveries.due(ACCOUNT, 3)
    assert [each.chat for each in found] == ["0", "1", "2"]
    assert wait is None
    assert await place.stores.deliveries.due("whatsapp", 3) == ([], None)


async def test_only_the_holder_begins_and_finishes(place: ChannelPlace) -> None:
    new, deliveries = delivery(), place.stores.deliveries
    await place.hold()
    await deliveries.add([new])
    (due,) = await place.due()
    assert await deliveries.begin("other", ACCOUNT, [due.id]) == set()
    assert await deliveries.begin(NODE, "instagram", [due.id]) == set()
    assert await deliveries.begin(NODE, ACCOUNT, [due.id]) == {due.id}
    assert await deliveries.begin(NODE, ACCOUNT, [due.id]) == set()
    await place.later(2 * LEASE)
    await place.finish(Finish(id=due.id, state="sent", message="m1"))
    assert await place.state(new) == "sending"
    await place.hold("other")
    await place.finish(Finish(id=due.id, state="sent", message="m1"))
    assert await place.state(new) == "unknown"


@pytest.mark.parametrize("state", ["queued", "unknown", "failed", "sent"])
async def test_what_was_begun_becomes_what_it_is_told(
    place: ChannelPlace, state: DeliveryState
) -> None:
    new = delivery()
    (id_,) = await place.begun(new)
    finish = Finish(id=id_, state=state, message="m1", attempts=2, reason="why")  # type: ignore[arg-type]
    await place.finish(finish)
    (progress,) = await place.stores.deliveries.progress(new.conversation, new.seq)
    assert (progress.state, progress.attempts, progress.reason) == (state, 2, "why")
    steps = [] if state == "queued" else [state]
    assert [step.state for step in progress.steps] == steps
    await place.finish(Finish(id=id_, state="failed"))
    assert await place.state(new) == state


RISES: dict[str, dict[DeliveryState, str]] = {
    "sent": {"sending": "sent", "unknown": "sent"},
    "delivered": dict.fromkeys(("sending", "unknown", "sent"), "delivered"),
    "read": dict.fromkeys(("sending", "unknown", "sent", "delivered"), "read"),
    "failed": dict.fromkeys(("sending", "unknown", "sent"), "failed"),
}
STATES: list[DeliveryState] = [
    "queued",
    "sending",
    "unknown",
    "sent",
    "delivered",
    "read",
    "failed",
    "dropped",
]


@pytest.mark.parametrize("receipt", RISES)
async def test_receipts_only_lead_on(place: ChannelPlace, receipt: str) -> None:
    for number, state in enumerate(STATES):
        new = delivery(f"chat {number}")
        id_ = await in_state(place, new, state)
        told = Told(state=receipt, at=0, reference=reference_of(id_), reason="said so")  # type: ignore[arg-type]
        changed = await place.stores.deliveries.told(ACCOUNT, [told])
        expected = RISES[receipt].get(state)
        assert await place.state(new) == (expected or state)
        assert [(each.id, each.state) for each in changed] == (
            [(id_, expected)] if expected else []
        )
        assert await place.stores.deliveries.told(ACCOUNT, [told]) == []


async def test_a_receipt_finds_its_message(place: ChannelPlace) -> None:
    new, deliveries = delivery(), place.stores.deliveries
    await sent(place, new)
    for told in (
        Told(state="read", at=0, message="m2"),
        Told(state="read", at=0, message="m1", chat="8"),
        Told(state="read", at=0, reference="somebody else's"),
    ):
        assert await deliveries.told(ACCOUNT, [told]) == []
    assert await deliveries.told("instagram", [Told(state="read", at=0, message="m1")]) == []
    (changed,) = await deliveries.told(
        ACCOUNT,
        [
            Told(state="delivered", at=0, message="m1", chat="7"),
            Told(state="read", at=0, message="m1"),
        ],
    )
    assert [step.state for step in changed.steps] == ["sent", "delivered", "read"]


async def test_a_receipt_up_to_a_time_is_of_all_that_was_sent_before(place: ChannelPlace) -> None:
    conversation, deliveries = new_id(), place.stores.deliveries
    first, second = (delivery(conversation=conversation, seq=seq) for seq in (1, 2))
    elsewhere = delivery("8", conversation=conversation)
    await sent(place, first, "m1")
    await sent(place, elsewhere, "e1")
    await place.later(60)
    await place.hold()
    between = place.now_ms() - 30_000
    await sent(place, second, "m2")
    told = Told(state="read", at=0, chat="7", upto=between)
    changed = await deliveries.told(ACCOUNT, [told])
    assert [(each.seq, each.address, each.state) for each in changed] == [
        (1, first.address, "read")
    ]


async def test_a_reference_settles_what_is_unknown_and_tells_its_message(
    place: ChannelPlace,
) -> None:
    new = delivery()
    (id_,) = await place.begun(new)
    await place.finish(Finish(id=id_, state="unknown"))
    told = Told(state="sent", at=0, message="m9", reference=reference_of(id_))
    await place.stores.deliveries.told(ACCOUNT, [told])
    found = await place.stores.deliveries.messages(ACCOUNT, "7", ["m9", "m1"])
    assert found == {"m9": Sent(ACCOUNT, "7", "m9", new.conversation, 1, new.address)}
    await place.stores.deliveries.told(ACCOUNT, [Told(state="read", at=0, message="m9")])
    assert await place.state(new) == "read"


async def test_an_answer_after_its_receipt_only_tells_the_message(place: ChannelPlace) -> None:
    new = delivery()
    (id_,) = await place.begun(new)
    told = Told(state="delivered", at=0, reference=reference_of(id_))
    await place.stores.deliveries.told(ACCOUNT, [told])
    await place.finish(Finish(id=id_, state="sent", message="m1"))
    assert await place.state(new) == "delivered"
    await place.stores.deliveries.told(ACCOUNT, [Told(state="read", at=0, message="m1")])
    assert await place.state(new) == "read"


async def test_what_a_message_is_is_known_whoever_wrote_it(place: ChannelPlace) -> None:
    deliveries, conversation = place.stores.deliveries, new_id()
    await sent(place, delivery(conversation=conversation, seq=2))
    theirs = Sent(ACCOUNT, "7", "t1", conversation, 3, "telegram:7")
    await deliveries.note_messages([theirs, theirs])
    await deliveries.note_messages([Sent(ACCOUNT, "7", "t1", new_id(), 9, "telegram:9")])
    found = await place.other.deliveries.messages(ACCOUNT, "7", ["m1", "t1", "x"])
    assert found == {"m1": Sent(ACCOUNT, "7", "m1", conversation, 2, "telegram:7"), "t1": theirs}
    assert await deliveries.messages(ACCOUNT, "8", ["t1"]) == {}
    assert await deliveries.messages_of(conversation, 3) == [theirs]


async def test_dead_letters_are_listed_and_tried_again_or_dropped(place: ChannelPlace) -> None:
    news = [delivery(str(chat)) for chat in range(4)]
    ids = await place.begun(*news)
    await place.finish(
        Finish(id=ids[0], state="failed", reason="blocked"),
        Finish(id=ids[1], state="unknown", reason="no answer"),
        Finish(id=ids[2], state="sent", message="m"),
    )
    deliveries = place.stores.deliveries
    found = await deliveries.listed(["failed", "unknown"], account=None, after=0, limit=10)
    assert [(each.id, each.reason) for each in found] == [
        (ids[0], "blocked"),
        (ids[1], "no answer"),
    ]
    assert await deliveries.listed(["failed"], account="instagram", after=0, limit=10) == []
    page = await deliveries.listed(["failed", "unknown"], account=ACCOUNT, after=ids[0], limit=1)
    assert [each.id for each in page] == [ids[1]]
    assert await deliveries.retry([*ids, 0], SHELL) == set(ids[:2])
    assert [each.id for each in await place.due()] == ids[:2]
    assert await deliveries.drop(ids, SHELL) == set(ids[:2])
    assert await place.due() == []
    assert await deliveries.counts() == {(ACCOUNT, "sending"): 1, (ACCOUNT, "sent"): 1}


async def test_failures_of_a_conversation_are_found_by_when_they_failed(
    place: ChannelPlace,
) -> None:
    news = [delivery(str(chat)) for chat in range(3)]
    failed, retried, fine = await place.begun(*news)
    await place.finish(
        Finish(id=failed, state="failed", reason="why"),
        Finish(id=retried, state="failed"),
        Finish(id=fine, state="sent", message="m"),
    )
    deliveries = place.stores.deliveries
    await deliveries.retry([retried], SHELL)
    since = place.now_ms() - 10_000
    found = [await deliveries.failures(new.conversation, since) for new in news]
    assert [[each.id for each in each] for each in found] == [[failed], [], []]
    assert found[0][0].reason == "why"
    await place.later(60)
    since = place.now_ms() - 10_000
    assert await deliveries.failures(news[0].conversation, since) == []


async def test_who_decided_on_dead_letters_is_in_the_audit_log(place: ChannelPlace) -> None:
    ids = await place.begun(delivery("1"), delivery("2"))
    deliveries, actor = place.stores.deliveries, Actor("user:7", "192.0.2.1")
    await deliveries.retry(ids, actor)
    await deliveries.drop([], actor)
    assert await place.audit.entries() == []
    await place.finish(*(Finish(id=id_, state="failed") for id_ in ids))
    await deliveries.retry([*ids, 0], actor)
    await deliveries.drop(ids[:1], actor)
    dropped, retried = await place.audit.entries("channel:telegram")
    assert (retried.act, retried.actor, retried.address) == (
        "delivery.retried",
        "user:7",
        "192.0.2.1",
    )
    assert retried.details == {"deliveries": f"{ids[0]} {ids[1]}"}
    assert (dropped.act, dropped.details) == ("delivery.dropped", {"deliveries": f"{ids[0]}"})


async def test_what_came_to_rest_is_removed_after_its_time(place: ChannelPlace) -> None:
    deliveries = place.stores.deliveries
    states: list[DeliveryState] = ["sent", "queued", "failed"]
    news = {state: delivery(state) for state in states}
    for state, new in news.items():
        await in_state(place, new, state)
        if state == "queued":
            assert await deliveries.trim(60, 10) == 0
    await place.later(120)
    assert await deliveries.trim(60, 1) == 1
    assert await deliveries.trim(60, 10) == 1
    assert await place.state(news["queued"]) == "queued"
    assert await deliveries.progress(news["sent"].conversation, 1) == []
    assert await deliveries.messages(ACCOUNT, "sent", ["m1"]) == {}


@pytest.mark.parametrize(
    "text", ["", "c4a-", "c4a-x", "c4a-\uff11", "c4a--1", "7", "c4a-" + "9" * 19]
)
def test_what_is_no_reference_names_no_delivery(text: str) -> None:
    assert delivery_of(text) is None
    assert delivery_of(reference_of(7)) == 7
