"""Whatever happens, on whatever channel: only what it has is used, and nothing is lost."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

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
)
from chat4all_connectors.capabilities import Capabilities, MediaLimit, Rate, TextLimit
from chat4all_protocol.frames import FileBody, SendBody, TextBody

MEDIA = (
    MediaLimit("image", ("image/*",), 1_000_000),
    MediaLimit("audio", ("audio/*",), 1_000_000, captions=False),
)

texts = st.text("ab é😀\n", max_size=80)
limits = st.builds(TextLimit, st.integers(4, 60), st.sampled_from(["characters", "utf16", "bytes"]))
bodies: st.SearchStrategy[SendBody] = st.one_of(
    st.builds(TextBody, texts.filter(bool)),
    st.builds(
        FileBody,
        st.sampled_from(["file 1", "file 2"]),
        text=st.none() | texts,
        name=st.none() | st.just("photo.jpg"),
        size=st.integers(0, 2_000_000),
        mime=st.sampled_from(["image/jpeg", "audio/ogg", "video/mp4"]),
    ),
)
earlier = st.builds(
    Earlier,
    messages=st.lists(st.sampled_from(["m1", "m2", "m3"]), unique=True, max_size=3).map(tuple),
    ours=st.booleans(),
    words=texts,
    file_id=st.sampled_from([None, "file 1"]),
    age=st.floats(0, 7200),
)


# Hypothesis reads the types of what it builds, and those of bodies are not imported there.
def posted(body: SendBody, answers: Earlier | None) -> Post:
    return Post(body=body, answers=answers)


def edited(body: SendBody, target: Earlier, answers: Earlier | None) -> Edit:
    return Edit(body=body, target=target, answers=answers)


happenings: st.SearchStrategy[Happened] = st.one_of(
    st.builds(posted, bodies, st.none() | earlier),
    st.builds(edited, bodies, earlier, st.none() | earlier),
    st.builds(Deletion, target=earlier),
    st.builds(
        Reaction,
        target=earlier,
        emoji=st.just("👍"),
        on=st.booleans(),
        standing=st.sampled_from([None, "🎉"]),
    ),
)
channels = st.builds(
    Capabilities,
    text=limits,
    caption=st.none() | limits,
    media=st.sampled_from([(), MEDIA]),
    media_by_url=st.booleans(),
    reply=st.booleans(),
    edit=st.booleans(),
    delete=st.booleans(),
    delete_within=st.sampled_from([None, 3600.0]),
    reaction=st.booleans(),
    account_rate=st.just(Rate(1, 1)),
    chat_rate=st.just(Rate(1, 1)),
)
authors = st.sampled_from([None, "Alice", "x" * 200])


@given(happenings, channels, authors, st.booleans())
def test_only_what_the_channel_has_is_asked_of_it_and_everything_fits(
    happened: Happened, can: Capabilities, author: str | None, public: bool
) -> None:
    for call in calls(happened, can, author=author, public=public):
        match call:
            case SendText():
                assert call.text.strip()
                assert can.text.fits(call.text)
                assert can.reply or call.reply_to is None
            case SendFile():
                limit = can.media_for(call.file.mime or "", call.file.size or 0)
                assert limit is not None
                assert limit.kind == call.kind
                assert public or not can.media_by_url
                fits = limit.captions and can.caption is not None and can.caption.fits(call.caption)
                assert fits or not call.caption
                assert can.reply or call.reply_to is None
            case ReplaceText():
                assert can.edit
                assert call.text.strip()
                assert can.text.fits(call.text) or (can.caption and can.caption.fits(call.text))
            case TakeBack():
                assert can.delete
            case React():
                assert can.reaction


def words_of(call: Call) -> str:
    assert isinstance(call, SendText | SendFile)
    return call.text if isinstance(call, SendText) else call.caption


@given(bodies, channels, authors, st.none() | earlier, st.booleans())
def test_nothing_that_was_written_is_lost_but_blanks(
    body: SendBody, can: Capabilities, author: str | None, answers: Earlier | None, public: bool
) -> None:
    said = calls(Post(body=body, answers=answers), can, author=author, public=public)
    shown = re.sub(r"\s", "", "".join(map(words_of, said)))
    assert re.sub(r"\s", "", body.text or "") in shown
    assert said or not (body.text or "").strip()
