"""The door of a stage: people who are played from other processes."""

from __future__ import annotations

import re
import stat
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from chat4all_connectors.base import Health
from chat4all_connectors.errors import Misconfigured, Unreachable
from chat4all_connectors.incoming import Deleted, Edited, Reachability, Reacted, Receipt, Received
from chat4all_connectors.loopback import cues
from chat4all_connectors.loopback.connector import Loopback
from chat4all_connectors.loopback.cues import Content, Done, Gone, Refused, Shown, Typing
from chat4all_connectors.loopback.playing import lines_of, reachable
from chat4all_connectors.loopback.settings import LoopbackSettings
from chat4all_connectors.outgoing import FileMessage, Message
from chat4all_connectors.testing.uploads import MemoryUpload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from chat4all_connectors.incoming import Event
    from chat4all_connectors.loopback.cues import Act, Answer, Sight


class Player:
    """Another process that plays."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._lines = lines_of(stream, 100_000_000)

    async def see(self) -> Sight | Answer:
        """What comes next."""
        return cues.decode_sight(await anext(self._lines))

    async def until_answered(self) -> list[Sight | Answer]:
        """What comes up to the next answer."""
        seen = [await self.see()]
        while not isinstance(seen[-1], Done | Content | Refused):
            seen.append(await self.see())
        return seen

    async def act(self, *acts: Act) -> list[Sight | Answer]:
        """Do these; the answers, in their order."""
        await self.stream.send_all(b"".join(map(cues.encode, acts)))
        return [(await self.until_answered())[-1] for _ in acts]

    async def over(self) -> None:
        """Wait until it was sent away."""
        with suppress(trio.BrokenResourceError):
            async for _ in self._lines:
                pass

    async def aclose(self) -> None:
        await self._lines.aclose()
        await self.stream.aclose()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "channels" / "loopback.sock"


@asynccontextmanager
async def account(path: Path, **settings: object) -> AsyncIterator[Loopback]:
    """One whose door is open."""
    made = Loopback(LoopbackSettings(socket=str(path), **settings))  # type: ignore[arg-type]
    await made.connect()
    try:
        yield made
    finally:
        await made.disconnect()


@asynccontextmanager
async def played(path: Path, person: str | None = "ana") -> AsyncIterator[Player]:
    """Somebody who came in as this person."""
    with reachable(path) as address:
        player = Player(await trio.open_unix_socket(address))
    try:
        if person is not None:
            assert await player.act(cues.Enter(person=person)) == [Done()]
        yield player
    finally:
        await player.aclose()


async def events(account: Loopback, cursor: str | None = None) -> list[Event]:
    """What has happened by now."""
    return list((await account.poll(cursor)).events)


def modes(directory: Path) -> dict[str, int]:
    """Who may do what with what is in it, and with itself."""
    found = {".": directory, **{each.name: each for each in directory.iterdir()}}
    return {name: stat.S_IMODE(each.stat().st_mode) for name, each in found.items()}


def taken_away(path: Path, *, for_good: bool = False) -> None:
    """The socket and its directory; for good there is a file in its place."""
    path.unlink()
    path.parent.rmdir()
    if for_good:
        path.parent.write_bytes(b"")


def left(path: Path) -> None:
    """A file that nobody listens at."""
    path.parent.mkdir()
    path.write_bytes(b"")


def text(words: str) -> Message:
    return Message(chat="ana", text=words, reference="ref")


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


# The door


async def test_only_its_owner_gets_to_the_door(path: Path) -> None:
    async with account(path):
        assert modes(path.parent) == {".": 0o700, path.name: 0o600}


async def test_a_door_that_is_closed_is_gone_and_so_are_the_players(path: Path) -> None:
    async with account(path) as loopback, played(path) as ana:
        await loopback.disconnect()
        await ana.over()
        assert modes(path.parent) == {".": 0o700}
        await loopback.disconnect()
        await loopback.connect()
        async with played(path):
            await loopback.connect()  # again, which changes nothing


async def test_what_a_process_that_was_killed_left_is_in_nobody_s_way(path: Path) -> None:
    left(path)
    async with account(path), played(path):
        pass


async def test_the_last_one_that_opens_a_door_has_it_and_the_others_close_theirs(
    path: Path,
) -> None:
    async with account(path) as first, played(path) as before, account(path) as second:
        async with played(path) as ana:
            await before.over()
            await ana.act(cues.Say(text="to whom?"))
            assert len(await events(second)) == 1
            await first.disconnect()
            assert path.name in modes(path.parent)
            await first.connect()  # it has the account again
            await ana.over()
        async with played(path) as ana:
            await ana.act(cues.Say(text="to the first"))
            assert len(await events(first)) == 1


async def test_a_door_that_was_taken_away_is_opened_again_while_the_account_is_used(
    path: Path,
) -> None:
    async with account(path) as loopback, played(path) as ana:
        taken_away(path)
        await ana.over()
        assert await loopback.health() == Health("connected")
        async with played(path):
            pass
        await loopback.disconnect()
        assert await loopback.health() == Health("connected")
        assert modes(path.parent) == {".": 0o700}


async def test_a_door_that_can_not_be_opened_again_leaves_the_account_usable(path: Path) -> None:
    async with account(path) as loopback, played(path) as ana:
        taken_away(path, for_good=True)
        await ana.over()
        health = await loopback.health()
        assert health.state == "degraded"
        assert "nobody can play at" in health.detail
        await loopback.send_message(text("all the same"))


async def test_a_path_may_be_longer_than_a_socket_s_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("d" * 120) / "loopback.sock"
    async with account(path) as loopback, played(path) as ana:
        await ana.act(cues.Say(text="hello"))
        assert len(await events(loopback)) == 1


async def test_a_door_that_can_not_be_made_is_the_account_s_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    loopback = Loopback(LoopbackSettings(socket=str(tmp_path / "file" / "loopback.sock")))
    with pytest.raises(Misconfigured, match="nobody can play at"):
        await loopback.connect()
    await loopback.disconnect()


async def test_only_so_many_play_at_once(path: Path) -> None:
    async with account(path, players=1), played(path), played(path, person=None) as other:
        assert await other.see() == Refused(reason="too many play already")
        await other.over()


async def test_who_leaves_makes_room(path: Path) -> None:
    async with account(path, players=1):
        async with played(path) as ana:
            await ana.stream.send_eof()
            await ana.over()
        async with played(path):
            pass


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"hello\n", "JSON is malformed"),
        (b'{"cue": "dance"}\n', "Invalid value 'dance'"),
        (b'{"cue": "say"}\n', "missing required field `text`"),
        (b'{"cue": "say", "text": ""}\n', "length >= 1"),
        (b'{"cue": "say", "text": "before entering"}\n', "begin with enter"),
        (b"[[[[]]]]\n", "Expected `object`, got `array`"),
    ],
)
async def test_what_is_no_act_is_refused(path: Path, line: bytes, reason: str) -> None:
    async with account(path), played(path, person=None) as ana:
        await ana.stream.send_all(line)
        answer = await ana.see()
        assert isinstance(answer, Refused)
        assert re.search(reason, answer.reason)
        assert await ana.act(cues.Enter(person="ana")) == [Done()]


async def test_a_line_without_an_end_is_given_up(path: Path) -> None:
    async with account(path, media_max_bytes=1000), played(path) as ana:
        longest = cues.LONGEST_TEXT + 1333

        async def pour() -> None:
            try:
                while True:
                    await ana.stream.send_all(bytes(64 * 1024))
            except trio.BrokenResourceError:
                pass  # the other side has had enough

        async with trio.open_nursery() as nursery:
            nursery.start_soon(pour)
            assert await ana.see() == Refused(reason=f"a line has at most {longest} bytes")
