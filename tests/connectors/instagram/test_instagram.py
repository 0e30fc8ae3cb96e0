"""Instagram against a made-up Meta, in what the conformance kit does not ask of every channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chat4all_connectors.errors import NotSupported, Refused, WindowClosed
from chat4all_connectors.incoming import Contact, Receipt
from chat4all_connectors.instagram import Instagram, InstagramSettings
from chat4all_connectors.outgoing import FileMessage, Message
from chat4all_connectors.testing.uploads import MemoryUpload
from tests.connectors.meta.playing import ACCOUNTS, BASICS, PEOPLE, Played, open_home

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_connectors.incoming import Event
    from tests.fakes.meta.client import MetaControl

pytestmark = pytest.mark.xdist_group("meta")

ANA = PEOPLE["instagram"]
ACCOUNT = ACCOUNTS["instagram"]
DAY = 24 * 3600


def connector(meta: MetaControl, **more: Any) -> Instagram:
    settings = InstagramSettings(**BASICS, base_url=meta.base_url, account_id=ACCOUNT.id, **more)
    return Instagram(settings)


@pytest.fixture
async def instagram(meta: MetaControl) -> AsyncIterator[Instagram]:
    made = connector(meta)
    yield made
    await made.disconnect()


@pytest.fixture
async def ana(meta: MetaControl, instagram: Instagram) -> AsyncIterator[Played]:
    async with open_home(meta, "instagram", instagram) as home:
        played = Played(meta, "instagram", home)
        await played.appear(receipts="none")
        await instagram.connect()
        yield played


async def events(played: Played, instagram: Instagram) -> list[Event]:
    calls = await played.calls()
    return [event for call in calls for event in instagram.handle_webhook(call).events]


def picture(**more: Any) -> FileMessage:
    file = MemoryUpload(b"picture", name="Prüfung.png", mime="image/png")
    return FileMessage(chat=ANA, file=file, kind="image", **more)


async def test_with_a_pages_token_files_are_uploaded(
    meta: MetaControl, instagram: Instagram, ana: Played
) -> None:
    by_page = connector(meta, page_id=ACCOUNT.page_id)
    assert not by_page.capabilities.media_by_url
    assert (await by_page.connect()).id == ACCOUNT.page_id
    await by_page.send_file(picture())
    assert [seen.file for seen in await ana.seen()] == [b"picture"]
    paths = [call["path"] for call in await meta.calls()]
    assert paths[-2:] == [
        f"/v26.0/{ACCOUNT.page_id}/message_attachments",
        f"/v26.0/{ACCOUNT.page_id}/messages",
    ]
    await by_page.disconnect()


async def test_with_an_accounts_token_files_need_an_address(
    instagram: Instagram, ana: Played
) -> None:
    assert instagram.capabilities.media_by_url
    with pytest.raises(NotSupported):
        await instagram.send_file(picture())
    with pytest.raises(Refused):
        await instagram.send_file(picture(url=await ana.publish(b"%PDF", mime="application/pdf")))
    assert await ana.seen() == []


async def test_outside_the_window_nothing_is_sent(
    meta: MetaControl, instagram: Instagram, ana: Played
) -> None:
    await meta.later(DAY + 60)
    with pytest.raises(WindowClosed) as caught:
        await instagram.send_message(Message(chat=ANA, text="hello"))
    assert caught.value.code == "10/2534022"
    by_people = connector(meta, human_agent=True)
    assert by_people.capabilities.window == 7 * DAY
    await by_people.send_message(Message(chat=ANA, text="hello"))
    await by_people.disconnect()


async def test_a_text_is_limited_in_bytes(instagram: Instagram, ana: Played) -> None:
    assert instagram.capabilities.text.fits("é" * 500)
    assert not instagram.capabilities.text.fits("é" * 501)
    with pytest.raises(Refused):
        await instagram.send_message(Message(chat=ANA, text="é" * 501))


async def test_a_person_has_a_name_and_a_user_name(instagram: Instagram, ana: Played) -> None:
    assert await instagram.profile(ANA) == Contact(id=ANA, name="Ana Silva", handle="ana")
    await ana.appear(wrote_at=None)
    assert await instagram.profile(ANA) is None


async def test_what_was_read_is_told_by_message_and_echoes_are_left_out(
    instagram: Instagram, ana: Played
) -> None:
    sent = await instagram.send_message(Message(chat=ANA, text="hello", reference="ref"))
    assert await events(ana, instagram) == []
    await ana.read()
    [receipt] = await events(ana, instagram)
    assert isinstance(receipt, Receipt)
    assert (receipt.status, receipt.message, receipt.watermark) == ("read", sent.message, None)


@pytest.mark.parametrize(
    ("mime", "size", "kind"),
    [
        ("image/png", 8_000_000, "image"),
        ("image/png", 8_000_001, None),
        ("image/gif", 10, None),
        ("audio/wav", 25_000_000, "audio"),
        ("video/webm", 25_000_001, None),
        ("application/pdf", 10, "document"),
        ("text/plain", 10, None),
    ],
)
async def test_some_files_are_taken(
    instagram: Instagram, mime: str, size: int, kind: str | None
) -> None:
    limit = instagram.capabilities.media_for(mime, size)
    assert (limit.kind if limit else None) == kind
