"""WhatsApp against a made-up Meta, in what the conformance kit does not ask of every channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_connectors.errors import (
    Misconfigured,
    NotSupported,
    Refused,
    Transient,
    UnknownOutcome,
)
from chat4all_connectors.http import HttpSettings
from chat4all_connectors.incoming import AccountNotice, Receipt, Received
from chat4all_connectors.outgoing import FileMessage, Message, TemplateMessage
from chat4all_connectors.testing.uploads import MemoryUpload
from chat4all_connectors.whatsapp import WhatsApp, WhatsAppSettings
from tests.connectors.meta.playing import ACCOUNTS, BASICS, PEOPLE, Played, open_home
from tests.fakes.meta import acts
from tests.fakes.meta.failing import Fault
from tests.fakes.meta.model import Group, beginning
from tests.fakes.meta.webhooks import Manner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_connectors.incoming import Event
    from tests.connectors.meta.playing import Home
    from tests.fakes.meta.client import MetaControl

pytestmark = pytest.mark.xdist_group("meta")

ANA = PEOPLE["whatsapp"]
NUMBER = ACCOUNTS["whatsapp"].id


@pytest.fixture
async def whatsapp(meta: MetaControl) -> AsyncIterator[WhatsApp]:
    connector = WhatsApp(WhatsAppSettings(**BASICS, base_url=meta.base_url, phone_number_id=NUMBER))
    yield connector
    await connector.disconnect()


@pytest.fixture
async def home(meta: MetaControl, whatsapp: WhatsApp) -> AsyncIterator[Home]:
    async with open_home(meta, "whatsapp", whatsapp) as home:
        yield home


@pytest.fixture
async def ana(meta: MetaControl, home: Home) -> Played:
    played = Played(meta, "whatsapp", home)
    await played.appear(receipts="none")
    return played


async def events(played: Played, whatsapp: WhatsApp) -> list[Event]:
    calls = await played.calls()
    return [event for call in calls for event in whatsapp.handle_webhook(call).events]


def hello(**more: str) -> Message:
    return Message(chat=ANA, text="hello", **more)


# --- its life


async def test_it_is_the_number_that_it_was_given(whatsapp: WhatsApp) -> None:
    identity = await whatsapp.connect()
    assert (identity.id, identity.name) == (NUMBER, "Café da Ana")


async def test_webhooks_are_subscribed_to_if_the_account_is_known(
    meta: MetaControl, whatsapp: WhatsApp
) -> None:
    await whatsapp.connect()
    assert [call["method"] for call in await meta.calls()] == ["GET"]
    settings = WhatsAppSettings(
        **BASICS,
        base_url=meta.base_url,
        phone_number_id=NUMBER,
        waba_id=ACCOUNTS["whatsapp"].entry_id,
    )
    subscribing = WhatsApp(settings)
    await subscribing.connect()
    assert (await meta.calls())[-1]["path"] == "/v26.0/102290129340398/subscribed_apps"
    await subscribing.disconnect()


async def test_a_number_of_poor_quality_is_degraded(meta: MetaControl, whatsapp: WhatsApp) -> None:
    account = beginning()["whatsapp"]
    account.quality_rating = "RED"
    await meta.account("whatsapp", account)
    assert (await whatsapp.health()).state == "degraded"


async def test_another_token_is_dead(meta: MetaControl) -> None:
    basics = {**BASICS, "access_token": "another"}
    wrong = WhatsApp(WhatsAppSettings(**basics, base_url=meta.base_url, phone_number_id=NUMBER))
    with pytest.raises(Misconfigured):
        await wrong.connect()
    assert (await wrong.health()).state == "dead"
    await wrong.disconnect()


# --- the window


async def test_outside_the_window_it_fails_later_and_says_so(
    meta: MetaControl, whatsapp: WhatsApp, ana: Played
) -> None:
    await meta.later(24 * 3600 + 60)
    accepted = await whatsapp.send_message(hello(reference="ref-1"))
    [failed] = await events(ana, whatsapp)
    assert isinstance(failed, Receipt)
    assert (failed.status, failed.failure) == ("failed", "window_closed")
    assert (failed.message, failed.reference) == (accepted.message, "ref-1")
    assert await ana.seen() == []


async def test_a_template_opens_a_conversation(
    meta: MetaControl, whatsapp: WhatsApp, ana: Played
) -> None:
    await ana.appear(wrote_at=None)
    assert ana.template is not None
    await whatsapp.send_template(ana.template)
    assert [seen.text for seen in await ana.seen()] == ["hello/pt_BR Ana"]


@pytest.mark.parametrize(
    ("name", "parameters"), [("hello", ()), ("hello", ("a", "b")), ("other", ())]
)
async def test_another_template_is_refused(
    whatsapp: WhatsApp, ana: Played, name: str, parameters: tuple[str, ...]
) -> None:
    template = TemplateMessage(chat=ANA, name=name, language="pt_BR", parameters=parameters)
    with pytest.raises(Refused):
        await whatsapp.send_template(template)


async def test_who_is_not_on_whatsapp_is_told_of_later(whatsapp: WhatsApp, ana: Played) -> None:
    await whatsapp.send_message(Message(chat="+4917600000000", text="hello"))
    [failed] = await events(ana, whatsapp)
    assert isinstance(failed, Receipt)
    assert (failed.status, failed.failure) == ("failed", "unreachable")


# --- who people are


async def test_who_hides_their_number_is_answered_by_their_user_id(
    whatsapp: WhatsApp, ana: Played
) -> None:
    await ana.appear(user_id="BR.1349", hides_phone=True, receipts="read")
    await ana.say("hi")
    [event] = await events(ana, whatsapp)
    assert isinstance(event, Received)
    assert (event.chat, event.sender.handle) == ("BR.1349", "ana")
    accepted = await whatsapp.send_message(Message(chat=event.chat, text="hello"))
    assert accepted.chat is None
    assert [seen.text for seen in await ana.seen()] == ["hello"]
    receipts = [e for e in await events(ana, whatsapp) if isinstance(e, Receipt)]
    assert [(e.status, e.chat) for e in receipts] == [
        ("sent", "BR.1349"),
        ("delivered", "BR.1349"),
        ("read", "BR.1349"),
    ]


async def test_a_group_is_written_to_and_answers(
    meta: MetaControl, whatsapp: WhatsApp, ana: Played
) -> None:
    await meta.group(Group(id="Y2FwaV9ncm91cA", members=[ANA]))
    await whatsapp.send_message(Message(chat="Y2FwaV9ncm91cA", text="all"))
    [shown] = await meta.shown("whatsapp")
    assert (shown.chat, shown.text) == ("Y2FwaV9ncm91cA", "all")
    write = acts.Write(channel="whatsapp", person=ANA, text="me", group="Y2FwaV9ncm91cA")
    said = await meta.act(write)
    [event] = await events(ana, whatsapp)
    assert isinstance(event, Received)
    assert (event.chat, event.sender.id, event.message) == ("Y2FwaV9ncm91cA", ANA, said)
    for call in (whatsapp.typing(event.chat, said), whatsapp.mark_read(event.chat, said)):
        with pytest.raises(NotSupported):
            await call


# --- typing and reading


async def test_typing_answers_a_message_and_marks_it_read(
    meta: MetaControl, whatsapp: WhatsApp, ana: Played
) -> None:
    said = await ana.say("hi")
    await whatsapp.typing(ANA, said)
    assert [entry.kind for entry in await meta.shown("whatsapp")] == ["seen", "typing"]
    with pytest.raises(NotSupported):
        await whatsapp.typing(ANA, None)


async def test_a_message_is_marked_read(meta: MetaControl, whatsapp: WhatsApp, ana: Played) -> None:
    said = await ana.say("hi")
    await whatsapp.mark_read(ANA, said)
    assert [(e.kind, e.id) for e in await meta.shown("whatsapp")] == [("seen", said)]


# --- files


async def test_the_address_of_a_file_is_asked_for_each_time(
    meta: MetaControl, whatsapp: WhatsApp, ana: Played
) -> None:
    await ana.send(b"picture", mime="image/png", name="a.png")
    [event] = await events(ana, whatsapp)
    assert isinstance(event, Received)
    assert event.media is not None
    for _ in range(2):
        async with whatsapp.download(event.media) as pieces:
            assert b"".join([piece async for piece in pieces]) == b"picture"
        await meta.later(3600)


async def test_a_file_that_is_gone_is_refused(
    meta: MetaControl, whatsapp: WhatsApp, ana: Played
) -> None:
    await ana.send(b"picture", mime="image/png", name="a.png")
    [event] = await events(ana, whatsapp)
    assert isinstance(event, Received)
    assert event.media is not None
    await meta.fault(Fault(kind="http", path="/_media", status=404))
    with pytest.raises(Refused):
        async with whatsapp.download(event.media):
            pass


def file(kind: str = "image", mime: str = "image/png", caption: str = "") -> FileMessage:
    upload = MemoryUpload(b"content", name="Prüfung.pdf", mime=mime)
    return FileMessage(chat=ANA, file=upload, kind=kind, caption=caption)  # type: ignore[arg-type]


async def test_a_document_has_its_name(meta: MetaControl, whatsapp: WhatsApp, ana: Played) -> None:
    await whatsapp.send_file(file("document", "application/pdf", "see"))
    [shown] = await meta.shown("whatsapp")
    assert shown.file is not None
    assert (shown.file["name"], shown.text) == ("Prüfung.pdf", "see")


async def test_a_sound_has_no_caption_and_nothing_is_uploaded_in_vain(
    meta: MetaControl, whatsapp: WhatsApp, ana: Played
) -> None:
    with pytest.raises(NotSupported):
        await whatsapp.send_file(file("audio", "audio/ogg", "see"))
    assert await meta.calls() == []


async def test_a_file_of_another_type_is_refused(whatsapp: WhatsApp, ana: Played) -> None:
    with pytest.raises(Refused):
        await whatsapp.send_file(file("document", "application/x-tar"))


@pytest.mark.parametrize("kind", ["drop", "garbage"])
async def test_an_upload_whose_answer_is_lost_may_be_repeated(
    meta: MetaControl, whatsapp: WhatsApp, ana: Played, kind: str
) -> None:
    await meta.fault(Fault(kind=kind, path="/media"))  # type: ignore[arg-type]
    with pytest.raises(Transient):
        await whatsapp.send_file(file())
    await whatsapp.send_file(file())
    assert len(await ana.seen()) == 1


# --- what is in doubt


@pytest.mark.parametrize("kind", ["drop", "garbage"])
async def test_a_status_with_its_reference_settles_what_was_in_doubt(
    meta: MetaControl, whatsapp: WhatsApp, ana: Played, kind: str
) -> None:
    await ana.appear(receipts="sent")
    await meta.fault(Fault(kind=kind, path="/messages"))  # type: ignore[arg-type]
    with pytest.raises(UnknownOutcome):
        await whatsapp.send_message(hello(reference="ref-7"))
    [receipt] = await events(ana, whatsapp)
    assert isinstance(receipt, Receipt)
    assert (receipt.status, receipt.reference) == ("sent", "ref-7")
    assert [seen.message for seen in await ana.seen()] == [receipt.message]


@pytest.mark.parametrize(("kind", "arrived"), [("silence", 1), ("deaf", 0)])
async def test_without_an_answer_nobody_knows(
    meta: MetaControl, ana: Played, kind: str, arrived: int
) -> None:
    settings = WhatsAppSettings(
        **BASICS,
        base_url=meta.base_url,
        phone_number_id=NUMBER,
        http=HttpSettings(read_seconds=0.01),
    )
    impatient = WhatsApp(settings)
    await meta.fault(Fault(kind=kind, path="/messages"))  # type: ignore[arg-type]
    with pytest.raises(UnknownOutcome):
        await impatient.send_message(hello())
    assert len(await ana.seen()) == arrived
    await impatient.disconnect()


async def test_a_reaction_whose_answer_is_lost_may_be_repeated(
    meta: MetaControl, whatsapp: WhatsApp, ana: Played
) -> None:
    said = await ana.say("hi")
    await meta.fault(Fault(kind="drop", path="/messages"))
    with pytest.raises(Transient):
        await whatsapp.react(ANA, said, "👍")


async def test_an_answer_without_an_id_is_in_doubt(
    meta: MetaControl, whatsapp: WhatsApp, ana: Played
) -> None:
    await meta.fault(
        Fault(kind="http", path="/messages", status=200, body='{"contacts":[],"messages":[]}')
    )
    with pytest.raises(UnknownOutcome):
        await whatsapp.send_message(hello())


# --- disorder


async def test_updates_that_come_late_twice_and_out_of_order_have_the_same_keys(
    meta: MetaControl, whatsapp: WhatsApp, ana: Played
) -> None:
    await meta.manner(Manner(hold=True, copies=2))
    for text in ("1", "2", "3"):
        await ana.say(text)
    assert await events(ana, whatsapp) == []
    await meta.release([2, 0, 1])
    told = [e for e in await events(ana, whatsapp) if isinstance(e, Received)]
    assert [e.text for e in told] == ["3", "3", "1", "1", "2", "2"]
    assert len({e.key for e in told}) == 3


async def test_many_updates_in_one_call_are_all_read(
    meta: MetaControl, whatsapp: WhatsApp, ana: Played
) -> None:
    await meta.manner(Manner(hold=True, batch=100))
    for number in range(10):
        await ana.say(f"{number}")
    await meta.act(acts.Raw(channel="whatsapp", update={"field": "messages", "value": {}}))
    await meta.release()
    [call] = await ana.calls()
    told = whatsapp.handle_webhook(call).events
    assert [type(event) for event in told] == [Received] * 10 + [AccountNotice]
