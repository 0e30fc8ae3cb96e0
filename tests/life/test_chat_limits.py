"""What the real server does not take: limits, rates, and frames that are wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from chat4all_protocol.frames import (
    Connect,
    Create,
    Error,
    Fetch,
    FileBody,
    Ping,
    Pong,
    Ready,
    Sent,
)
from chat4all_protocol.ids import new_id
from tests.life.devices import people, texts
from tests.life.processes import chat4all, serving
from tests.storage.probes import locked, until_blocked
from tests.support.server import token

if TYPE_CHECKING:
    from pathlib import Path

    from chat4all_storage.bridge import Bridge
    from tests.life.conftest import Names, StartServer
    from tests.life.processes import ServerProcess

CONV = "0b6f5a0e-6c1d-5b8a-9f43-2d1c7a9e4b10"


def padded_ping(size: int) -> bytes:
    """A `ping` with an unknown key that fills it up to `size` bytes."""
    head = b"\x82\xa1t\xa4ping\xa3pad\xdb"
    padding = size - len(head) - 4
    return head + padding.to_bytes(4, "big") + b"x" * padding


async def test_a_text_may_be_as_long_as_hello_says_and_no_longer(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        anas = await here.connect(ana)
        hello = anas.rules.hello
        assert hello is not None
        conv = (await anas.create("private", [bob])).conv
        longest = "😀" * hello.limits.text
        assert (await anas.say(conv, longest)).seq == 1
        error = await anas.refused(anas.message(conv, longest + "!"))
        assert (error.code, error.field, error.temporary) == ("TOO_LARGE", "body.text", False)
        assert (await anas.say(conv, "next")).seq == 2
        assert texts((await anas.fetch(conv)).items) == [(1, ana, longest), (2, ana, "next")]


async def test_meta_may_have_4096_bytes(server: ServerProcess, names: Names) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        anas = await here.connect(ana)
        conv = (await anas.create("private", [bob])).conv
        full = {"k": "x" * (4096 - 6)}
        assert len(msgspec.msgpack.encode(full)) == 4096
        assert (await anas.say(conv, "full", meta=full)).seq == 1
        over = {"k": full["k"] + "x"}
        error = await anas.refused(anas.message(conv, "over", meta=over))
        assert (error.code, error.field) == ("TOO_LARGE", "meta")


async def test_a_group_may_have_as_many_members_as_the_server_allows(
    start_server: StartServer, names: Names
) -> None:
    ana, *others = names(5)
    async with people(start_server(max_members=4)) as here:
        anas = await here.connect(ana)
        assert len((await anas.create("group", others[:3])).members) == 4
        assert len((await anas.create("group", [*others[:3], ana, *others[:3]])).members) == 4
        error = await anas.refused(Create(rid=1, type="group", members=others))
        assert (error.code, error.field) == ("TOO_LARGE", "members")


async def test_a_group_of_a_thousand_members_is_the_largest(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        anas = await here.connect(ana)
        crowd = Create(rid=1, type="group", members=[bob] * 1000)
        await anas.send(crowd)
        assert len(await anas.seen()) == 1
        error = await anas.refused(Create(rid=2, type="group", members=[bob] * 1001))
        assert (error.code, error.field) == ("INVALID_PAYLOAD", "members")


@pytest.mark.parametrize("connected", [False, True])
async def test_a_frame_may_be_as_large_as_hello_says_and_one_byte_more_closes_with_1009(
    server: ServerProcess, names: Names, connected: bool
) -> None:
    (ana,) = names(1)
    async with people(server) as here:
        device = here.device()
        if connected:
            await device.connect(ana)
        else:
            await device.open()
        assert device.rules.hello is not None
        limit = device.rules.hello.limits.frame
        await device.send_bytes(padded_ping(limit))
        await device.expect(Pong)
        await device.send_bytes(padded_ping(limit + 1))
        assert await device.closed() == 1009


async def test_messages_beyond_the_rate_are_refused_until_it_is_time(
    start_server: StartServer, names: Names
) -> None:
    ana, bob = names(2)
    server = start_server(rate_messages_per_minute=120, rate_burst=5)
    async with people(server) as here:
        anas, tablet = await here.connect(ana), await here.connect(ana, "tablet")
        assert anas.rules.hello is not None
        assert anas.rules.hello.limits.rate == 120
        conv = (await anas.create("private", [bob])).conv
        sends = [anas.message(conv, f"{number}") for number in range(12)]
        for send in sends:
            await anas.send(send)
        answers = [await anas.receive() for _ in sends]
        refused = [answer for answer in answers if isinstance(answer, Error)]
        assert refused
        assert len(answers) - len(refused) >= 5
        for error in refused:
            assert (error.code, error.temporary) == ("RATE_LIMITED", True)
            assert error.retry_after_ms is not None
            assert 0 < error.retry_after_ms <= 500
        # Refused, not stored; and accepted once the time that was told has passed.
        stored = len(answers) - len(refused)
        assert len((await anas.fetch(conv)).items) == stored
        by_rid = {send.rid: send for send in sends}
        assert refused[-1].rid is not None
        assert refused[-1].retry_after_ms is not None
        retry = by_rid[refused[-1].rid]
        await trio.sleep(refused[-1].retry_after_ms / 1000)
        sent = await anas.ask(retry, Sent)
        assert (sent.seq, sent.dup) == (stored + 1, False)
        # The rate is the user's, on whatever device; nobody else's is touched.
        bobs = await here.connect(bob)
        for _ in range(8):
            await tablet.send(tablet.message(conv, "more"))
        codes = [getattr(frame, "code", None) for frame in await tablet.seen()]
        assert "RATE_LIMITED" in codes
        assert (await bobs.say(conv, "mine")).dup is False


# Frames that are wrong


async def test_an_unknown_frame_is_answered_and_the_connection_goes_on(
    server: ServerProcess, names: Names
) -> None:
    (ana,) = names(1)
    async with people(server) as here:
        device = await here.connect(ana)
        for _ in range(5):
            await device.send_bytes(msgspec.msgpack.encode({"t": "dance", "rid": 3}))
            error = await device.expect(Error)
            assert (error.code, error.rid) == ("UNKNOWN_FRAME", 3)
        assert await device.seen() == []


async def test_a_file_body_is_not_offered(server: ServerProcess, names: Names) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        device = await here.connect(ana)
        conv = (await device.create("private", [bob])).conv
        send = msgspec.structs.replace(device.message(conv, "x"), body=FileBody(new_id()))
        assert (await device.refused(send)).field == "body.file_id"


BAD_FRAMES = {
    "nothing": b"",
    "no map": msgspec.msgpack.encode(["ping"]),
    "no t": msgspec.msgpack.encode({"rid": 1}),
    "t is no string": msgspec.msgpack.encode({"t": 1}),
    "a cut map": msgspec.msgpack.encode({"t": "ping", "at": 1})[:-1],
    "something after the map": msgspec.msgpack.encode({"t": "ping"}) + b"\xc0",
    "binary": msgspec.msgpack.encode({"t": "ping", "x": b"bytes"}),
    "an extension": b"\x82\xa1t\xa4ping\xa1x\xd4\x01\x00",
    "a key twice": b"\x82\xa1t\xa4ping\xa1t\xa4ping",
    "a key that is no string": b"\x82\xa1t\xa4ping\x01\x01",
    "too deep": b"\x82\xa1t\xa4ping\xa1x" + b"\x91" * 16 + b"\xc0",
    "an array that claims four billion items": b"\x82\xa1t\xa4ping\xa1x\xdd\xff\xff\xff\xff",
    "text that is not UTF-8": b"\x81\xa1t\xa4\xff\xff\xff\xff",
    "random bytes": bytes.fromhex("c1c1c1c1"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FRAMES)
async def test_the_third_bad_frame_closes_with_1007(
    server: ServerProcess, names: Names, name: str
) -> None:
    (ana,) = names(1)
    async with people(server) as here:
        device = await here.connect(ana)
        for number in (1, 2, 3):
            await device.send_bytes(BAD_FRAMES[name])
            error = await device.expect(Error)
            assert (error.code, error.rid) == ("BAD_FRAME", None)
            if number < 3:
                assert await device.ask(Ping(at=number), Pong)
        assert await device.closed() == 1007


def send_fields(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "t": "send", "rid": 5, "conv": CONV, "id": new_id(),
        "body": {"type": "text", "text": "x"},
    }  # fmt: skip
    return fields | changes


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        (send_fields(conv="not a uuid"), "conv"),
        (send_fields(conv=CONV.upper()), "conv"),
        (send_fields(conv=None), "conv"),
        (send_fields(id=7), "id"),
        (send_fields(body="text"), "body"),
        (send_fields(body={"type": "text"}), "body.text"),
        (send_fields(body={"type": "text", "text": ""}), "body.text"),
        (send_fields(body={"type": "text", "text": 5}), "body.text"),
        (send_fields(body={"type": "song", "text": "x"}), "body.type"),
        (send_fields(reply_to=0), "reply_to"),
        (send_fields(reply_to=1.0), "reply_to"),
        (send_fields(meta=[]), "meta"),
        (send_fields(channels=["UPPER"]), "channels[0]"),
        (send_fields(channels=["internal", 5]), "channels[1]"),
        ({"t": "fetch", "rid": 5, "conv": CONV, "limit": 101}, "limit"),
        ({"t": "fetch", "rid": 5, "conv": CONV, "limit": 0}, "limit"),
        ({"t": "fetch", "rid": 5, "conv": CONV, "after": -1}, "after"),
        ({"t": "fetch", "rid": 5, "conv": CONV, "before": 0}, "before"),
        ({"t": "create", "rid": 5, "type": "party", "members": []}, "type"),
        ({"t": "create", "rid": 5, "type": "group", "members": ["ok", "a b"]}, "members[1]"),
        ({"t": "create", "rid": 5, "type": "group", "members": "ana"}, "members"),
        ({"t": "create", "rid": 5, "type": "group", "members": [], "title": ""}, "title"),
        ({"t": "info", "rid": 5}, "conv"),
        ({"t": "refresh", "rid": 5, "token": ""}, "token"),
    ],
    ids=lambda value: value if isinstance(value, str) else value["t"],
)
async def test_a_field_at_fault_is_named(
    server: ServerProcess, names: Names, fields: dict[str, Any], field: str
) -> None:
    (ana,) = names(1)
    async with people(server) as here:
        device = await here.connect(ana)
        await device.send_bytes(msgspec.msgpack.encode(fields))
        error = await device.expect(Error)
        assert (error.code, error.rid, error.field) == ("INVALID_PAYLOAD", 5, field)
        assert (error.temporary, field in error.message) == (False, True)
        assert await device.seen() == []


async def test_a_rid_at_fault_is_named_and_not_answered_with(
    server: ServerProcess, names: Names
) -> None:
    (ana,) = names(1)
    async with people(server) as here:
        device = await here.connect(ana)
        for rid in (-1, "1", None, 1.5):
            await device.send_bytes(msgspec.msgpack.encode(send_fields(rid=rid)))
            error = await device.expect(Error)
            assert (error.code, error.field, error.rid) == ("INVALID_PAYLOAD", "rid", None)


async def test_after_and_before_exclude_each_other(server: ServerProcess, names: Names) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        device = await here.connect(ana)
        conv = (await device.create("private", [bob])).conv
        fields = {"t": "fetch", "rid": 5, "conv": conv, "after": 0, "before": 9}
        await device.send_bytes(msgspec.msgpack.encode(fields))
        error = await device.expect(Error)
        assert (error.code, error.rid) == ("INVALID_PAYLOAD", 5)


async def test_nothing_but_ping_is_answered_before_connect(
    server: ServerProcess, names: Names
) -> None:
    async with people(server) as here:
        device = here.device()
        await device.open()
        assert (await device.ask(Ping(at=4), Pong)).at == 4
        for _ in range(4):
            error = await device.refused(Fetch(rid=6, conv=CONV))
            assert error.code == "UNAUTHENTICATED"
        assert (await device.ask(Ping(), Pong)).at is None


async def test_when_too_many_connect_at_once_the_others_are_told_when_to_come_back(
    bridge: Bridge, database: str, tmp_path: Path
) -> None:
    people_ = ["ana", "bob"]
    done = chat4all("user", "add", *people_, "--password", "a password", "--postgres", database)
    assert done.returncode == 0, done.stderr
    env = {"CHAT4ALL_MAX_CONNECTING": "1", "CHAT4ALL_MAX_CONNECTING_WAITING": "0"}
    with serving(tmp_path / "server", "--postgres", database, env=env) as server:
        async with people(server) as here:
            first, second = here.device(), here.device()
            async with locked(bridge, database, reads=True):
                await first.open()
                connect = Connect(token=token("ana"), device="d")
                first.rules.connecting(connect)
                await first.send(connect)
                await until_blocked(database)
                error = await second.present(token("bob"))
                assert isinstance(error, Error)
                assert (error.code, error.temporary) == ("UNAVAILABLE", True)
                assert error.retry_after_ms is not None
                assert error.retry_after_ms >= 5000
                assert await second.closed() == 3013
            assert isinstance(await first.receive(), Ready)
            await here.connect("bob")
