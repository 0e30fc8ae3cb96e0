from __future__ import annotations

from typing import Any

import msgspec
import pytest

from chat4all_connectors.incoming import (
    AccountNotice,
    ChatMoved,
    Contact,
    Deleted,
    Edited,
    Event,
    Reacted,
    Received,
)
from chat4all_connectors.meta.envelope import Unreadable
from chat4all_connectors.whatsapp import wire
from chat4all_connectors.whatsapp.messages import events

ANA = {"profile": {"name": "Ana", "username": "@ana.s"}, "wa_id": "5511999", "user_id": "BR.1"}


def told(message: dict[str, Any], *people: dict[str, Any]) -> Event:
    whole = {"id": "wamid.1", "timestamp": "1749416383", **message}
    if "from" not in whole and "from_user_id" not in whole:
        whole["from"] = "5511999"
    read = msgspec.convert(whole, wire.Message)
    [event] = events(read, msgspec.convert(people, list[wire.Person]))
    return event


def received(message: dict[str, Any], *people: dict[str, Any]) -> Received:
    event = told(message, *people)
    assert isinstance(event, Received)
    return event


SENDER = Contact(id="+5511999")
AT = 1_749_416_383_000
TEXT = {"type": "text", "text": {"body": "olá"}}


def test_a_text() -> None:
    event = received({**TEXT, "context": {"from": "1555", "id": "wamid.0"}}, ANA)
    assert (event.chat, event.message, event.text) == ("+5511999", "wamid.1", "olá")
    assert (event.reply_to, event.at, event.group) == ("wamid.0", 1749416383000, None)
    assert event.key == "message:wamid.1"


def test_a_person_is_known_by_all_that_an_update_has_of_them() -> None:
    sender = received(TEXT, ANA).sender
    assert (sender.id, sender.aliases) == ("+5511999", ("BR.1",))
    assert (sender.name, sender.handle) == ("Ana", "ana.s")


@pytest.mark.parametrize(
    "message", [{"from_user_id": "BR.1"}, {"from": "BR.1"}, {"from": "", "from_user_id": "BR.1"}]
)
def test_a_person_who_hides_their_number_is_known_by_their_user_id(
    message: dict[str, Any],
) -> None:
    hidden = {"profile": {"name": "Ana"}, "user_id": "BR.1"}
    event = received({**TEXT, **message}, hidden)
    assert (event.chat, event.sender.id, event.sender.aliases) == ("BR.1", "BR.1", ())
    assert event.sender.name == "Ana"


def test_who_is_named_beside_a_message_is_its_sender_if_it_names_none() -> None:
    event = received({**TEXT, "from": "", "from_user_id": ""}, ANA)
    assert event.chat == "+5511999"
    with pytest.raises(Unreadable):
        received({**TEXT, "from": ""})


def test_only_who_wrote_it_is_its_sender() -> None:
    bob = {"profile": {"name": "Bob"}, "wa_id": "5522888"}
    assert received(TEXT, bob, ANA).sender.name == "Ana"
    assert received(TEXT, bob).sender.name is None


def test_a_group_is_a_chat_of_its_own() -> None:
    event = received({**TEXT, "group_id": "Y2FwaV9n"}, ANA)
    assert (event.chat, event.sender.id, event.group) == ("Y2FwaV9n", "+5511999", "WhatsApp group")


def test_what_was_forwarded_quotes_nothing() -> None:
    assert received({**TEXT, "context": {"forwarded": True}}).reply_to is None


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("image", "image"),
        ("video", "video"),
        ("document", "document"),
        ("audio", "audio"),
        ("sticker", "image"),
    ],
)
def test_a_file(type_: str, kind: str) -> None:
    file = {"id": "123", "mime_type": "a/b", "sha256": "x=", "caption": "see", "filename": "f"}
    event = received({"type": type_, type_: file})
    assert event.media is not None
    assert (event.media.ref, event.media.kind, event.media.mime) == ("123", kind, "a/b")
    assert (event.media.name, event.text, event.note) == ("f", "see", "")


@pytest.mark.parametrize(
    ("message", "note"),
    [
        (
            {"type": "location", "location": {"latitude": -23.5, "longitude": -46, "name": "Sé"}},
            "a location: Sé (-23.5, -46)",
        ),
        (
            {
                "type": "contacts",
                "contacts": [
                    {"name": {"formatted_name": "Bob"}, "phones": [{"phone": "+55 22"}, {}]},
                    {"name": {"formatted_name": "Eve"}},
                ],
            },
            "a contact: Bob, +55 22; a contact: Eve",
        ),
        ({"type": "contacts"}, "a contact, which can't be shown here"),
        ({"type": "order", "order": {}}, "an order, which can't be shown here"),
        (
            {"type": "interactive", "interactive": {"type": "nfm_reply", "nfm_reply": {}}},
            "an answer to a form, which can't be shown here",
        ),
        (
            {"type": "unsupported", "unsupported": {"type": "poll"}, "errors": [{"code": 131051}]},
            "a message of the kind poll, which can't be shown here",
        ),
        ({"type": "unsupported"}, "a message, which can't be shown here"),
        (
            {"type": "unsupported", "errors": [{"code": 131052}]},
            "a file that WhatsApp does not hand over, which can't be shown here",
        ),
        ({"type": "h0logram <b>"}, "a message, which can't be shown here"),
    ],
)
def test_what_can_not_be_carried_is_noted(message: dict[str, Any], note: str) -> None:
    event = received(message)
    assert (event.text, event.note, event.media) == ("", note, None)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "button", "button": {"text": "Yes", "payload": "YES"}},
        {"type": "interactive", "interactive": {"type": "b", "button_reply": {"title": "Yes"}}},
        {"type": "interactive", "interactive": {"type": "l", "list_reply": {"title": "Yes"}}},
    ],
)
def test_a_choice_is_a_text(message: dict[str, Any]) -> None:
    assert received(message).text == "Yes"


@pytest.mark.parametrize(
    ("emoji", "shown"), [({"emoji": "👍"}, "👍"), ({}, None), ({"emoji": ""}, None)]
)
def test_a_reaction(emoji: dict[str, str], shown: str | None) -> None:
    event = told({"type": "reaction", "reaction": {"message_id": "wamid.0", **emoji}})
    assert event == Reacted(
        key="message:wamid.1",
        chat="+5511999",
        sender=SENDER,
        message="wamid.0",
        at=AT,
        emoji=shown,
    )


@pytest.mark.parametrize(
    ("new", "text"),
    [
        ({"type": "text", "text": {"body": "new"}}, "new"),
        ({"type": "image", "image": {"id": "1", "caption": "new"}}, "new"),
        ({"type": "image", "image": {"id": "1"}}, ""),
    ],
)
def test_an_edit(new: dict[str, Any], text: str) -> None:
    edit = {"original_message_id": "wamid.0", "message": new}
    event = told({"type": "edit", "edit": edit})
    assert event == Edited(
        key="message:wamid.1",
        chat="+5511999",
        sender=SENDER,
        message="wamid.0",
        at=AT,
        text=text,
    )


def test_a_message_that_was_taken_back() -> None:
    event = told({"type": "revoke", "revoke": {"original_message_id": "wamid.0"}})
    assert event == Deleted(
        key="message:wamid.1", chat="+5511999", message="wamid.0", at=AT, sender=SENDER
    )


def test_another_number_is_another_chat() -> None:
    system = {"type": "user_changed_number", "body": "…", "wa_id": "5511888"}
    event = told({"type": "system", "system": system})
    assert event == ChatMoved(key="message:wamid.1", chat="+5511999", now="+5511888", at=AT)
    for other in ({"type": "other"}, {"wa_id": "5511999"}):
        news = told({"type": "system", "system": other})
        assert isinstance(news, AccountNotice)
        assert (news.key, news.at, news.severity) == ("message:wamid.1", AT, "info")


@pytest.mark.parametrize(
    "type_", ["text", "image", "location", "reaction", "edit", "revoke", "interactive", "system"]
)
def test_a_type_without_its_content_can_not_be_read(type_: str) -> None:
    with pytest.raises(Unreadable):
        told({"type": type_})
