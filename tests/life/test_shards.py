"""Two databases: one that does not answer costs nothing but its own conversations."""

from __future__ import annotations

import json
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_protocol.frames import Conv, Error, Gap, Msg, Sent
from chat4all_storage.ports.logical_shards import logical_shard
from tests.life.devices import people, texts
from tests.life.processes import chat4all, serving
from tests.life.raw_sockets import RawSocket, Response, parse_response
from tests.support.storage_servers import PostgresServer, run_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.life.devices import Device
    from tests.life.processes import ServerProcess

pytestmark = pytest.mark.xdist_group("test_shards")  # a server for all of them

PATIENCE = {"CHAT4ALL_LOG_PATIENCE": "0.5", "CHAT4ALL_RESUME_PATIENCE": "1"}


@pytest.fixture(scope="module")
def second_server() -> Iterator[PostgresServer]:
    """A server that these tests may stop."""
    with run_postgres() as server:
        yield server


@pytest.fixture
def dsns(postgres_server: PostgresServer, second_server: PostgresServer) -> Iterator[list[str]]:
    """A directory, and a second database on the server that may be stopped; Ana and Bob."""
    with postgres_server.fresh_database() as one, second_server.fresh_database() as other:
        done = chat4all(
            *("user", "add", "ana", "bob", "--password", "a password"),
            *("--postgres", one, "--postgres", other),
        )
        assert done.returncode == 0, done.stderr
        yield [one, other]


def arguments(dsns: list[str]) -> list[str]:
    return [each for dsn in dsns for each in ("--postgres", dsn)]


async def conversation_in(device: Device, database: int) -> str:
    """A group of Ana's and Bob's in one of the two databases."""
    while True:
        conv = (await device.create("group", ["bob"])).conv
        if logical_shard(conv) % 2 == database:
            return conv


def health(server: ServerProcess) -> Response:
    with RawSocket(server.port) as connection:
        connection.send(b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
        return parse_response(connection.rest())


async def until_answered(device: Device, conv: str, text: str) -> Sent:
    """Send again and again what is refused for now."""
    send = device.message(conv, text)
    while True:
        await device.send(send)
        answer = await device.receive()
        if isinstance(answer, Sent):
            return answer
        assert isinstance(answer, Error), answer
        assert (answer.code, answer.temporary) == ("UNAVAILABLE", True)
        await trio.sleep(0.1)


async def until_introduced(device: Device, conv: str) -> Conv:
    """The frame that introduces a conversation; only others of the kind come before it."""
    while True:
        frame = await device.receive()
        assert isinstance(frame, Conv), frame
        if frame.conv == conv:
            return frame


async def test_while_a_database_hangs_the_conversations_of_the_other_go_on(
    dsns: list[str], second_server: PostgresServer, tmp_path: Path
) -> None:
    with serving(tmp_path / "data", *arguments(dsns), env=PATIENCE) as server:
        async with people(server) as here:
            ana = await here.connect("ana")
            one, other = [await conversation_in(ana, database) for database in (0, 1)]
            for conv in (one, other):
                for number in range(1, 6):
                    await ana.say(conv, f"{number}")
            with second_server.frozen():
                start = trio.current_time()
                bob, ready = await here.ready("bob", cursors={one: 4, other: 3})
                assert trio.current_time() - start < 3
                assert one in [each.conv for each in ready.convs]
                assert other not in [each.conv for each in ready.convs]
                assert texts(await bob.seen()) == [(5, "ana", "5")]
                # It hangs: what becomes of this one is not certain, until it answers again.
                first = ana.message(other, "in doubt")
                await ana.send(first)
                await trio.sleep(float(PATIENCE["CHAT4ALL_LOG_PATIENCE"]) + 0.2)
                refused = await ana.refused(ana.message(other, "refused at once"))
                assert (refused.code, refused.temporary) == ("UNAVAILABLE", True)
                for number in range(6, 9):
                    sent = await ana.say(one, f"{number}")
                    assert texts([await bob.expect(Msg)]) == [(sent.seq, "ana", f"{number}")]
                answer = health(server)
                assert answer.status == 200
                assert json.loads(answer.body)["status"] == "degraded"
            # Bob is let in when it is back, before or after the message in doubt.
            introduced = await until_introduced(bob, other)
            assert (introduced.head, introduced.members) == (3, ["ana", "bob"])
            gap = await bob.expect(Gap)
            assert (gap.conv, gap.from_) == (other, 4)
            assert gap.to in (5, 6)
            doubt = await ana.expect(Sent)
            assert (doubt.id, doubt.seq) == (first.id, 6)
            assert (await until_answered(ana, other, "back")).seq == 7
            seen = [frame for frame in await bob.seen() if isinstance(frame, Msg)]
            assert texts(seen)[-1] == (7, "ana", "back")
            page = await bob.fetch(other, after=3)
            assert [seq for seq, _, _ in texts(page.items)] == [4, 5, 6, 7]


async def test_a_database_that_is_down_does_not_prevent_the_start(
    dsns: list[str], second_server: PostgresServer, tmp_path: Path
) -> None:
    with serving(tmp_path / "data", *arguments(dsns), env=PATIENCE) as server:
        async with people(server) as here:
            ana = await here.connect("ana")
            one, other = [await conversation_in(ana, database) for database in (0, 1)]
            for conv in (one, other):
                await ana.say(conv, "before")
        server.stop()
    with ExitStack() as stack:
        outage = stack.enter_context(ExitStack())
        outage.enter_context(second_server.outage())
        server = stack.enter_context(serving(tmp_path / "data", *arguments(dsns), env=PATIENCE))
        async with people(server) as here:
            ana, ready = await here.ready("ana")
            assert one in [each.conv for each in ready.convs]
            await ana.say(one, "during")
            outage.close()
            await until_introduced(ana, other)
            await ana.seen()
            assert (await ana.say(other, "after")).seq == 2


async def test_a_shard_moves_while_people_write(dsns: list[str], tmp_path: Path) -> None:
    with serving(tmp_path / "data", *arguments(dsns)) as server:
        async with people(server) as here:
            ana = await here.connect("ana")
            conv = await conversation_in(ana, 0)
            bob = await here.connect("bob")
            moved = trio.Event()
            waited: list[float] = []

            async def write() -> None:
                while not moved.is_set():
                    start = trio.current_time()
                    await ana.say(conv, "under way")
                    waited.append(trio.current_time() - start)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(write)
                for to in ("2", "1", "2"):
                    command = ["shards", "move", str(logical_shard(conv)), "--to", to, "--json"]
                    move = partial(chat4all, *command, *arguments(dsns))
                    done = await trio.to_thread.run_sync(move)
                    assert done.returncode == 0, done.stderr
                    assert json.loads(done.stdout)["paused"] < 1
                moved.set()
            assert max(waited) < 2
            seen = [frame for frame in await bob.seen() if isinstance(frame, Msg)]
            assert [one.seq for one in seen] == list(range(1, len(waited) + 1))
            late, ready = await here.ready("bob", "late")
            assert {each.conv: each.head for each in ready.convs}[conv] == len(waited)
            page = await late.fetch(conv, after=len(waited) - 5)
            assert [item.seq for item in page.items] == [each.seq for each in seen[-5:]]
