from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_actors.presence.last_seen import LastSeen
from chat4all_storage.memory.directory import MemoryDirectory
from chat4all_storage.ports.directory import User
from chat4all_storage.ports.errors import Unavailable

if TYPE_CHECKING:
    from trio.testing import MockClock

USERS = ["ana", "bob", "carla"]


async def directory_of(**seen: int) -> MemoryDirectory:
    directory = MemoryDirectory()
    for user in USERS:
        await directory.add_user(User(f"id of {user}", user, b""))
    await directory.note_seen(seen)
    return directory


async def test_it_begins_with_those_who_were_there_last() -> None:
    seen = LastSeen(await directory_of(ana=1, bob=3, carla=2), 2)
    await seen.load()
    assert [seen.of(user) for user in USERS] == [None, 3, 2]
    assert seen.unknown(USERS) == ["ana"]
    await seen.look_up(["ana"])
    assert seen.of("ana") == 1
    assert len(seen) == 2


async def test_nothing_is_asked_when_everything_is_known() -> None:
    seen = LastSeen(await directory_of(bob=3), 10)
    await seen.load()
    assert seen.unknown(USERS) == []
    seen.doubt()
    assert seen.unknown(USERS) == ["ana", "carla"]


async def test_the_latest_time_stays_and_the_oldest_note_goes() -> None:
    seen = LastSeen(await directory_of(), 2)
    await seen.load()
    seen.note("ana", 5, write=False)
    seen.note("bob", 5, write=False)
    seen.note("ana", 4, write=False)
    seen.note("carla", 6, write=False)
    assert [seen.of(user) for user in USERS] == [5, None, 6]
    assert seen.unknown(USERS) == ["bob"]
    seen.forget("ana")
    assert seen.of("ana") is None


async def test_a_directory_that_fails_knows_nothing(autojump_clock: MockClock) -> None:
    directory = await directory_of(ana=1)

    async def fail(*_: object) -> dict[str, int]:
        raise Unavailable("no connection")

    async def stall(*_: object) -> dict[str, int]:
        await trio.sleep_forever()
        raise AssertionError

    directory.last_seen = fail  # type: ignore[method-assign,assignment]
    for trouble in (fail, stall):
        directory.seen_lately = trouble  # type: ignore[method-assign,assignment]
        seen = LastSeen(directory, 10)
        await seen.load()
        await seen.look_up(["ana"])
        assert seen.of("ana") is None
        assert seen.unknown(["ana"]) == ["ana"]
