"""Who is there, as others see it, at the real server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from chat4all_protocol.frames import Conv, Mode, Ok, Presence, Watch
from tests.life.devices import people

if TYPE_CHECKING:
    from tests.life.conftest import Names, StartServer
    from tests.life.devices import Device
    from tests.life.processes import ServerProcess

DAMPING = 0.2


def seen(frame: Presence) -> tuple[str, str, bool]:
    return frame.user, frame.status, frame.last_seen is not None


async def watch(device: Device, *users: str) -> list[tuple[str, str, bool]]:
    """The first answers to a watch, by user."""
    await device.send(Watch(users=list(users)))
    return sorted([seen(await device.expect(Presence)) for _ in users])


async def test_a_friend_comes_goes_away_and_leaves(start_server: StartServer, names: Names) -> None:
    server = start_server(presence_damping=DAMPING)
    ana, bob = names(2)
    async with people(server) as here:
        anas = await here.connect(ana)
        await anas.create("private", [bob])
        assert await watch(anas, bob, ana) == sorted(
            [(bob, "offline", False), (ana, "online", False)]
        )
        bobs = await here.connect(bob)
        assert seen(await anas.expect(Presence)) == (bob, "online", False)
        assert (await bobs.ask(Mode(rid=7, background=True), Ok)).rid == 7
        assert seen(await anas.expect(Presence)) == (bob, "away", False)
        assert (await bobs.ask(Mode(rid=8, background=False), Ok)).rid == 8
        assert seen(await anas.expect(Presence)) == (bob, "online", False)
        before = time.time()
        await bobs.cut()
        gone = await anas.expect(Presence)
        assert (gone.user, gone.status) == (bob, "offline")
        assert gone.last_seen is not None
        assert before - 1 <= gone.last_seen / 1000 <= time.time() + 1


async def test_a_stranger_is_never_there(server: ServerProcess, names: Names) -> None:
    ana, bob, carla = names(3)
    async with people(server) as here:
        anas, bobs = await here.connect(ana), await here.connect(bob)
        users = (bob, "nobody.at-all")
        assert await watch(anas, *users) == [(user, "offline", False) for user in sorted(users)]
        group = await anas.create("group", [carla])
        assert await anas.seen() == []
        await bobs.create("private", [ana])
        assert (await anas.expect(Conv)).conv != group.conv
        assert seen(await anas.expect(Presence)) == (bob, "online", False)


async def test_a_group_is_acquainted_after_a_new_connection(
    server: ServerProcess, names: Names
) -> None:
    ana, bob, carla = names(3)
    async with people(server) as here:
        anas = await here.connect(ana)
        await anas.create("group", [bob, carla])
        await anas.cut()
        anas = await here.connect(ana)
        bobs = await here.connect(bob)
        assert (await bobs.ask(Mode(rid=1, background=True), Ok)).rid == 1
        assert await watch(anas, bob, carla) == sorted(
            [(bob, "away", False), (carla, "offline", False)]
        )


async def test_settings_and_times_outlive_the_server(
    start_server: StartServer, names: Names
) -> None:
    ana, bob, carla = names(3)
    first = start_server(presence_damping=DAMPING)
    async with people(first) as here:
        anas = await here.connect(ana)
        await anas.create("group", [bob, carla])
        for name in (bob, carla):
            device = await here.connect(name)
            if name == bob:
                assert (await device.ask(Mode(rid=1, invisible=True), Ok)).rid == 1
            await device.cut()
    assert first.stop() == 0
    second = start_server(presence_damping=DAMPING)
    async with people(second) as here:
        anas = await here.connect(ana)
        assert await watch(anas, bob, carla, ana) == sorted(
            [(bob, "offline", False), (carla, "offline", True), (ana, "online", False)]
        )
        bobs = await here.connect(bob)
        assert (await bobs.ask(Mode(rid=2), Ok)).rid == 2
        assert await anas.seen() == []
        assert (await bobs.ask(Mode(rid=3, invisible=False), Ok)).rid == 3
        assert seen(await anas.expect(Presence)) == (bob, "online", False)


async def test_a_crowd_is_answered_from_memory(server: ServerProcess, names: Names) -> None:
    everybody = names(60)
    ana, others = everybody[0], everybody[1:]
    async with people(server) as here:
        anas = await here.connect(ana)
        for other in others:
            await anas.create("private", [other])
        for other in others[:20]:
            await here.connect(other)
        begun = time.perf_counter()
        found = await watch(anas, *others)
        took = time.perf_counter() - begun
        assert [status for _, status, _ in found].count("online") == 20
        print(f"59 presences in {took * 1000:.1f} ms")
