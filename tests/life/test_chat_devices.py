"""Several devices of a person, and what tokens open and close at the real server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from chat4all_protocol.frames import (
    Connect,
    Conv,
    Error,
    Msg,
    Ok,
    Ready,
    Refresh,
    Sent,
)
from chat4all_protocol.ids import new_id
from tests.life.devices import Device, people, texts
from tests.support.server import token

if TYPE_CHECKING:
    from tests.life.conftest import Names, StartServer
    from tests.life.processes import ServerProcess


async def test_the_sending_device_gets_sent_and_the_others_get_the_message(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        phone, tablet = await here.connect(ana, "phone"), await here.connect(ana, "tablet")
        bobs = await here.connect(bob)
        conv = (await phone.create("private", [bob])).conv
        assert (await tablet.expect(Conv)).conv == (await bobs.expect(Conv)).conv == conv
        sent = await phone.say(conv, "from my phone")
        for other in (tablet, bobs):
            got = await other.expect(Msg)
            assert (got.id, got.seq, got.ts, got.from_) == (sent.id, sent.seq, sent.ts, ana)
        assert await phone.seen() == []


async def test_sent_stands_in_the_order_in_place_of_the_message(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        devices = [
            await here.connect(ana, "phone"),
            await here.connect(ana, "tablet"),
            await here.connect(bob),
        ]
        conv = (await devices[0].create("private", [bob])).conv
        for device in devices[1:]:
            await device.expect(Conv)
        own: list[set[str]] = [set(), set(), set()]
        for _ in range(40):
            for device, ids in zip(devices, own, strict=True):
                send = device.message(conv, "x")
                ids.add(send.id)
                await device.send(send)
        for device, ids in zip(devices, own, strict=True):
            for seq in range(1, 121):
                frame = await device.receive()
                assert isinstance(frame, Sent | Msg)
                assert frame.seq == seq
                assert isinstance(frame, Sent) == (frame.id in ids)


async def test_the_same_device_replaces_its_older_connection_at_once(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        old, tablet = await here.connect(ana, "phone"), await here.connect(ana, "tablet")
        conv = (await old.create("private", [bob])).conv
        await tablet.expect(Conv)
        new = await here.connect(ana, "phone")
        assert await old.closed() == 3504
        await tablet.say(conv, "still here")
        assert texts([await new.expect(Msg)]) == [(1, ana, "still here")]
        # The same name of a device of somebody else is another device.
        await here.connect(bob, "phone")
        assert await new.seen() == []


async def test_a_device_that_is_replaced_again_and_again_ends_up_with_one_connection(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        connections = [await here.connect(ana) for _ in range(10)]
        for replaced in connections[:-1]:
            assert await replaced.closed() == 3504
        conv = (await connections[-1].create("private", [bob])).conv
        assert (await connections[-1].say(conv, "one")).seq == 1


async def test_a_user_may_have_only_so_many_devices(
    start_server: StartServer, names: Names
) -> None:
    (ana,) = names(1)
    async with people(start_server(max_sessions_per_user=3)) as here:
        for number in range(3):
            await here.connect(ana, f"device-{number}")
        late = here.device()
        await late.open()
        await late.send(Connect(token=token(ana), device="device-3"))
        assert await late.closed() == 3505
        await here.connect(ana, "device-1")


# Tokens


async def refused_connect(device: Device, access_token: str) -> tuple[str, int]:
    error = await device.present(access_token)
    assert isinstance(error, Error), error
    return error.code, await device.closed()


def tampered(access_token: str) -> str:
    """The same claims under another signature."""
    head, claims, signature = access_token.split(".")
    return f"{head}.{claims}.{signature[::-1]}"


async def test_a_bad_token_closes_with_3500_and_an_expired_one_with_3005(
    server: ServerProcess, names: Names
) -> None:
    (ana,) = names(1)
    none = "eyJhbGciOiJub25lIn0." + token(ana).split(".")[1] + "."
    async with people(server) as here:
        for bad in ("nonsense", "a.b.c", tampered(token(ana)), none):
            assert await refused_connect(here.device(), bad) == ("UNAUTHENTICATED", 3500)
        expired = token(ana, lifetime=-60)
        assert await refused_connect(here.device(), expired) == ("UNAUTHENTICATED", 3005)


async def test_a_connection_ends_with_3005_when_its_token_does_unless_it_is_refreshed(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    ids = {name: new_id() for name in (ana, bob)}
    begun = time.time()
    async with people(server) as here:
        refreshed, neglected = here.device(), here.device()
        for device, name in ((refreshed, ana), (neglected, bob)):
            ready = await device.present(token(name, ids[name], lifetime=2))
            assert isinstance(ready, Ready)
        answer = await refreshed.ask(Refresh(rid=3, token=token(ana, ids[ana])), Ok)
        assert answer.rid == 3
        assert await neglected.closed() == 3005
        assert time.time() >= int(begun + 2)
        assert await refreshed.seen() == []


async def test_a_refresh_needs_a_good_token_of_the_same_user(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    user_id = new_id()
    async with people(server) as here:
        device = here.device()
        assert isinstance(await device.present(token(ana, user_id)), Ready)
        for bad, code in (
            ("nonsense", "UNAUTHENTICATED"),
            (tampered(token(ana, user_id)), "UNAUTHENTICATED"),
            (token(ana, user_id, lifetime=-60), "UNAUTHENTICATED"),
            (token(bob), "FORBIDDEN"),
        ):
            assert (await device.refused(Refresh(rid=4, token=bad))).code == code
        assert (await device.create("private", [bob])).head == 0


@pytest.mark.parametrize("same_device", [True, False])
async def test_a_second_connect_closes_with_3501(
    server: ServerProcess, names: Names, same_device: bool
) -> None:
    (ana,) = names(1)
    async with people(server) as here:
        device = await here.connect(ana, "one")
        name = "one" if same_device else "two"
        await device.send(Connect(token=token(ana), device=name))
        assert (await device.expect(Error)).code == "BAD_FRAME"
        assert await device.closed() == 3501
