"""What holds for every connector: how it tells what people do."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import pytest

from chat4all_connectors.incoming import (
    Deleted,
    Edited,
    Event,
    Reachability,
    Reacted,
    Receipt,
    Received,
)
from chat4all_connectors.outgoing import Message

from .provider import NotOffered, offered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .provider import Subject

E = TypeVar("E")

CENTURY: Final = range(946_684_800_000, 4_102_444_800_000)
"""From 2000 to 2100: times are in milliseconds."""


async def happened(subject: Subject) -> list[Event]:
    """What the connector tells of what was done since the last time."""
    if subject.connector.polls:
        return list((await subject.connector.poll(None)).events)
    calls = await subject.provider.calls()
    events = [event for call in calls for event in subject.connector.handle_webhook(call).events]
    return list(events)


def only(type_: type[E], events: Sequence[object]) -> list[E]:
    """Those of one type, all of which can be kept as JSON."""
    kept = msgspec.json.decode(msgspec.json.encode(events), type=list[Event])
    assert kept == list(events)
    return [event for event in events if isinstance(event, type_)]


class IncomingChecks:
    """What people do is told, once and in its order."""

    async def test_a_text_that_comes_is_told(self, subject: Subject) -> None:
        said = await subject.provider.say("olá\n<b>世界</b> 👩‍👩‍👧")
        [event] = only(Received, await happened(subject))
        assert (event.chat, event.message) == (subject.provider.chat, said)
        assert (event.text, event.media, event.group) == ("olá\n<b>世界</b> 👩‍👩‍👧", None, None)
        assert event.sender.id
        assert event.key
        assert event.at in CENTURY

    async def test_who_writes_can_be_answered_and_told_of(self, subject: Subject) -> None:
        await subject.provider.say("hello")
        [event] = only(Received, await happened(subject))
        await subject.connector.send_message(Message(chat=event.chat, text="hi"))
        assert [seen.text for seen in await subject.provider.seen()] == ["hi"]
        profile = await subject.connector.profile(event.sender.id)
        assert profile is None or profile.id == event.sender.id

    async def test_each_thing_has_a_key_of_its_own_and_keeps_their_order(
        self, subject: Subject
    ) -> None:
        for text in ("1", "2", "3"):
            await subject.provider.say(text)
        events = only(Received, await happened(subject))
        assert [event.text for event in events] == ["1", "2", "3"]
        assert len({event.key for event in events}) == 3

    async def test_a_reply_that_comes_names_its_message(self, subject: Subject) -> None:
        sent = await subject.connector.send_message(
            Message(chat=subject.provider.chat, text="a question")
        )
        await offered(subject.provider.say("an answer", reply_to=sent.message))
        events = only(Received, await happened(subject))
        assert [event.reply_to for event in events] == [sent.message]

    @pytest.mark.parametrize(
        ("mime", "name"), [("image/jpeg", "photo.jpg"), ("application/pdf", "paper.pdf")]
    )
    async def test_a_file_that_comes_can_be_fetched(
        self, subject: Subject, mime: str, name: str
    ) -> None:
        content = bytes(range(256)) * 400
        await offered(subject.provider.send(content, mime=mime, name=name, caption="look"))
        [event] = only(Received, await happened(subject))
        assert event.text == "look"
        assert event.media is not None
        assert event.media.size in (len(content), None)
        assert event.media.mime in (mime, None)
        for _ in range(2):
            async with (
                subject.connector.download(event.media) as download,
                aclosing(download) as pieces,
            ):
                assert b"".join([piece async for piece in pieces]) == content

    async def test_an_edit_that_comes_is_told(self, subject: Subject) -> None:
        said = await subject.provider.say("frist")
        await offered(subject.provider.edit(said, "first"))
        [event] = only(Edited, await happened(subject))
        assert (event.chat, event.message, event.text) == (subject.provider.chat, said, "first")

    async def test_a_delete_that_comes_is_told(self, subject: Subject) -> None:
        said = await subject.provider.say("gone")
        await offered(subject.provider.delete(said))
        [event] = only(Deleted, await happened(subject))
        assert (event.chat, event.message) == (subject.provider.chat, said)

    async def test_a_reaction_that_comes_is_told(self, subject: Subject) -> None:
        sent = await subject.connector.send_message(
            Message(chat=subject.provider.chat, text="look")
        )
        await offered(subject.provider.react(sent.message, "❤"))
        await offered(subject.provider.react(sent.message, None))
        events = only(Reacted, await happened(subject))
        assert [(event.message, event.emoji) for event in events] == [
            (sent.message, "❤"),
            (sent.message, None),
        ]
        assert len({event.key for event in events}) == 2

    async def test_receipts_that_come_are_told(self, subject: Subject) -> None:
        able = subject.connector.capabilities
        if able.read == "none":
            pytest.skip("no receipts")
        sent = await subject.connector.send_message(
            Message(chat=subject.provider.chat, text="look", reference="ref-1")
        )
        await offered(subject.provider.read())
        receipts = only(Receipt, await happened(subject))
        statuses = [receipt.status for receipt in receipts]
        assert statuses[-1] == "read"
        assert ("delivered" in statuses) == (able.delivered != "none")
        for receipt in receipts:
            assert (receipt.message is None) != (receipt.watermark is None)
            assert receipt.message in (sent.message, None)
            assert receipt.reference in ("ref-1", None)
            assert receipt.watermark is None or receipt.watermark in CENTURY
        assert len({receipt.key for receipt in receipts}) == len(receipts)

    async def test_whoever_blocks_us_is_told(self, subject: Subject) -> None:
        await offered(subject.provider.block())
        try:
            events = only(Reachability, await happened(subject))
        except NotOffered:
            pytest.skip("the provider does not tell")
        assert [(event.chat, event.reachable) for event in events] in (
            [],  # some tell only when something is sent
            [(subject.provider.chat, False)],
        )
