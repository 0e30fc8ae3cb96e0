"""Messenger against a made-up Meta, in what the conformance kit does not ask of every channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chat4all_connectors.errors import (
    Refused,
    Transient,
    UnknownOutcome,
    Unreachable,
    WindowClosed,
)
from chat4all_connectors.incoming import Contact, Receipt, Received
from chat4all_connectors.messenger import Messenger, MessengerSettings
from chat4all_connectors.outgoing import FileMessage, Message
from chat4all_connectors.testing.uploads import MemoryUpload
from tests.connectors.meta.playing import ACCOUNTS, BASICS, PEOPLE, Played, open_home
from tests.fakes.meta.failing import Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_connectors.incoming import Event
    from tests.fakes.meta.client import MetaControl

pytestmark = pytest.mark.xdist_group("meta")

ANA = PEOPLE["messenger"]
PAGE = ACCOUNTS["messenger"].id
DAY = 24 * 3600


def connector(meta: MetaControl, **more: Any) -> Messenger:
    return Messenger(MessengerSettings(**BASICS, base_url=meta.base_url, page_id=PAGE, **more))


@pytest.fixture
async def messenger(meta: MetaControl) -> AsyncIterator[Messenger]:
    made = connector(meta)
    yield made
    await made.disconnect()


@pytest.fixture
async def ana(meta: MetaControl, messenger: Messenger) -> AsyncIterator[Played]:
    async with open_home(meta, "messenger", messenger) as home:
        played = Played(meta, "messenger", home)
        await played.appear(receipts="none")
        await messenger.connect()
        yield played


async def events(played: Played, messenger: Messenger) -> list[Event]:
    calls = await played.calls()
    return [event for call in calls for event in messenger.handle_webhook(call).events]


def hello(**more: str) -> Message:
    return Message(chat=ANA, text="hello", **more)


async def test_the_page_is_subscribed_to_if_it_is_to_anything(meta: MetaControl) -> None:
    for fields in (("messages",), ()):
        subscribing = connector(meta, subscribed_fields=fields)
        assert (await subscribing.connect()).id == PAGE
        await subscribing.disconnect()
    paths = [call["path"].removeprefix(f"/v26.0/{PAGE}") for call in await meta.calls()]
    assert paths == ["", "/subscribed_apps", ""]


async def test_an_echo_with_its_reference_settles_what_was_in_doubt(
    meta: MetaControl, messenger: Messenger, ana: Played
) -> None:
    await meta.fault(Fault(kind="drop", path="/messages"))
    with pytest.raises(UnknownOutcome):
        await messenger.send_message(hello(reference="ref-7"))
    [receipt] = await events(ana, messenger)
    assert isinstance(receipt, Receipt)
    assert (receipt.status, receipt.reference) == ("sent", "ref-7")
    assert [seen.message for seen in await ana.seen()] == [receipt.message]


async def test_what_others_send_from_the_page_is_left_out(
    messenger: Messenger, ana: Played
) -> None:
    await messenger.send_message(hello())
    assert await events(ana, messenger) == []


async def test_outside_the_window_nothing_is_sent(
    meta: MetaControl, messenger: Messenger, ana: Played
) -> None:
    await meta.later(DAY + 60)
    with pytest.raises(WindowClosed) as caught:
        await messenger.send_message(hello())
    assert caught.value.code == "10/2018278"
    assert await ana.seen() == []


async def test_people_may_answer_for_a_week_if_the_app_may_say_so(
    meta: MetaControl, messenger: Messenger, ana: Played
) -> None:
    by_people = connector(meta, human_agent=True)
    assert by_people.capabilities.window == 7 * DAY
    assert messenger.capabilities.window == DAY
    await meta.later(6 * DAY)
    await by_people.send_message(hello())
    await meta.later(DAY)
    with pytest.raises(WindowClosed):
        await by_people.send_message(hello())
    await by_people.disconnect()


async def test_nobody_is_written_to_first(messenger: Messenger, ana: Played) -> None:
    await ana.appear(wrote_at=None)
    with pytest.raises(WindowClosed):
        await messenger.send_message(hello())
    with pytest.raises(Unreachable):
        await messenger.send_message(Message(chat="1", text="hello"))


async def test_a_person_has_a_name_once_they_wrote(messenger: Messenger, ana: Played) -> None:
    assert await messenger.profile(ANA) == Contact(id=ANA, name="Ana Silva")
    await ana.appear(wrote_at=None)
    assert await messenger.profile(ANA) is None
    assert await messenger.profile("1") is None


async def test_a_profile_that_can_not_be_asked_for_now_is_no_person_without_one(
    meta: MetaControl, messenger: Messenger, ana: Played
) -> None:
    await meta.fault(Fault(kind="graph_error", code=2, path=ANA))
    with pytest.raises(Transient):
        await messenger.profile(ANA)


async def test_what_is_answered_or_reacted_to_is_the_whole_message(
    meta: MetaControl, messenger: Messenger, ana: Played
) -> None:
    mid = await ana.send(b"picture", mime="image/png", name="a.png", caption="look", count=3)
    told = [event for event in await events(ana, messenger) if isinstance(event, Received)]
    assert [event.message for event in told] == [mid, f"{mid}#1", f"{mid}#2"]
    await messenger.send_message(hello(reply_to=told[2].message))
    await messenger.react(ANA, told[1].message, "❤")
    shown = await meta.shown("messenger")
    assert [entry.reply_to for entry in shown] == [mid, mid]


async def test_typing_and_reading_are_shown(
    meta: MetaControl, messenger: Messenger, ana: Played
) -> None:
    await messenger.typing(ANA, None)
    await messenger.mark_read(ANA, "any")
    assert [entry.kind for entry in await meta.shown("messenger")] == ["typing", "seen"]


async def test_an_upload_whose_answer_is_lost_may_be_repeated(
    meta: MetaControl, messenger: Messenger, ana: Played
) -> None:
    file = MemoryUpload(b"content", name="a.png", mime="image/png")
    message = FileMessage(chat=ANA, file=file, kind="image", reply_to=None, reference="ref")
    await meta.fault(Fault(kind="drop", path="/message_attachments"))
    with pytest.raises(Transient):
        await messenger.send_file(message)
    await messenger.send_file(message)
    assert len(await ana.seen()) == 1


async def test_a_file_of_another_type_than_was_said_is_refused(
    messenger: Messenger, ana: Played
) -> None:
    file = MemoryUpload(b"content", name="a.txt", mime="text/plain")
    with pytest.raises(Refused) as caught:
        await messenger.send_file(FileMessage(chat=ANA, file=file, kind="image"))
    assert caught.value.code == "100/2018047"


async def test_a_file_has_the_type_that_its_kind_is_called(
    meta: MetaControl, messenger: Messenger, ana: Played
) -> None:
    limit = messenger.capabilities.media_for("text/csv", 10)
    assert limit is not None
    file = MemoryUpload(b"a,b", name="a.csv", mime="text/csv")
    await messenger.send_file(FileMessage(chat=ANA, file=file, kind=limit.kind))
    assert [entry.type for entry in await meta.shown("messenger")] == ["file"]
