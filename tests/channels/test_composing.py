"""What people at the other end see of an event: all that the channel has, the rest in words."""

from __future__ import annotations

import msgspec
import pytest

from chat4all_actors.channels.composing import (
    Call,
    Deletion,
    Earlier,
    Edit,
    Happened,
    Post,
    React,
    Reaction,
    ReplaceText,
    SendFile,
    SendText,
    TakeBack,
    calls,
    first_words,
)
from chat4all_connectors.capabilities import Capabilities, MediaLimit, Rate, TextLimit
from chat4all_protocol.frames import FileBody, TextBody

ABLE = Capabilities(
    text=TextLimit(100),
    caption=TextLimit(50),
    media=(
        MediaLimit("image", ("image/*",), 1_000_000),
        MediaLimit("audio", ("audio/*",), 1_000_000, captions=False),
    ),
    reply=True,
    edit=True,
    delete=True,
    delete_within=3600.0,
    reaction=True,
    account_rate=Rate(1, 1),
    chat_rate=Rate(1, 1),
)
PLAIN = Capabilities(text=TextLimit(100), account_rate=Rate(1, 1), chat_rate=Rate(1, 1))
"""A channel that has nothing but texts."""

PHOTO = FileBody("file 1", name="photo.jpg", size=500_000, mime="image/jpeg")
VOICE = FileBody("file 2", name="voice.ogg", size=20_000, mime="audio/ogg")
SEEN = Earlier(messages=("m1",), words="where do we meet?")
UNSEEN = Earlier(words="where do we meet?")


def said(
    happened: Happened, can: Capabilities = ABLE, author: str | None = None, public: bool = True
) -> list[Call]:
    return calls(happened, can, author=author, public=public)


def with_text(file: FileBody, text: str) -> FileBody:
    return msgspec.structs.replace(file, text=text)


# --- texts


def test_a_text_goes_as_it_is() -> None:
    assert said(Post(body=TextBody("hello"))) == [SendText("hello")]


def test_in_a_group_it_is_said_who_wrote() -> None:
    assert said(Post(body=TextBody("hello")), author="Alice") == [SendText("Alice: hello")]


def test_who_wrote_stands_on_the_line_of_the_text_however_they_are_called() -> None:
    post = Post(body=TextBody("hello"))
    assert said(post, author="Eve\n\nAlice") == [SendText("Eve Alice: hello")]


def test_a_long_text_goes_in_parts_of_which_the_first_answers_and_names_who_wrote() -> None:
    post = Post(body=TextBody("word " * 40), answers=SEEN)
    first, *others = said(post, author="Alice")
    assert isinstance(first, SendText)
    assert first.text.startswith("Alice: word word")
    assert first.reply_to == "m1"
    assert others
    assert all(isinstance(call, SendText) and call.reply_to is None for call in others)


@pytest.mark.parametrize("blanks", [1, 300])
def test_a_text_of_blanks_shows_nothing_and_is_not_sent(blanks: int) -> None:
    assert said(Post(body=TextBody(" " * blanks))) == []


# --- answers


def test_an_answer_points_to_what_the_chat_has_seen() -> None:
    assert said(Post(body=TextBody("here"), answers=SEEN)) == [SendText("here", "m1")]


@pytest.mark.parametrize(("answers", "can"), [(UNSEEN, ABLE), (SEEN, PLAIN)])
def test_what_can_not_be_pointed_to_is_quoted(answers: Earlier, can: Capabilities) -> None:
    post = Post(body=TextBody("here"), answers=answers)
    assert said(post, can) == [SendText("> where do we meet?\nhere")]
    assert said(post, can, "Alice") == [SendText("> where do we meet?\nAlice: here")]


def test_an_answer_to_what_was_deleted_unseen_is_a_message() -> None:
    assert said(Post(body=TextBody("here"), answers=Earlier())) == [SendText("here")]


def test_a_file_answers_too_and_what_it_can_not_point_to_is_in_its_caption() -> None:
    assert said(Post(body=PHOTO, answers=SEEN)) == [SendFile(PHOTO, "image", "", "m1")]
    assert said(Post(body=PHOTO, answers=UNSEEN)) == [
        SendFile(PHOTO, "image", "> where do we meet?")
    ]


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("one\n\n two", "one two"),
        ("x" * 40, "x" * 40),
        ("x" * 41, "x" * 40 + "…"),
        ("it is cut between words, never within one", "it is cut between words, never within…"),
        ("", ""),
    ],
)
def test_first_words_are_a_line_of_40_characters(text: str, quoted: str) -> None:
    assert first_words(text) == quoted


# --- files


def test_a_file_goes_with_its_caption() -> None:
    body = with_text(PHOTO, "look")
    assert said(Post(body=body)) == [SendFile(body, "image", "look")]


def test_a_caption_that_does_not_fit_follows_the_file() -> None:
    body = with_text(PHOTO, "look " * 15)
    assert said(Post(body=body, answers=SEEN)) == [
        SendFile(body, "image", "", "m1"),
        SendText("look " * 15),
    ]


def test_so_does_one_of_a_file_that_has_none_there() -> None:
    body = with_text(VOICE, "listen")
    assert said(Post(body=body)) == [SendFile(body, "audio"), SendText("listen")]


def test_in_a_group_a_file_says_who_sent_it_with_its_name_if_nothing_else_was_said() -> None:
    assert said(Post(body=PHOTO), author="Alice") == [SendFile(PHOTO, "image", "Alice: photo.jpg")]
    assert said(Post(body=VOICE), author="Alice") == [
        SendFile(VOICE, "audio"),
        SendText("Alice: voice.ogg"),
    ]


def test_in_place_of_a_file_that_is_too_large_its_name_and_size_are_said() -> None:
    film = FileBody("file 3", name="film.gif", size=31_500_000, mime="image/gif", text="mine")
    note = "film.gif (31.5 MB), which is too large to come here\nmine"
    assert said(Post(body=film)) == [SendText(note)]
    assert said(Post(body=film, answers=UNSEEN)) == [SendText(f"> where do we meet?\n{note}")]
    assert said(Post(body=film, answers=SEEN), author="Alice") == [SendText(f"Alice: {note}", "m1")]


def test_so_it_is_for_one_whose_type_is_not_taken() -> None:
    film = FileBody("file 3", name="film.mp4", size=31_500_000, mime="video/mp4")
    assert said(Post(body=film)) == [SendText("film.mp4 (31.5 MB), which can't be shown here")]


def test_so_it_is_for_one_that_the_provider_can_not_fetch_from_here() -> None:
    fetching = msgspec.structs.replace(ABLE, media_by_url=True)
    assert said(Post(body=PHOTO), fetching) == [SendFile(PHOTO, "image")]
    assert said(Post(body=PHOTO), fetching, public=False) == [
        SendText("photo.jpg (0.5 MB), which can't be shown here")
    ]
    assert said(Post(body=PHOTO), ABLE, public=False) == [SendFile(PHOTO, "image")]


def test_a_file_of_which_nothing_is_known_is_a_file() -> None:
    assert said(Post(body=FileBody("file 4"))) == [
        SendText("a file (0.0 MB), which can't be shown here")
    ]


# --- edits


def test_an_edit_replaces_what_is_there() -> None:
    edit = Edit(body=TextBody("new"), target=SEEN)
    assert said(edit) == [ReplaceText("m1", "new")]
    assert said(edit, author="Alice") == [ReplaceText("m1", "Alice: new")]


def test_what_was_quoted_before_the_text_stays_there() -> None:
    edit = Edit(body=TextBody("new"), target=Earlier(messages=("m2",)), answers=UNSEEN)
    assert said(edit) == [ReplaceText("m2", "> where do we meet?\nnew")]
    edit = Edit(body=TextBody("new"), target=Earlier(messages=("m2",)), answers=SEEN)
    assert said(edit) == [ReplaceText("m2", "new")]


def test_a_text_in_as_many_parts_as_before_is_replaced_part_by_part() -> None:
    edit = Edit(body=TextBody("a" * 150), target=Earlier(messages=("m1", "m2")))
    assert said(edit) == [ReplaceText("m1", "a" * 100), ReplaceText("m2", "a" * 50)]


def test_one_in_other_parts_is_said_anew() -> None:
    edit = Edit(body=TextBody("new"), target=Earlier(messages=("m1", "m2")))
    assert said(edit) == [SendText("Edited: new", "m1")]


def test_an_edit_that_the_channel_does_not_have_is_said_as_an_answer() -> None:
    can = msgspec.structs.replace(ABLE, edit=False)
    edit = Edit(body=TextBody("new"), target=SEEN)
    assert said(edit, can) == [SendText("Edited: new", "m1")]
    assert said(edit, can, "Alice") == [SendText("Alice: Edited: new", "m1")]
    assert said(edit, PLAIN) == [SendText("Edited: new")]


def test_an_edit_of_what_the_chat_has_not_seen_is_said() -> None:
    assert said(Edit(body=TextBody("new"), target=UNSEEN)) == [SendText("Edited: new")]


def test_what_came_from_the_chat_can_not_be_edited_there() -> None:
    edit = Edit(body=TextBody("new"), target=Earlier(messages=("m1",), ours=False))
    assert said(edit) == [SendText("Edited: new", "m1")]


def test_an_edit_to_blanks_is_told() -> None:
    assert said(Edit(body=TextBody("  "), target=UNSEEN)) == [SendText("Edited:   ")]


def test_a_caption_is_replaced() -> None:
    target = Earlier(messages=("m1",), file_id=PHOTO.file_id)
    edit = Edit(body=with_text(PHOTO, "new"), target=target)
    assert said(edit) == [ReplaceText("m1", "new")]
    edit = Edit(body=with_text(PHOTO, "new"), target=target, answers=UNSEEN)
    assert said(edit) == [ReplaceText("m1", "> where do we meet?\nnew")]


@pytest.mark.parametrize(
    ("body", "note"),
    [
        (with_text(PHOTO, "long " * 12), "Edited: " + "long " * 12),
        (PHOTO, "Edited: photo.jpg"),
        (with_text(VOICE, "new"), "Edited: new"),
    ],
    ids=["too long", "taken away", "of what has none"],
)
def test_one_that_can_not_be_replaced_is_said_and_the_file_not_sent_again(
    body: FileBody, note: str
) -> None:
    target = Earlier(messages=("m1",), file_id=body.file_id)
    assert said(Edit(body=body, target=target)) == [SendText(note, "m1")]


def test_another_file_in_place_of_what_was_there_is_sent() -> None:
    body = with_text(PHOTO, "this one")
    edit = Edit(body=body, target=SEEN)
    assert said(edit) == [SendFile(body, "image", "Edited: this one", "m1")]
    edit = Edit(body=PHOTO, target=Earlier(messages=("m1",), file_id=VOICE.file_id))
    assert said(edit) == [SendFile(PHOTO, "image", "Edited: photo.jpg", "m1")]


# --- deletions


def test_a_deletion_takes_back_every_part() -> None:
    target = Earlier(messages=("m1", "m2"), age=3599.0)
    assert said(Deletion(target=target), author="Alice") == [TakeBack("m1"), TakeBack("m2")]


def test_without_a_bound_it_is_never_too_late() -> None:
    can = msgspec.structs.replace(ABLE, delete_within=None)
    assert said(Deletion(target=Earlier(messages=("m1",), age=1e9)), can) == [TakeBack("m1")]


@pytest.mark.parametrize(
    ("target", "can"),
    [
        (Earlier(messages=("m1",), age=3600.0), ABLE),
        (Earlier(messages=("m1",), ours=False), ABLE),
        (Earlier(messages=("m1",)), msgspec.structs.replace(ABLE, delete=False)),
    ],
    ids=["too late", "not ours", "not there"],
)
def test_one_that_is_not_possible_is_told(target: Earlier, can: Capabilities) -> None:
    assert said(Deletion(target=target), can) == [SendText("This message was deleted", "m1")]
    assert said(Deletion(target=target), PLAIN, "Alice") == [
        SendText("Alice: A message was deleted")
    ]


def test_of_what_the_chat_has_not_seen_nothing_is_told() -> None:
    assert said(Deletion(target=Earlier())) == []


# --- reactions


def reaction(target: Earlier = SEEN, *, on: bool = True, standing: str | None = "👍") -> Reaction:
    return Reaction(target=target, emoji="👍", on=on, standing=standing)


def test_a_reaction_is_shown_and_taken_back() -> None:
    assert said(reaction()) == [React("m1", "👍")]
    assert said(reaction(on=False, standing=None)) == [React("m1", None)]


def test_of_several_peoples_reactions_the_last_that_stands_is_shown() -> None:
    assert said(reaction(on=False, standing="🎉"), author="Alice") == [React("m1", "🎉")]


def test_it_is_shown_at_the_first_part_of_a_message() -> None:
    assert said(reaction(Earlier(messages=("m1", "m2")))) == [React("m1", "👍")]


def test_one_that_the_channel_does_not_have_is_said() -> None:
    can = msgspec.structs.replace(ABLE, reaction=False)
    assert said(reaction(), can) == [SendText("👍 to “where do we meet?”", "m1")]
    assert said(reaction(on=False), PLAIN, "Alice") == [
        SendText("Alice: 👍 to “where do we meet?” was taken back")
    ]


def test_one_to_what_the_chat_has_not_seen_is_said() -> None:
    assert said(reaction(UNSEEN)) == [SendText("👍 to “where do we meet?”")]
    assert said(reaction(Earlier())) == [SendText("👍 to a message")]
