"""Several workers on one port: full nodes each, replaced when they end, drained together."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_client import Client, Connected, Msg, open_client
from chat4all_protocol.frames import Ping
from chat4all_storage.embedded.embedded import find_embedded
from chat4all_storage.embedded.processes import command_line, mark_of, marked_processes
from tests.life.crowd import Ended, Member, member
from tests.life.devices import people, texts
from tests.life.processes import ServerProcess, chat4all, serving
from tests.life.raw_sockets import RawSocket
from tests.support.server import token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.life.conftest import Names, StartServer

pytestmark = pytest.mark.xdist_group("test_workers")  # a server for all of them

PROMISED_GAP = 10.0
"""Seconds that a rolling restart may hold up a message at most."""
ACCEPTS = re.compile(r"worker (\d+) \(pid (\d+)\) accepts work")


def accepting(server: ServerProcess) -> dict[int, int]:
    """The pid of the latest worker at each place, by number."""
    return {int(number): int(pid) for number, pid in ACCEPTS.findall(server.log.read_text())}


async def log_says(server: ServerProcess, text: str, count: int = 1) -> None:
    while server.log.read_text().count(text) < count:  # noqa: ASYNC110 - a file sets no events
        await trio.sleep(0.02)


async def gone(pid: int) -> None:
    while command_line(pid):  # noqa: ASYNC110 - the end of somebody else's child
        await trio.sleep(0.02)


def node_of(server: ServerProcess) -> str:
    """The name of the node that lets in the next connection."""
    with RawSocket(server.port) as connection:
        connection.upgrade()
        node = connection.receive_message()["node"]
        assert isinstance(node, str)
        return node


def nodes_of(server: ServerProcess, count: int) -> set[str]:
    """The names of this many nodes, found by connecting."""
    found: set[str] = set()
    while len(found) < count:
        found.add(node_of(server))
    return found


async def on_each_node(stack: AsyncExitStack, server: ServerProcess, name: str) -> list[Member]:
    """Connections of one person to two nodes, a device on each."""
    found: dict[str, Member] = {}
    while len(found) < 2:
        device = f"device{len(found)}"
        client = await stack.enter_async_context(member(server.port, name, device))
        found.setdefault(client.node, client)
    return list(found.values())


async def close_code(client: Member) -> int | None:
    """The code that the connection ends with."""
    while True:
        try:
            await client.receive()
        except Ended as ended:
            return ended.code


async def exit_code(server: ServerProcess) -> int:
    return await trio.to_thread.run_sync(server.process.wait)


@pytest.fixture(scope="module")
def shared(life_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """For tests that harm no worker."""
    flags = ["--workers", "2", "--postgres", life_database]
    with serving(tmp_path_factory.mktemp("workers"), *flags) as server:
        yield server


def test_clients_of_one_port_reach_every_worker(shared: ServerProcess) -> None:
    assert len(nodes_of(shared, 2)) == 2
    assert len(accepting(shared)) == 2


def test_no_secret_is_on_a_command_line(shared: ServerProcess, life_database: str) -> None:
    for pid in accepting(shared).values():
        assert "cli.worker" in command_line(pid)
        assert "postgres" not in command_line(pid)


async def test_what_one_worker_acknowledged_is_read_through_the_other(
    shared: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with people(shared) as here:
        anas = await here.connect(ana)
        conv = (await anas.create("private", [bob])).conv
        await anas.say(conv, "hello")
        read_through: set[str] = set()
        while len(read_through) < 2:
            bobs = await here.connect(bob)
            assert texts((await bobs.fetch(conv, after=0)).items) == [(1, ana, "hello")]
            assert bobs.rules.hello is not None
            read_through.add(bobs.rules.hello.node)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_another_server_can_not_have_the_port(
    shared: ServerProcess, tmp_path: Path, workers: str
) -> None:
    flags = ["--port", str(shared.port), "--workers", workers, "--data-dir", str(tmp_path)]
    done = chat4all("serve", *flags)
    assert done.returncode == 3
    assert str(shared.port) in done.stderr


def test_a_worker_that_can_not_start_ends_the_server_with_its_error(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        dsn = f"postgresql://x:a-secret@127.0.0.1:{nobody.getsockname()[1]}/x"
        flags = ["--port", "0", "--workers", "2", "--data-dir", str(tmp_path)]
        done = chat4all("serve", *flags, "--postgres", dsn)
    assert done.returncode == 3
    assert done.stdout == ""
    assert "PostgreSQL can't be reached" in done.stderr
    assert "--postgres" in done.stderr
    assert "a-secret" not in done.stderr
    assert "Traceback" not in done.stderr
    assert list(marked_processes(mark_of(tmp_path))) == []  # its Redis has ended too


async def test_a_worker_that_is_killed_is_replaced_and_nobody_else_notices(
    start_server: StartServer, names: Names
) -> None:
    server = start_server("--workers", "2")
    async with AsyncExitStack() as stack:
        one, two = await on_each_node(stack, server, names(1)[0])
        before = accepting(server)
        os.kill(before[1], signal.SIGKILL)
        await log_says(server, "was ended by SIGKILL; it is started again")
        # Who connects meanwhile waits in the queue of the worker to come, or the other lets it in.
        found = nodes_of(server, 2)
        assert len(found & {one.node, two.node}) == 1
        for client in (one, two):
            if client.node in found:
                await client.send(Ping(at=1))
                assert (await client.receive())["t"] == "pong"
            else:
                assert await close_code(client) is None
    await log_says(server, "accepts work", 3)  # it lets in a little before the parent says so
    after = accepting(server)
    assert after[2] == before[2]
    assert after[1] != before[1]
    assert server.stop() == 0
    assert server.stdout.read() == ""


async def test_a_worker_that_is_told_to_end_is_replaced_while_it_drains(
    start_server: StartServer, names: Names
) -> None:
    server = start_server("--workers", "2")
    before = accepting(server)
    async with AsyncExitStack() as stack:
        clients = await on_each_node(stack, server, names(1)[0])
        os.kill(before[2], signal.SIGTERM)
        await log_says(server, "accepts work", 3)
        codes = []
        for client in clients:
            await client.send(Ping(at=1))
            frame = await client.receive()
            codes.append(await close_code(client) if frame["t"] == "reconnect" else None)
        assert sorted(codes, key=str) == [3001, None]
    await gone(before[2])
    assert accepting(server).keys() == {1, 2}
    assert server.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
async def test_a_stop_drains_all_workers_and_then_ends_with_0(
    tmp_path: Path, number: signal.Signals
) -> None:
    with serving(tmp_path, "--workers", "2") as server:
        pids = accepting(server)
        addresses = find_embedded(tmp_path)
        assert addresses is not None
        assert addresses.pids.keys() == {"keeper", "postgres", "redis"}
        async with AsyncExitStack() as stack:
            clients = await on_each_node(stack, server, "ana")
            server.tell(number)
            for client in clients:
                assert (await client.receive())["t"] == "reconnect"
                assert await close_code(client) == 3001
            assert await exit_code(server) == 0
        with pytest.raises(ConnectionRefusedError):
            RawSocket(server.port)
        assert server.stdout.read() == ""
        assert "Traceback" not in server.log.read_text()
    assert [command_line(pid) for pid in pids.values()] == ["", ""]
    assert find_embedded(tmp_path) is None
    assert list(marked_processes(mark_of(tmp_path))) == []


async def test_workers_whose_parent_is_killed_drain_and_end(
    start_server: StartServer, names: Names
) -> None:
    server = start_server("--workers", "2")
    pids = accepting(server)
    async with AsyncExitStack() as stack:
        clients = await on_each_node(stack, server, names(1)[0])
        server.stop(signal.SIGKILL)
        for client in clients:
            assert (await client.receive())["t"] == "reconnect"
            assert await close_code(client) == 3001
    for pid in pids.values():
        await gone(pid)
    with pytest.raises(ConnectionRefusedError):
        RawSocket(server.port)


class Talker:
    """A client of the SDK that sends without a pause, and notes what it hears."""

    def __init__(self, client: Client, conversation: str, nodes: set[str]) -> None:
        """`nodes` are those it is to be moved away from."""
        self.longest = 0.0
        """Seconds that a message took from the call to its acknowledgement, at most."""
        self.sent: dict[str, int] = {}
        self.heard: list[tuple[int, str]] = []
        """Seq and id of each message, its own among them."""
        self.moved = trio.Event()
        self._conversation = conversation
        self._client = client
        self._nodes = nodes
        self._news = trio.Event()

    async def talk(self, until: trio.Event) -> None:
        while not until.is_set():
            began = time.perf_counter()
            sent = await self._client.send(self._conversation, f"{len(self.sent)}")
            self.longest = max(self.longest, time.perf_counter() - began)
            self.sent[sent.id] = sent.seq

    async def listen(self) -> None:
        async for event in self._client.events():
            if isinstance(event, Msg):
                self.heard.append((event.seq, event.id))
            elif isinstance(event, Connected) and event.node not in self._nodes:
                self.moved.set()
            self._news.set()

    async def heard_up_to(self, seq: int) -> None:
        while not self.heard or self.heard[-1][0] < seq:
            self._news = trio.Event()
            await self._news.wait()


async def test_a_rolling_restart_under_load_fails_no_send_and_loses_nothing(
    start_server: StartServer, names: Names, caplog: pytest.LogCaptureFixture
) -> None:
    server = start_server("--workers", "2")
    before, nodes = accepting(server), nodes_of(server, 2)
    busy = names(4)
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                open_client(server.url, token=token(name), device="device")
            )
            for name in busy
        ]
        conversation = (await clients[0].create("group", busy[1:])).conv
        talkers = [Talker(client, conversation, nodes) for client in clients]
        async with trio.open_nursery() as listening:
            for talker in talkers:
                listening.start_soon(talker.listen)
            enough = trio.Event()
            async with trio.open_nursery() as talking:
                for talker in talkers:
                    talking.start_soon(talker.talk, enough)
                server.tell(signal.SIGHUP)
                await log_says(server, "rolling restart: done")
                for talker in talkers:
                    await talker.moved.wait()
                enough.set()
            sent = {id_: seq for talker in talkers for id_, seq in talker.sent.items()}
            for talker in talkers:
                await talker.heard_up_to(max(sent.values()))
            listening.cancel_scope.cancel()
    longest = max(talker.longest for talker in talkers)
    print(f"rolling restart: {len(sent)} sends, the longest took {longest * 1000:.0f} ms")
    assert longest < PROMISED_GAP
    assert "broke the protocol" not in caplog.text
    assert nodes.isdisjoint(nodes_of(server, 2))
    assert set(before.values()).isdisjoint(accepting(server).values())
    async with member(server.port, busy[0], "reader") as reader:
        events = await reader.fetch_after(conversation, 0)
    stored = [(event["seq"], event["id"]) for event in events]
    assert [seq for seq, _ in stored] == list(range(1, len(stored) + 1))
    assert {id_: seq for seq, id_ in stored} == sent
    for talker in talkers:
        assert talker.sent
        assert talker.heard == stored
    assert server.stop() == 0


def test_a_single_worker_survives_a_hangup(start_server: StartServer) -> None:
    server = start_server()
    node = node_of(server)
    server.tell(signal.SIGHUP)
    while "SIGHUP" not in server.log.read_text():
        assert node_of(server) == node
    assert server.stop() == 0
