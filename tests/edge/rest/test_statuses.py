"""What became of a message, here and on channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from chat4all_actors.edge.rest.api import GROUPS
from chat4all_actors.edge.rest.app import build
from chat4all_actors.edge.rest.models import moment
from chat4all_actors.edge.rest.statuses import Delivery, Recipients, StatusReport, report
from chat4all_connectors.errors import Refused, UnknownOutcome
from chat4all_connectors.loopback.settings import LoopbackSettings
from chat4all_connectors.loopback.stage import Fault
from chat4all_protocol.frames import Send, TextBody
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.audit import SHELL
from chat4all_storage.ports.deliveries import DeliveryState, Progress, Step
from chat4all_storage.ports.events import StoredEvent
from chat4all_storage.ports.queries import receipt
from tests.channels.world import BEA, world
from tests.edge.rest.harness import Api

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

    from chat4all_storage.ports.queries import Receipt
    from tests.channels.world import World

CONVERSATION = "0b7d1a9e-3c52-4f0e-8d7a-5f2b1c9e4a63"
EVENT = StoredEvent(CONVERSATION, 5, new_id(), "ana", "message", 1000, b"")
LEO = "whatsapp:+5511999998888"


def sent_to(
    address: str,
    *states: DeliveryState,
    account: str = "whatsapp",
    part: int = 0,
    at: int = 2000,
    reason: str | None = None,
) -> Progress:
    """A delivery that came to each of these states, a second apart; the first queued is no step."""
    steps = [Step(state, at + 1000 * n) for n, state in enumerate(states)]
    open_ = ("queued", "sending")
    shown = [step for step in steps if step.state not in open_]
    return Progress(part, account, address, CONVERSATION, 5, part, states[-1], reason, 0, shown)


def of(
    progress: Sequence[Progress], receipts: Sequence[Receipt] = (), *, forgotten: bool = False
) -> StatusReport:
    return report(EVENT, receipts, progress, forgotten=forgotten)


def mark(user: str, recv: int, read: int) -> Receipt:
    return receipt(user, 5, recv, read, 7000, 8000)


def history(report: StatusReport) -> list[tuple[str, str | None, str | None]]:
    """Without the first step, which is that it was stored."""
    return [(step.status, step.user, step.channel) for step in report.status_history[1:]]


# --- one channel


@pytest.mark.parametrize(
    ("states", "status"),
    [
        (["queued"], "SENT"),
        (["sending"], "SENT"),
        (["sent"], "SENT"),
        (["sent", "delivered"], "DELIVERED"),
        (["sent", "read"], "READ"),
        (["unknown"], "SENT"),
        (["unknown", "delivered"], "DELIVERED"),
        (["failed"], "FAILED"),
        (["failed", "dropped"], "FAILED"),
        (["failed", "queued"], "SENT"),
    ],
)
def test_a_message_to_one_person_is_where_its_delivery_is(
    states: list[DeliveryState], status: str
) -> None:
    found = of([sent_to(LEO, *states)])
    assert found.status == status
    assert {name: each.status for name, each in found.channel_delivery.items()} == {
        "whatsapp": status
    }


def test_a_channel_is_as_far_as_with_the_last_person_there() -> None:
    found = of([sent_to(LEO, "sent", "read"), sent_to("whatsapp:+1", "sent", "delivered")])
    assert found.status == "DELIVERED"
    recipients = Recipients(waiting=0, sent=0, delivered=1, read=1, uncertain=0, failed=0)
    assert found.channel_delivery == {"whatsapp": Delivery("DELIVERED", recipients)}


def test_a_failure_shows_when_nothing_is_on_its_way_there_any_more() -> None:
    failed = sent_to(LEO, "failed", reason="the number is not on WhatsApp")
    waiting = of([failed, sent_to("whatsapp:+1", "queued")])
    assert waiting.channel_delivery["whatsapp"].status == "SENT"
    over = of([failed, sent_to("whatsapp:+1", "sent", "read")])
    recipients = Recipients(waiting=0, sent=0, delivered=0, read=1, uncertain=0, failed=1)
    assert over.channel_delivery["whatsapp"] == Delivery(
        "FAILED", recipients, "the number is not on WhatsApp"
    )
    assert over.status == "SENT"  # somebody has it, and somebody will never have


def test_what_may_have_been_sent_is_said_to_be_uncertain() -> None:
    found = of([sent_to(LEO, "unknown", "delivered"), sent_to("whatsapp:+1", "unknown")])
    counts = found.channel_delivery["whatsapp"].recipients
    assert counts == Recipients(waiting=0, sent=0, delivered=1, read=0, uncertain=1, failed=0)
    uncertain = [(step.status, step.uncertain) for step in found.status_history[1:]]
    assert uncertain == [("SENT", True), ("SENT", True), ("DELIVERED", UNSET)]


def test_the_reason_of_what_is_tried_again_is_not_told() -> None:
    found = of([sent_to(LEO, "queued", reason="busy")])
    assert found.channel_delivery["whatsapp"].reason is UNSET


# --- several parts


def test_a_text_in_parts_has_come_as_far_as_its_last_part() -> None:
    parts = [
        sent_to(LEO, "sent", "delivered", "read", part=0, at=2000),
        sent_to(LEO, "sent", "delivered", part=1, at=2500),
    ]
    found = of(parts)
    assert found.channel_delivery["whatsapp"].recipients == Recipients(0, 0, 1, 0, 0, 0)
    steps = [(step.status, step.timestamp) for step in found.status_history[1:]]
    assert steps == [("SENT", moment(2500)), ("DELIVERED", moment(3500))]


def test_a_text_of_which_a_part_failed_has_failed_when_the_others_have_ended() -> None:
    parts = [sent_to(LEO, "failed", part=0), sent_to(LEO, "queued", part=1)]
    assert (of(parts).status, history(of(parts))) == ("SENT", [])
    parts[1] = sent_to(LEO, "sent", part=1, at=9000)
    assert (of(parts).status, history(of(parts))) == ("FAILED", [("FAILED", LEO, "whatsapp")])


# --- several channels


def test_the_whole_is_as_far_as_with_the_last_over_all_channels() -> None:
    users = [mark("bob", 5, 5)]
    found = of([sent_to(LEO, "sent", "delivered")], users)
    assert found.status == "DELIVERED"
    assert found.channel_delivery["internal"] == Delivery("READ")
    read = of([sent_to(LEO, "sent", "read")], users)
    assert read.status == "READ"


def test_the_whole_has_failed_when_it_reaches_nobody() -> None:
    assert of([sent_to(LEO, "failed"), sent_to("whatsapp:+1", "dropped")]).status == "FAILED"
    assert of([sent_to(LEO, "failed")], [mark("bob", 0, 0)]).status == "SENT"
    assert of([sent_to(LEO, "failed")], [mark("bob", 5, 5)]).status == "SENT"


def test_a_user_who_is_linked_to_a_channel_has_it_by_either_way() -> None:
    failed = of([sent_to("bob", "failed")], [mark("bob", 5, 5)])
    assert (failed.status, failed.channel_delivery["whatsapp"].status) == ("READ", "FAILED")
    elsewhere = of([sent_to("bob", "sent", "read")], [mark("bob", 0, 0)])
    assert (elsewhere.status, elsewhere.channel_delivery["internal"].status) == ("READ", "SENT")
    assert history(elsewhere) == [("SENT", "bob", "whatsapp"), ("READ", "bob", "whatsapp")]


def test_the_watermark_of_somebody_on_a_channel_is_not_counted_beside_the_delivery() -> None:
    found = of([sent_to(LEO, "sent")], [mark(LEO, 5, 5)])
    assert (found.status, list(found.channel_delivery)) == ("SENT", ["whatsapp"])
    assert history(found) == [("SENT", LEO, "whatsapp")]


def test_a_message_that_did_not_go_to_a_channel_has_nothing_of_it() -> None:
    found = of([], [mark(LEO, 5, 5), mark("bob", 5, 0)])
    assert (found.status, found.channel_delivery) == (
        "DELIVERED",
        {"internal": Delivery("DELIVERED")},
    )


def test_watermarks_tell_of_channels_when_deliveries_are_forgotten() -> None:
    found = of([], [mark("telegram:support:1", 5, 5), mark(LEO, 0, 0)], forgotten=True)
    assert {name: each.status for name, each in found.channel_delivery.items()} == {
        "telegram:support": "READ",
        "whatsapp": "SENT",
    }
    assert found.status == "SENT"


def test_a_message_that_came_in_tells_through_what() -> None:
    came = StoredEvent(CONVERSATION, 5, new_id(), LEO, "message", 1000, b"", channel="whatsapp")
    found = report(came, [mark("ana", 0, 0)], [], forgotten=False)
    (first,) = found.status_history
    assert (first.user, first.channel) == (LEO, "whatsapp")
    assert found.channel_delivery == {"internal": Delivery("SENT")}


# --- anything

STATES = st.sampled_from(sorted(get_args(DeliveryState)))
ADDRESSES = st.sampled_from([LEO, "whatsapp:+1", "bob"])
ACCOUNTS = st.sampled_from(["whatsapp", "telegram"])
PLACES = st.tuples(ACCOUNTS, ADDRESSES, st.integers(0, 2))
PROGRESS = st.dictionaries(PLACES, st.lists(STATES, min_size=1, max_size=4), max_size=6).map(
    lambda found: [
        sent_to(address, *states, account=account, part=part)
        for (account, address, part), states in found.items()
    ]
)
ORDER = ["FAILED", "SENT", "DELIVERED", "READ"]


@given(progress=PROGRESS, recv=st.booleans(), read=st.booleans())
def test_whatever_became_of_deliveries_the_report_holds_together(
    progress: list[Progress], recv: bool, read: bool
) -> None:
    receipts = [mark("bob", 5 * (recv or read), 5 * read)]
    found = of(progress, receipts)
    assert set(found.channel_delivery) == {"internal", *(each.account for each in progress)}
    times = [step.timestamp for step in found.status_history]
    assert times == sorted(times)
    for account, delivery in found.channel_delivery.items():
        if isinstance(delivery.recipients, Recipients):
            of_account = {each.address for each in progress if each.account == account}
            counts = delivery.recipients
            total = sum(getattr(counts, name) for name in Recipients.__struct_fields__)
            assert total == len(of_account)
            assert (delivery.status == "FAILED") == (counts.failed > 0 and not counts.waiting)
    # Bob is there himself, so that it can always reach somebody.
    assert found.status != "FAILED"
    if found.status != "SENT":
        least = found.status
        addresses = {each.address for each in progress}
        for address in addresses - {"bob"}:
            mine = [each for each in progress if each.address == address]
            ways = [
                min(ORDER.index(each.state.upper()) for each in mine if each.account == account)
                for account in {each.account for each in mine}
                if all(each.state.upper() in ORDER for each in mine if each.account == account)
            ]
            assert max(ways) >= ORDER.index(least)


# --- of a node


async def status(there: World, user: str, message: str) -> Any:
    api = Api(build(there.node, GROUPS, version="1"), there.node, user)
    answer = await api.ask("GET", f"/v1/messages/{message}/status")
    assert answer.status == 200, answer.body
    return answer.json


async def said(there: World, conversation: str, text: str = "hello") -> str:
    """A message of Ana's that had its time to go out; its id."""
    ana, id_ = await there.person("ana"), new_id()
    await ana.say(Send(rid=1, conv=conversation, id=id_, body=TextBody(text)))
    await there.soon()
    return id_


async def test_a_message_to_somebody_on_a_channel_is_delivered_and_read_there(
    autojump_clock: MockClock,
) -> None:
    async with world() as there:
        id_ = await said(there, await there.with_bea())
        delivered = await status(there, "ana", id_)
        assert delivered["status"] == "DELIVERED"
        there.stage.read("bea")
        await there.soon()
        read = await status(there, "ana", id_)
        assert read["status"] == "READ"
        assert [
            (each["status"], each["user"], each["channel"]) for each in read["status_history"]
        ] == [
            ("SENT", "ana", None),
            ("SENT", BEA, "loopback"),
            ("DELIVERED", BEA, "loopback"),
            ("READ", BEA, "loopback"),
        ]
        assert list(read["channel_delivery"]) == ["loopback"]
        assert read["channel_delivery"]["loopback"]["status"] == "READ"


async def test_a_group_is_told_of_each_channel(autojump_clock: MockClock) -> None:
    async with world() as there:
        id_ = await said(there, await there.with_bea("group", bob="member"))
        found = await status(there, "bob", id_)
        assert {name: each["status"] for name, each in found["channel_delivery"].items()} == {
            "internal": "SENT",
            "loopback": "DELIVERED",
        }
        assert found["status"] == "SENT"


async def test_a_message_that_failed_tells_why_until_it_is_sent_again(
    autojump_clock: MockClock,
) -> None:
    async with world() as there:
        there.stage.faults.append(Fault(Refused("too rude")))
        id_ = await said(there, await there.with_bea())
        failed = await status(there, "ana", id_)
        assert (failed["status"], failed["status_history"][-1]["status"]) == ("FAILED", "FAILED")
        assert failed["channel_delivery"]["loopback"]["reason"] == "too rude"
        (letter,) = await there.stores.deliveries.listed(["failed"], account=None, after=0, limit=9)
        await there.stores.deliveries.retry([letter.id], SHELL)
        await there.soon()
        mended = await status(there, "ana", id_)
        assert mended["status"] == "DELIVERED"
        assert "reason" not in mended["channel_delivery"]["loopback"]
        steps = [each["status"] for each in mended["status_history"]]
        assert steps == ["SENT", "FAILED", "SENT", "DELIVERED"]


async def test_a_message_of_which_nobody_knows_is_shown_so(autojump_clock: MockClock) -> None:
    async with world(loopback=LoopbackSettings(delivers=False)) as there:
        there.stage.faults.append(Fault(UnknownOutcome("no answer"), acted=False))
        found = await status(there, "ana", await said(there, await there.with_bea()))
        assert found["status"] == "SENT"
        assert found["channel_delivery"]["loopback"]["recipients"]["uncertain"] == 1
        assert found["status_history"][-1]["uncertain"] is True


async def test_what_became_of_an_edit_is_not_counted_with_the_message(
    autojump_clock: MockClock,
) -> None:
    async with world() as there:
        conversation = await there.with_bea()
        id_ = await said(there, conversation)
        there.stage.read("bea")
        await there.soon()
        api = Api(build(there.node, GROUPS, version="1"), there.node, "ana")
        payload = {"payload": {"type": "text", "text": "Hello"}}
        assert (await api.ask("PATCH", f"/v1/messages/{id_}", payload)).status == 200
        await there.soon()
        (edit,) = await there.progress(conversation, 2)
        assert edit.state == "sent"
        assert (await status(there, "ana", id_))["status"] == "READ"


async def test_watermarks_tell_when_deliveries_may_be_forgotten(autojump_clock: MockClock) -> None:
    async with world(channel_kept=60) as there:
        id_ = await said(there, await there.with_bea())
        there.stage.read("bea")
        await there.soon()
        autojump_clock.jump(100)
        while await there.stores.deliveries.trim(60, 100):
            pass
        found = await status(there, "ana", id_)
        assert (found["status"], found["channel_delivery"]["loopback"]["status"]) == (
            "READ",
            "READ",
        )
