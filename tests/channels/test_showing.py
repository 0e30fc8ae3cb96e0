"""People on a channel see that somebody here types, and has read what they wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_actors.channels import showing
from chat4all_actors.channels.showing import PATIENCE, PAUSE, TYPING_EVERY, Showing
from chat4all_actors.conversation.signs import Signs
from chat4all_connectors.errors import Refused, Throttled, Transient
from chat4all_connectors.loopback.connector import Loopback
from chat4all_protocol.frames import Read, Typing

from .test_linking import linked
from .test_members import rest
from .world import ACCOUNT, BEA, world

if TYPE_CHECKING:
    from trio.testing import MockClock

    from chat4all_connectors.errors import SendError

    from .world import World

ROOM = "a conversation"


class Screen(Loopback):
    """Notes what is shown, and may fail or hang."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[tuple[float, str, str]] = []
        self.error: SendError | None = None
        self.hangs = False

    async def typing(self, chat: str, message: str | None) -> None:
        await self._show("typing", chat)

    async def mark_read(self, chat: str, message: str) -> None:
        await self._show(message, chat)

    async def _show(self, what: str, chat: str) -> None:
        self.shown.append((trio.current_time(), what, chat))
        if self.hangs:
            await trio.sleep_forever()
        if self.error is not None:
            raise self.error

    @property
    def what(self) -> list[str]:
        return [what for _, what, _ in self.shown]


class Play:
    """An account that shows, and the signs it watches."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.screen = Screen()
        self.signs = Signs()
        self.showing = Showing(ACCOUNT, self.screen, self.signs)
        nursery.start_soon(self.showing.run)

    def wrote(self, message: str = "m1", seq: int = 1, *, chat: str = "bea") -> None:
        self.showing.wrote(ROOM, f"{ACCOUNT}:{chat}", chat, message, seq)


async def test_typing_is_shown_once_in_four_seconds(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    play = Play(nursery)
    play.wrote()
    for _ in range(9):
        play.signs.composes(ROOM, "ana")
        play.wrote()  # a message more changes nothing about that
        await trio.sleep(1)
    times = [at for at, _, _ in play.screen.shown]
    assert times == [0, TYPING_EVERY, 2 * TYPING_EVERY]


async def test_what_was_read_is_shown_once_and_before_typing(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    play = Play(nursery)
    play.wrote("m3", 3)
    play.signs.composes(ROOM, "ana")
    play.signs.has_read(ROOM, "ana", 2)
    play.signs.has_read(ROOM, "ana", 3)
    play.signs.has_read(ROOM, "bob", 4)
    await trio.sleep(1)
    assert play.screen.what == ["m3", "typing"]
    play.wrote("m5", 5)
    play.signs.has_read(ROOM, "ana", 5)
    await trio.sleep(1)
    assert play.screen.what == ["m3", "typing", "m5"]


async def test_all_who_wrote_in_a_group_see_that_somebody_types_and_has_read_theirs(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    play = Play(nursery)
    play.wrote("m3", 3)
    play.wrote("m4", 4, chat="gus")
    play.signs.composes(ROOM, "ana")
    play.signs.has_read(ROOM, "ana", 3)
    await trio.sleep(1)
    shown = sorted((what, chat) for _, what, chat in play.screen.shown)
    assert shown == [("m3", "bea"), ("typing", "bea"), ("typing", "gus")]
    play.signs.has_read(ROOM, "ana", 4)
    await trio.sleep(1)
    assert play.screen.shown[-1][1:] == ("m4", "gus")


async def test_people_outside_and_who_wrote_it_show_nothing(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    play = Play(nursery)
    play.showing.wrote(ROOM, "ana", "bea", "m1", 1)
    for user in ("ana", "telegram:7"):
        play.signs.composes(ROOM, user)
        play.signs.has_read(ROOM, user, 1)
    await trio.sleep(1)
    assert play.screen.shown == []


async def test_calls_are_kept_apart(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    play = Play(nursery)
    for number in range(3):
        room, chat = f"room {number}", f"chat {number}"
        play.showing.wrote(room, f"{ACCOUNT}:{chat}", chat, "m", 1)
        play.signs.has_read(room, "ana", 1)
    await trio.sleep(1)
    assert [at for at, _, _ in play.screen.shown] == pytest.approx([0, PAUSE, 2 * PAUSE])


async def test_who_writes_elsewhere_is_not_shown_what_happens_where_they_wrote(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    play = Play(nursery)
    play.wrote()
    play.showing.wrote("another", BEA, "bea", "m2", 1)
    play.signs.composes(ROOM, "ana")
    await trio.sleep(1)
    assert play.screen.shown == []
    assert len(play.signs) == 1


@pytest.mark.parametrize("error", [Transient("away"), Refused("not this")])
async def test_an_error_is_let_go(
    autojump_clock: MockClock, nursery: trio.Nursery, error: SendError
) -> None:
    play = Play(nursery)
    play.screen.error = error
    play.wrote()
    play.signs.has_read(ROOM, "ana", 1)
    await trio.sleep(1)
    play.screen.error = None
    play.signs.composes(ROOM, "ana")
    await trio.sleep(1)
    assert play.screen.what == ["m1", "typing"]


async def test_a_call_that_hangs_is_given_up(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    play = Play(nursery)
    play.screen.hangs = True
    play.wrote()
    play.signs.has_read(ROOM, "ana", 1)
    play.signs.composes(ROOM, "ana")
    await trio.sleep(PATIENCE + 1)
    assert play.screen.what == ["m1"]  # typing is over by then
    play.signs.composes(ROOM, "ana")
    await trio.sleep(1)
    assert play.screen.what == ["m1", "typing"]


async def test_a_provider_that_had_too_many_is_left_alone(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    play = Play(nursery)
    play.screen.error = Throttled("slowly", retry_after=30)
    play.wrote()
    play.signs.composes(ROOM, "ana")
    await trio.sleep(10)
    play.screen.error = None
    play.signs.composes(ROOM, "ana")
    await trio.sleep(25)
    assert len(play.screen.shown) == 1
    play.signs.composes(ROOM, "ana")
    await trio.sleep(1)
    assert len(play.screen.shown) == 2


async def test_chats_are_bounded_and_nothing_is_left_when_the_account_is_let_go(
    autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(showing, "MOST", 2)
    shown, signs = Screen(), Signs()
    each = Showing(ACCOUNT, shown, signs)
    for number in range(4):
        each.wrote(f"room {number}", BEA, f"chat {number}", "m", 1)
    assert len(signs) == 2
    with trio.move_on_after(1):
        await each.run()
    assert len(signs) == 0


async def opened(there: World) -> str:
    """A conversation with Ana that Bea has begun."""
    there.stage.say("bea", "hello")
    await there.soon()
    (listed,) = (await rest(there).ask("GET", "/v1/conversations")).json["conversations"]
    id_: str = listed["conversation_id"]
    return id_


async def test_a_session_that_types_and_reads_is_seen(autojump_clock: MockClock) -> None:
    async with world() as there:
        ana = await there.person("ana")
        conversation = await opened(there)
        (line,) = there.stage.lines("bea")
        assert not line.read
        await ana.say(Typing(conv=conversation))
        await there.soon()
        assert there.stage.typing("bea")
        assert not line.read
        await ana.say(Read(conv=conversation, seq=1))
        await there.soon()
        assert line.read


async def test_what_is_read_over_rest_is_seen(autojump_clock: MockClock) -> None:
    async with world() as there:
        conversation = await opened(there)
        (event,) = await there.events(conversation)
        done = await rest(there).ask("POST", f"/v1/messages/{event.id}/read")
        assert done.status == 204
        await there.soon()
        (line,) = there.stage.lines("bea")
        assert line.read


async def test_a_linked_user_is_not_shown_their_own_reading(autojump_clock: MockClock) -> None:
    async with world(inbox=("bob",)) as there:
        api = await linked(there)
        there.stage.say("bea", "hello from my telephone")
        await there.soon()
        (listed,) = (await api.ask("GET", "/v1/conversations")).json["conversations"]
        (event,) = await there.events(listed["conversation_id"])
        await api.ask("POST", f"/v1/messages/{event.id}/read")
        await there.soon()
        line = there.stage.lines("bea")[-1]
        assert not line.read
        await rest(there, "bob").ask("POST", f"/v1/messages/{event.id}/read")
        await there.soon()
        assert line.read
