"""People who are played from other processes: what they do and see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from chat4all_connectors.errors import Unreachable
from chat4all_connectors.incoming import Deleted, Edited, Reachability, Reacted, Receipt, Received
from chat4all_connectors.loopback import cues
from chat4all_connectors.loopback.connector import Loopback
from chat4all_connectors.loopback.cues import Content, Done, Gone, Refused, Shown, Typing
from chat4all_connectors.loopback.settings import LoopbackSettings
from chat4all_connectors.outgoing import FileMessage, Message
from chat4all_connectors.testing.uploads import MemoryUpload

from .player import account, events, played, text

if TYPE_CHECKING:
    from pathlib import Path

    from chat4all_connectors.loopback.cues import Act


# What people do


async def test_what_a_player_does_has_happened_on_the_channel(path: Path) -> None:
    async with account(path) as loopback, played(path) as ana:
        (said,) = await ana.act(cues.Say(text="hello"))
        assert isinstance(said, Done)
        assert said.message is not None
        await loopback.send_message(text("hi"))
        answers = await ana.act(
            cues.Edit(message=said.message, text="Hello"),
            cues.React(message=said.message, emoji="👍"),
            cues.Read(),
            cues.Say(text="again", reply_to=said.message),
            cues.Delete(message=said.message),
            cues.Block(),
        )
        assert [type(answer) for answer in answers] == [Done] * 6
        kinds = [type(event) for event in await events(loopback)]
    assert kinds == [
        Received,
        Receipt,
        Edited,
        Reacted,
        Receipt,
        Received,
        Deleted,
        Reachability,
    ]


async def test_a_file_that_a_player_sends_can_be_downloaded(path: Path) -> None:
    async with account(path, media_max_bytes=200_000) as loopback, played(path) as ana:
        content = bytes(200_000)
        file = cues.Send(kind="image", mime="image/png", name="a.png", content=content, caption="c")
        await ana.act(file)
        (received,) = await events(loopback)
        assert isinstance(received, Received)
        assert received.media is not None
        assert (received.text, received.media.size) == ("c", 200_000)
        async with loopback.download(received.media) as pieces:
            assert b"".join([piece async for piece in pieces]) == content
        larger = msgspec.structs.replace(file, content=bytes(200_001))
        assert await ana.act(larger) == [Refused(reason="a file has at most 200000 bytes")]


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (cues.Edit(message="m", text="x"), "there is no message m"),
        (cues.Delete(message="m"), "there is no message m"),
        (cues.React(message="m"), "there is no message m"),
        (cues.Fetch(message="m"), "there is no message m"),
        (cues.Enter(person="bob"), "begin with enter, and that once"),
    ],
)
async def test_what_can_not_be_done_is_refused_and_the_play_goes_on(
    path: Path, act: Act, reason: str
) -> None:
    async with account(path), played(path) as ana:
        assert await ana.act(act) == [Refused(reason=reason)]
        assert isinstance((await ana.act(cues.Say(text="on")))[0], Done)


async def test_nobody_changes_what_others_wrote(path: Path) -> None:
    async with account(path) as loopback, played(path) as ana:
        ours = (await loopback.send_message(text("ours"))).message
        for act in (cues.Edit(message=ours, text="mine"), cues.Delete(message=ours)):
            (answer,) = await ana.act(act)
            assert answer == Refused(reason=f"there is no message {ours} of ana")
        assert await ana.act(cues.Fetch(message=ours)) == [
            Refused(reason=f"message {ours} has no file")
        ]


# What people see


async def test_a_player_sees_what_is_there_and_then_what_changes(path: Path) -> None:
    async with account(path) as loopback:
        first = (await loopback.send_message(text("first"))).message
        async with played(path, person=None) as ana:
            await ana.stream.send_all(cues.encode(cues.Enter(person="ana", name="Ana")))
            shown, done = await ana.until_answered()
            assert isinstance(shown, Shown)
            assert (shown.line.text, shown.line.sender, done) == ("first", "", Done())
            assert loopback.stage.contact("ana").name == "Ana"
            await loopback.edit("ana", first, "1st")
            edited = await ana.see()
            assert isinstance(edited, Shown)
            assert (edited.line.text, edited.line.edited) == ("1st", True)
            await loopback.react("ana", first, "👍")
            reacted = await ana.see()
            assert isinstance(reacted, Shown)
            assert reacted.line.reactions == {"": "👍"}
            await loopback.typing("ana", None)
            assert await ana.see() == Typing(typing=True)
            await loopback.delete("ana", first)
            assert await ana.see() == Gone(message=first)


async def test_that_nobody_types_any_more_is_seen_without_anything_else(path: Path) -> None:
    now = 0.0
    loopback = Loopback(LoopbackSettings(socket=str(path)), clock=lambda: now)
    await loopback.connect()
    async with played(path) as ana:
        await loopback.typing("ana", None)
        assert await ana.see() == Typing(typing=True)
        now = 5.0
        assert await ana.see() == Typing(typing=False)
    await loopback.disconnect()


async def test_a_player_can_have_the_files_that_are_sent(path: Path) -> None:
    async with account(path) as loopback, played(path) as ana:
        upload = MemoryUpload(b"picture", name="a.png", mime="image/png")
        await loopback.send_file(FileMessage(chat="ana", file=upload, kind="image", reference=""))
        shown = await ana.see()
        assert isinstance(shown, Shown)
        assert shown.line.file is not None
        assert (shown.line.file.name, shown.line.file.size) == ("a.png", 7)
        assert await ana.act(cues.Fetch(message=shown.line.id)) == [Content(content=b"picture")]


async def test_several_play_the_same_person_or_others(path: Path) -> None:
    async with account(path) as loopback, played(path) as ana, played(path) as again:
        async with played(path, "bob") as bob:
            await ana.act(cues.Say(text="hello"))
            seen = await again.see()
            assert isinstance(seen, Shown)
            assert seen.line.text == "hello"
            await bob.act(cues.Say(text="and I"))
        assert [event.sender.id for event in await events(loopback)] == ["ana", "bob"]  # type: ignore[union-attr]


async def test_who_was_played_before_keeps_the_name(path: Path) -> None:
    async with account(path) as loopback:
        async with played(path, person=None) as ana:
            await ana.act(cues.Enter(person="ana", name="Ana Banana"))
        async with played(path):
            assert loopback.stage.contact("ana").name == "Ana Banana"


# Who is there


async def test_with_a_door_whoever_is_written_to_is_there(path: Path) -> None:
    async with account(path, people_kept=2) as loopback:
        await loopback.send_message(text("hello"))
        await loopback.send_message(Message(chat="bob", text="hello", reference=""))
        with pytest.raises(Unreachable, match="there is no chat eve"):
            await loopback.send_message(Message(chat="eve", text="hello", reference=""))
        assert [line.text for line in loopback.stage.lines("bob")] == ["hello"]
    with pytest.raises(Unreachable, match="there is no chat ana"):
        await Loopback().send_message(text("hello"))
