"""The door of a stage: who comes in, and what becomes of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_connectors.base import Health
from chat4all_connectors.errors import Misconfigured, Transient
from chat4all_connectors.loopback import cues
from chat4all_connectors.loopback.connector import Loopback
from chat4all_connectors.loopback.cues import Done, Refused
from chat4all_connectors.loopback.settings import LoopbackSettings

from .player import account, events, left, modes, played, taken_away, text

if TYPE_CHECKING:
    from pathlib import Path


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


async def test_nothing_is_shown_where_nobody_can_come(path: Path) -> None:
    elsewhere = Loopback(LoopbackSettings(socket=str(path)))
    with pytest.raises(Transient):
        await elsewhere.send_message(text("lost"))
    async with account(path) as loopback:
        await loopback.send_message(text("seen"))
        assert [line.text for line in loopback.stage.lines("ana")] == ["seen"]
