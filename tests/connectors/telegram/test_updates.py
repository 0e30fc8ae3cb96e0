"""What the Bot API tells becomes events, and nothing that people sent is left out silently."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_connectors.incoming import (
    AccountNotice,
    ChatMoved,
    Contact,
    Edited,
    Event,
    Media,
    Reachability,
    Reacted,
    Received,
)
from chat4all_connectors.telegram.updates import events_of

ANA = {"id": 7, "is_bot": False, "first_name": "Ana", "last_name": "Silva", "username": "ana"}
PRIVATE = {"id": 7, "type": "private", "first_name": "Ana", "username": "ana"}
GROUP = {"id": -100_200, "type": "supergroup", "title": "Friends"}
FILE = {"file_id": "F", "file_unique_id": "u", "file_size": 9}
NOW = 1_800_000_000_000


def events(update: dict[str, Any]) -> list[Event]:
    raw = json.dumps({"update_id": 12, **update}).encode()
    number, told = events_of(raw, max_bytes=1000, now=lambda: NOW)
    assert number == 12
    return told


def message(chat: dict[str, Any] = PRIVATE, **content: Any) -> dict[str, Any]:
    return {"message_id": 3, "date": 1_700_000_000, "chat": chat, "from": ANA, **content}


def received(chat: dict[str, Any] = PRIVATE, **content: Any) -> Received:
    [event] = events({"message": message(chat, **content)})
    assert isinstance(event, Received)
    return event


def test_a_text() -> None:
    assert received(text="/start 123") == Received(
        key="update:12",
        chat="7",
        sender=Contact(id="7", name="Ana Silva", handle="ana"),
        message="3",
        at=1_700_000_000_000,
        text="/start 123",
    )


def test_in_a_group_its_title_is_told() -> None:
    event = received(GROUP, text="hi")
    assert (event.chat, event.group) == ("-100200", "Friends")
    assert received({"id": -5, "type": "group"}, text="hi").group == ""


def test_who_writes_in_the_name_of_a_group_is_the_group() -> None:
    event = received(GROUP, text="hi", sender_chat=GROUP)
    assert event.sender == Contact(id="-100200", name="Friends")


def test_a_reply_names_its_message() -> None:
    assert received(text="yes", reply_to_message=message(text="?")).reply_to == "3"


def test_what_is_said_in_a_topic_is_no_reply_to_its_beginning() -> None:
    topic = {"message_thread_id": 3, "is_topic_message": True, "text": "hi"}
    assert received(GROUP, reply_to_message=message(), **topic).reply_to is None
    later = {**topic, "message_thread_id": 2}
    assert received(GROUP, reply_to_message=message(), **later).reply_to == "3"
    thread = {"message_thread_id": 3, "text": "hi"}
    assert received(GROUP, reply_to_message=message(), **thread).reply_to == "3"


@pytest.mark.parametrize(
    ("content", "media"),
    [
        (
            {"photo": [{"file_id": "small"}, FILE]},
            Media(ref="F", kind="image", mime="image/jpeg", size=9),
        ),
        ({"video": FILE}, Media(ref="F", kind="video", mime="video/mp4", size=9)),
        ({"video_note": FILE}, Media(ref="F", kind="video", mime="video/mp4", size=9)),
        (
            {"animation": FILE, "document": FILE},
            Media(ref="F", kind="video", mime="video/mp4", size=9),
        ),
        (
            {"audio": {**FILE, "mime_type": "audio/x-wav", "file_name": "a.wav"}},
            Media(ref="F", kind="audio", mime="audio/x-wav", name="a.wav", size=9),
        ),
        ({"audio": FILE}, Media(ref="F", kind="audio", mime="audio/mpeg", size=9)),
        ({"voice": FILE}, Media(ref="F", kind="audio", mime="audio/ogg", size=9)),
        ({"document": {"file_id": "F"}}, Media(ref="F", kind="document")),
        ({"sticker": {"file_id": "F"}}, Media(ref="F", kind="image", mime="image/webp")),
        (
            {"sticker": {"file_id": "F", "is_video": True, "file_size": 9}},
            Media(ref="F", kind="video", mime="video/webm", size=9),
        ),
    ],
    ids=lambda value: "" if isinstance(value, Media) else "-".join(value),
)
def test_a_file(content: dict[str, Any], media: Media) -> None:
    event = received(**content, caption="look")
    assert (event.media, event.text, event.note) == (media, "look", "")


def test_a_part_of_an_album_is_a_message_of_its_own() -> None:
    assert received(photo=[FILE], media_group_id="99").media is not None


def test_a_file_is_fetched_up_to_the_limit() -> None:
    assert received(document={**FILE, "file_size": 1000}).media is not None
    assert received(document={**FILE, "file_size": 1001}).media is None


def test_several_notes_are_lines() -> None:
    place = {"latitude": 1, "longitude": 2}
    event = received(forward_origin={"type": "channel", "chat": {"id": -7}}, location=place)
    assert event.note == "forwarded from a chat\na location: 1, 2"


def test_a_file_that_can_not_be_fetched_is_told_by_words() -> None:
    event = received(document={**FILE, "file_size": 31_500_000, "file_name": "film.mp4"})
    assert event.media is None
    assert event.note == "film.mp4 (31.5 MB), which is too large to come here"


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ({"location": {"latitude": -23.5, "longitude": -46.6}}, "a location: -23.5, -46.6"),
        (
            {
                "location": {"latitude": 1, "longitude": 2},
                "venue": {
                    "location": {"latitude": 1, "longitude": 2},
                    "title": "Sé",
                    "address": "Praça 1",
                },
            },
            "a location: Sé, Praça 1 (1, 2)",
        ),
        (
            {"contact": {"phone_number": "+55 11", "first_name": "Bob"}},
            "a contact: Bob, +55 11",
        ),
        (
            {"poll": {"question": "Where?", "options": [{"text": "Here"}, {"text": "There"}]}},
            "a poll: Where? 1. Here 2. There",
        ),
        ({"dice": {"emoji": "🎲", "value": 5}}, "🎲 5"),
        ({"sticker": {"file_id": "F", "is_animated": True, "emoji": "😀"}}, "a sticker 😀"),
        ({"sticker": {"file_id": "F", "is_animated": True}}, "a sticker"),
        ({"story": {"id": 1}}, "a message (story), which can't be shown here"),
        ({"paid_media": {}}, "a message (paid media), which can't be shown here"),
        ({"text": ""}, "a message (unknown), which can't be shown here"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(value),
)
def test_what_can_not_be_carried_is_told_by_words(content: dict[str, Any], note: str) -> None:
    assert received(**content).note == note


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        ({"type": "user", "sender_user": ANA}, "Ana Silva"),
        ({"type": "hidden_user", "sender_user_name": "Bob"}, "Bob"),
        ({"type": "channel", "chat": GROUP}, "Friends"),
        ({"type": "user", "sender_user": {"id": 9}}, "somebody"),
        ({"type": "new"}, "somebody"),
    ],
)
def test_a_forwarded_message_says_whose_it_was(origin: dict[str, Any], name: str) -> None:
    event = received(text="hi", forward_origin=origin)
    assert (event.text, event.note) == ("hi", f"forwarded from {name}")


def test_the_addresses_of_links_are_not_lost() -> None:
    links = [
        {"type": "bold", "offset": 0, "length": 2},
        {"type": "text_link", "offset": 3, "length": 4, "url": "https://a.example"},
        {"type": "text_link", "offset": 8, "length": 4, "url": "https://b.example"},
    ]
    event = received(text="😀 here there", entities=links)
    assert event.text == "😀 here (https://a.example) ther (https://b.example)e"


def test_a_link_that_ends_within_a_character_does_no_harm() -> None:
    link = {"type": "text_link", "offset": 0, "length": 1, "url": "https://a.example"}
    assert "(https://a.example)" in received(text="😀", entities=[link]).text
    beyond = {**link, "length": 99}
    assert received(text="😀", entities=[beyond]).text == "😀 (https://a.example)"
    other = {**link, "type": "url"}
    assert received(text="x", entities=[other]).text == "x"


@pytest.mark.parametrize(
    "field", ["new_chat_members", "left_chat_member", "pinned_message", "forum_topic_created"]
)
def test_what_happens_to_a_chat_is_nobody_s_message(field: str) -> None:
    assert events({"message": message(GROUP, **{field: {}})}) == []


def test_both_chats_tell_of_a_move_which_counts_once() -> None:
    before = {"id": -5, "type": "group", "title": "Friends"}
    [old] = events({"message": message(before, migrate_to_chat_id=-100_200)})
    [new] = events({"message": message(GROUP, migrate_from_chat_id=-5)})
    moved = ChatMoved(key="moved:-5:-100200", chat="-5", now="-100200", at=1_700_000_000_000)
    assert old == new == moved


def test_an_edit_has_the_new_text_and_its_time() -> None:
    [event] = events({"edited_message": message(text="better", edit_date=1_700_000_060)})
    assert event == Edited(
        key="update:12",
        chat="7",
        sender=Contact(id="7", name="Ana Silva", handle="ana"),
        message="3",
        at=1_700_000_060_000,
        text="better",
    )


def test_a_caption_that_was_taken_away_is_an_edit_and_a_place_that_moves_is_none() -> None:
    [event] = events({"edited_message": message(photo=[FILE])})
    assert isinstance(event, Edited)
    assert event.text == ""
    place = {"location": {"latitude": 1, "longitude": 2}}
    assert events({"edited_message": message(**place)}) == []


@pytest.mark.parametrize(
    ("reactions", "emoji"),
    [
        ([{"type": "emoji", "emoji": "❤"}], "❤"),
        (
            [{"type": "custom_emoji", "custom_emoji_id": "5"}, {"type": "emoji", "emoji": "👍"}],
            "👍",
        ),
        ([{"type": "custom_emoji", "custom_emoji_id": "5"}], "❔"),
        ([{"type": "paid"}], "❔"),
        ([], None),
    ],
)
def test_a_reaction(reactions: list[dict[str, Any]], emoji: str | None) -> None:
    about = {"chat": PRIVATE, "message_id": 3, "date": 1_700_000_000, "old_reaction": []}
    [event] = events({"message_reaction": {**about, "user": ANA, "new_reaction": reactions}})
    assert event == Reacted(
        key="update:12",
        chat="7",
        sender=Contact(id="7", name="Ana Silva", handle="ana"),
        message="3",
        at=1_700_000_000_000,
        emoji=emoji,
    )


def test_a_reaction_may_be_of_a_group_or_of_nobody_that_is_told() -> None:
    about = {"chat": GROUP, "message_id": 3, "date": 1_700_000_000}
    other = {"id": -100_300, "type": "channel", "title": "News"}
    for actor, name in (({"actor_chat": other}, "News"), ({}, "Friends")):
        [event] = events({"message_reaction": {**about, **actor, "new_reaction": []}})
        assert isinstance(event, Reacted)
        assert event.sender.name == name


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("member", "kicked", [False]),
        ("kicked", "member", [True]),
        ("left", "member", [True]),
        ("member", "left", [False]),
        ("member", "administrator", []),
        ("member", "restricted", []),
        ("creator", "left", [False]),
    ],
)
def test_who_lets_the_bot_in_or_keeps_it_out(before: str, after: str, expected: list[bool]) -> None:
    change = {
        "chat": PRIVATE,
        "date": 1_700_000_000,
        "old_chat_member": {"status": before},
        "new_chat_member": {"status": after},
    }
    assert events({"my_chat_member": change}) == [
        Reachability(key="update:12", chat="7", reachable=reachable, at=1_700_000_000_000)
        for reachable in expected
    ]


def test_a_bot_that_may_not_write_any_more_reaches_nobody() -> None:
    change = {
        "chat": GROUP,
        "date": 1_700_000_000,
        "old_chat_member": {"status": "member"},
        "new_chat_member": {"status": "restricted", "can_send_messages": False},
    }
    [event] = events({"my_chat_member": change})
    assert isinstance(event, Reachability)
    assert not event.reachable
    change["new_chat_member"] = {"status": "restricted", "can_send_messages": True}
    assert events({"my_chat_member": change}) == []


def test_kinds_that_nobody_asked_for_are_left_out() -> None:
    assert events({"callback_query": {"id": "1"}}) == []


def test_an_update_that_can_not_be_read_is_told_to_operators() -> None:
    [event] = events({"message": message(text=["private words"])})
    assert isinstance(event, AccountNotice)
    assert (event.key, event.at, event.severity) == ("update:12", NOW, "warning")
    assert "$.message.text" in event.text
    assert "private" not in event.text


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=5),
        lambda parts: (
            st.lists(parts, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["message", "message_id", "chat", "id", "date", "text", "photo", "x"]
                ),
                parts,
                max_size=4,
            )
        ),
        max_leaves=8,
    )
)
def test_any_json_is_an_update_or_refused(content: object) -> None:
    raw = json.dumps(content).encode()
    for body in (raw, json.dumps({"update_id": 1, "message": content}).encode()):
        try:
            events_of(body, max_bytes=1000, now=lambda: NOW)
        except msgspec.DecodeError:
            assert body == raw
