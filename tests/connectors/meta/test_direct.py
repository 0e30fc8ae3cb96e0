from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from chat4all_connectors.incoming import (
    AccountNotice,
    Contact,
    Deleted,
    Edited,
    Event,
    Reacted,
    Receipt,
    ReceiptStatus,
    Received,
)
from chat4all_connectors.meta.direct import updates
from chat4all_connectors.meta.envelope import Entry

US, ANA = "110000", "7001"
AT = 1_458_692_752_478


def told(*items: Any, account: str = US, standby: bool = False) -> list[Event]:
    raws = [Raw(json.dumps(item).encode()) for item in items]
    entry = Entry(US, standby=raws) if standby else Entry(US, messaging=raws)
    return list(updates(entry, account, standby=True, now=1))


def update(**what: Any) -> dict[str, Any]:
    return {"sender": {"id": ANA}, "recipient": {"id": US}, "timestamp": AT, **what}


def message(**what: Any) -> list[Event]:
    return told(update(message={"mid": "m_1", **what}))


def received(**what: Any) -> Received:
    [event] = message(**what)
    assert isinstance(event, Received)
    return event


def test_a_text_is_of_whom_it_is_and_when() -> None:
    event = received(text="olá", reply_to={"mid": "m_0"})
    assert (event.chat, event.sender.id, event.message) == (ANA, ANA, "m_1")
    assert (event.text, event.reply_to, event.at) == ("olá", "m_0", AT)
    assert event.key == "message:m_1"


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("image", "image"),
        ("sticker", "image"),
        ("video", "video"),
        ("audio", "audio"),
        ("file", "document"),
    ],
)
def test_a_file_is_fetched_from_its_address(type_: str, kind: str) -> None:
    event = received(attachments=[{"type": type_, "payload": {"url": "https://x/1"}}])
    assert event.media is not None
    assert (event.media.ref, event.media.kind, event.note) == ("https://x/1", kind, "")


def test_several_files_are_several_messages_the_first_with_the_text() -> None:
    files = [{"type": "image", "payload": {"url": f"https://x/{n}"}} for n in range(3)]
    events = message(text="look", attachments=files, reply_to={"mid": "m_0"})
    texts = [
        (e.message, e.text, e.media and e.media.ref) for e in events if isinstance(e, Received)
    ]
    assert texts == [
        ("m_1", "look", "https://x/0"),
        ("m_1#1", "", "https://x/1"),
        ("m_1#2", "", "https://x/2"),
    ]
    assert not [e.note for e in events if isinstance(e, Received) and e.note]
    assert len({event.key for event in events}) == 3


@pytest.mark.parametrize(
    ("attachment", "note"),
    [
        ({"type": "share", "payload": {"url": "u"}}, "a shared post, which can't be shown here"),
        ({"type": "ig_reel"}, "a shared reel, which can't be shown here"),
        (
            {"type": "story_mention", "payload": {"url": "https://cdn/story"}},
            "a story in which you are mentioned, which can't be shown here",
        ),
        ({"type": "ephemeral"}, "something that can be seen once, which can't be shown here"),
        (
            {"type": "fallback", "title": "A page", "url": "https://example.org"},
            "a shared link: A page, https://example.org",
        ),
        (
            {"type": "fallback", "payload": {"title": "A page", "url": "https://example.org"}},
            "a shared link: A page, https://example.org",
        ),
        ({"type": "fallback"}, "a shared link, which can't be shown here"),
        ({"type": "image", "payload": {}}, "a file, which can't be shown here"),
        ({"type": "hologram"}, "an attachment, which can't be shown here"),
    ],
)
def test_what_can_not_be_shown_is_noted(attachment: dict[str, Any], note: str) -> None:
    event = received(text="see", attachments=[attachment])
    assert (event.text, event.note, event.media) == ("see", note, None)


def test_an_answer_to_a_story_is_noted() -> None:
    event = received(text="wow", reply_to={"story": {"url": "https://cdn/1", "id": "9"}})
    assert (event.text, event.note, event.reply_to) == ("wow", "an answer to a story", None)
    both = received(reply_to={"story": {"id": "9"}}, attachments=[{"type": "share"}])
    assert both.note == "an answer to a story; a shared post, which can't be shown here"


@pytest.mark.parametrize("what", [{}, {"is_unsupported": True}])
def test_a_message_with_nothing_that_is_known_is_noted(what: dict[str, Any]) -> None:
    assert received(**what).note == "a message, which can't be shown here"


def test_an_echo_of_ours_settles_what_was_sent_and_others_are_left_out() -> None:
    ours = {"sender": {"id": US}, "recipient": {"id": ANA}, "timestamp": AT}
    echo = {"mid": "m_9", "is_echo": True, "app_id": 4711, "text": "hi"}
    settled = Receipt(
        key="echo:m_9", chat=ANA, status="sent", at=AT, message="m_9", reference="ref-1"
    )
    assert told({**ours, "message": {**echo, "metadata": "ref-1"}}) == [settled]
    assert told({**ours, "message": echo}) == []


def test_a_message_that_was_taken_back() -> None:
    gone = Deleted(key="deleted:m_1", chat=ANA, message="m_1", at=AT, sender=Contact(id=ANA))
    assert message(is_deleted=True) == [gone]


def test_an_edit() -> None:
    first, second = (
        Edited(
            key=f"edit:m_1:{number}",
            chat=ANA,
            sender=Contact(id=ANA),
            message="m_1",
            at=AT,
            text=text,
        )
        for number, text in ((1, "one"), (2, "two"))
    )
    assert told(
        update(message_edit={"mid": "m_1", "text": "one", "num_edit": 1}),
        update(message_edit={"mid": "m_1", "text": "two", "num_edit": 2}),
    ) == [first, second]


@pytest.mark.parametrize(
    ("reaction", "emoji"),
    [
        ({"action": "react", "reaction": "love", "emoji": "❤️"}, "❤️"),
        ({"action": "react", "reaction": "wow"}, "😮"),
        ({"action": "react", "reaction": "other"}, "❔"),
        ({"action": "react"}, "❔"),
        ({"action": "unreact", "reaction": "love", "emoji": "❤️"}, None),
    ],
)
def test_reactions(reaction: dict[str, Any], emoji: str | None) -> None:
    key = f"reaction:{ANA}:m_1:{AT}:{emoji or ''}"
    reacted = Reacted(key=key, chat=ANA, sender=Contact(id=ANA), message="m_1", at=AT, emoji=emoji)
    assert told(update(reaction={"mid": "m_1", **reaction})) == [reacted]


def receipt(key: str, status: ReceiptStatus, **more: Any) -> Receipt:
    return Receipt(key=key, chat=ANA, status=status, at=AT, **more)


def test_what_arrived_is_told_by_message_and_up_to_a_time() -> None:
    mark = AT - 5
    assert told(update(delivery={"mids": ["m_1", "m_2"], "watermark": mark})) == [
        receipt("delivered:m_1", "delivered", message="m_1"),
        receipt("delivered:m_2", "delivered", message="m_2"),
        receipt(f"delivered:{ANA}:{mark}", "delivered", watermark=mark),
    ]


def test_what_was_read_is_told_up_to_a_time_or_a_message() -> None:
    mark = AT - 5
    assert told(update(read={"watermark": mark}), update(read={"mid": "m_1"})) == [
        receipt(f"read:{ANA}:{mark}", "read", watermark=mark),
        receipt("read:m_1", "read", message="m_1"),
    ]


def test_a_button_that_was_pressed_is_a_text() -> None:
    pressed, again, untitled = told(
        update(postback={"title": "Yes", "mid": "m_5", "payload": "YES"}),
        update(postback={"title": "Yes", "payload": "YES"}),
        update(postback={"payload": "YES"}),
    )
    assert pressed == Received(
        key="message:m_5", chat=ANA, sender=Contact(id=ANA), message="m_5", at=AT, text="Yes"
    )
    assert isinstance(untitled, Received)
    assert untitled.text == ""
    assert untitled.note == "a button that was pressed, which can't be shown here"
    assert len({pressed.key, again.key, untitled.key}) == 3


def test_what_is_about_another_account_is_left_out() -> None:
    assert told(update(message={"mid": "m_1", "text": "hi"}), account="222") == []


def test_what_another_app_has_is_read_only_if_asked_for() -> None:
    item = update(message={"mid": "m_1", "text": "hi"})
    assert len(told(item, standby=True)) == 1
    entry = Entry(US, standby=[Raw(json.dumps(item).encode())])
    assert list(updates(entry, US, standby=False, now=1)) == []


@pytest.mark.parametrize("item", [{"optin": {}}, {"referral": {}}, {"pass_thread_control": {}}])
def test_other_updates_mean_nothing_to_us(item: dict[str, Any]) -> None:
    assert told(update(**item)) == []


def test_one_that_can_not_be_read_leaves_the_others_as_they_are() -> None:
    good = update(message={"mid": "m_1", "text": "hi"})
    first, notice, last = told(good, {"sender": 7}, update(message={"mid": "m_2"}))
    assert isinstance(first, Received)
    assert isinstance(notice, AccountNotice)
    assert isinstance(last, Received)
    assert (notice.severity, notice.at) == ("warning", 1)
    assert notice.text.startswith("an update of Meta's can't be read, and is lost: Expected ")


def test_numbers_that_come_as_strings_are_numbers() -> None:
    [event] = told({**update(message={"mid": "m_1", "text": "hi"}), "timestamp": str(AT)})
    assert isinstance(event, Received)
    assert event.at == AT


def test_what_has_no_time_happened_now() -> None:
    item = update(message={"mid": "m_1", "text": "hi"})
    del item["timestamp"]
    [event] = told(item)
    assert isinstance(event, Received)
    assert event.at == 1
