"""A stop: who is connected is moved away, what was accepted is finished, nothing is lost."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
import trio

from chat4all_protocol.frames import Connect, Create, Send, TextBody
from chat4all_protocol.ids import new_id
from chat4all_storage.embedded.embedded import find_embedded
from chat4all_storage.embedded.processes import mark_of, marked_processes
from tests.life.crowd import Ended, Member, member
from tests.life.processes import ServerProcess, chat4all, serving
from tests.life.raw_sockets import RawSocket
from tests.life.test_health import ask, free_port
from tests.support.server import token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("test_drain")  # a server for all of them

SIGNALS = [signal.SIGTERM, signal.SIGINT]
PEOPLE = ["ana", "bob", "carla"]


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with accounts, whose database runs only while a server does."""
    data_dir = tmp_path_factory.mktemp("drain")
    done = chat4all("user", "add", *PEOPLE, "--password", "a password", "--data-dir", str(data_dir))
    assert done.returncode == 0, done.stderr
    return data_dir


@pytest.fixture
def own_server(embedded: Path) -> Iterator[ServerProcess]:
    with serving(embedded) as server:
        yield server


async def ended(server: ServerProcess) -> int:
    """Its exit code, once it has ended."""
    return await trio.to_thread.run_sync(server.process.wait)


async def everything(client: Member) -> list[dict[str, Any]]:
    """What comes until the server closes, which it does because it drains."""
    frames: list[dict[str, Any]] = []
    while True:
        try:
            frames.append(await client.receive())
        except Ended as ended_:
            if ended_.code != 3001:
                raise
            return frames


async def create(creator: Member) -> str:
    await creator.send(Create(rid=1, type="group", members=PEOPLE))
    answer = await creator.receive()
    conv = answer["conv"]
    assert isinstance(conv, str), answer
    return conv


def assert_stopped(data_dir: Path) -> None:
    """Nothing of the embedded servers is left but their files."""
    assert find_embedded(data_dir) is None
    assert list(marked_processes(mark_of(data_dir))) == []


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
async def test_an_idle_server_ends_with_0_and_can_be_started_again(
    embedded: Path, number: signal.Signals
) -> None:
    for _ in range(2):
        with serving(embedded) as server:
            server.tell(number)
            assert await ended(server) == 0
            assert server.stdout.read() == ""
        assert_stopped(embedded)
        assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
async def test_clients_are_told_to_reconnect_and_then_closed_with_3001(
    own_server: ServerProcess, number: signal.Signals
) -> None:
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(member(own_server.port, name)) for name in PEOPLE
        ]
        own_server.tell(number)
        for client in clients:
            frame = await client.receive()
            assert frame["t"] == "reconnect"
            assert frame["after_ms"] >= 0
            with pytest.raises(Ended) as caught:
                await client.receive()
            assert caught.value.code == 3001
    assert await ended(own_server) == 0


async def test_while_draining_new_connections_are_refused(own_server: ServerProcess) -> None:
    with RawSocket(own_server.port) as client, RawSocket(own_server.port) as unconnected:
        for connection in (client, unconnected):
            connection.upgrade()
            assert connection.receive_message()["t"] == "hello"
        client.send_frame(Connect(token=token("ana"), device="d"))
        assert client.receive_message()["t"] == "ready"
        own_server.tell(signal.SIGTERM)
        # Neither answers the close, so the server waits for them, and lets nobody else in.
        assert client.receive_message()["t"] == "reconnect"
        assert [client.receive_close(), unconnected.receive_close()] == [3001, 3001]
        assert own_server.process.poll() is None
        with pytest.raises(ConnectionRefusedError):
            RawSocket(own_server.port)
    assert await ended(own_server) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_the_admin_port_tells_that_it_drains(embedded: Path, workers: str) -> None:
    admin = free_port()
    with serving(embedded, "--admin-port", str(admin), "--workers", workers) as server:
        assert ask(admin, "/health/ready").status == 200
        with RawSocket(server.port) as client:
            client.upgrade()
            assert client.receive_message()["t"] == "hello"
            server.tell(signal.SIGTERM)
            # It does not answer the close, so the server waits for it.
            assert client.receive_close() == 3001
            # Perhaps of another worker, which learns of it a little later.
            while (response := ask(admin, "/health/ready")).status == 200:  # noqa: ASYNC110
                await trio.sleep(0.02)
            assert response.status == 503
            assert response.error["message"] == "draining"
            assert ask(admin, "/health/live").status == 200
        assert await ended(server) == 0


async def test_what_was_sent_before_the_signal_is_answered_before_the_close(
    own_server: ServerProcess,
) -> None:
    async with member(own_server.port, "ana") as ana:
        conv = await create(ana)
        sends = [
            Send(rid=rid, conv=conv, id=new_id(), body=TextBody(f"{rid}")) for rid in range(50)
        ]
        await ana.send(*sends)
        first = await ana.receive()
        own_server.tell(signal.SIGTERM)
        frames = [first, *await everything(ana)]
        answered = [frame["seq"] for frame in frames if frame["t"] == "sent"]
        assert answered == list(range(1, 51))
        assert [frame["t"] for frame in frames].count("reconnect") == 1
    assert await ended(own_server) == 0


class Writer:
    """Sends without a pause, and remembers what was answered."""

    def __init__(self, name: str, conv: str) -> None:
        self.name = name
        self.conv = conv
        self.sent: list[Send] = []
        self.answered: dict[str, int] = {}
        self.busy = trio.Event()
        """Set when many have been answered."""

    async def until_closed(self, client: Member) -> None:
        """Send and receive side by side until the server closes."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send, client)
            with pytest.raises(Ended) as caught:
                await self.receive(client)
            assert caught.value.code == 3001
            nursery.cancel_scope.cancel()

    async def _send(self, client: Member) -> None:
        while True:
            rid = len(self.sent)
            body = TextBody(f"{self.name} {rid}")
            self.sent.append(Send(rid=rid, conv=self.conv, id=new_id(), body=body))
            try:
                await client.send(self.sent[-1])
            except trio.BrokenResourceError:
                return

    async def receive(self, client: Member, until: int | None = None) -> None:
        while until is None or len(self.answered) < until:
            frame = await client.receive()
            if len(self.answered) > 100:
                self.busy.set()
            if frame["t"] == "sent":
                assert self.answered.setdefault(frame["id"], frame["seq"]) == frame["seq"]

    async def retry(self, client: Member) -> None:
        """Send again what has no answer, in order."""
        for send in self.sent:
            if send.id not in self.answered:
                await client.send(send)
        await self.receive(client, until=len(self.sent))


async def test_a_stop_under_load_loses_nothing_and_stores_nothing_twice(embedded: Path) -> None:
    with serving(embedded) as server:
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(member(server.port, name)) for name in PEOPLE
            ]
            conv = await create(clients[0])
            writers = [Writer(name, conv) for name in PEOPLE]
            async with trio.open_nursery() as nursery:
                for writer, client in zip(writers, clients, strict=True):
                    nursery.start_soon(writer.until_closed, client)
                for writer in writers:
                    await writer.busy.wait()
                server.tell(signal.SIGTERM)
        assert await ended(server) == 0
    acknowledged = {id_: seq for writer in writers for id_, seq in writer.answered.items()}
    with serving(embedded) as server:
        for writer in writers:
            async with member(server.port, writer.name) as client:
                await writer.retry(client)
        async with member(server.port, "ana") as reader:
            events = await reader.fetch_after(conv, 0)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    stored = {event["id"]: event["seq"] for event in events}
    assert {id_: stored[id_] for id_ in acknowledged} == acknowledged
    for writer in writers:
        written = [event for event in events if event["from"] == writer.name]
        assert [event["id"] for event in written] == [send.id for send in writer.sent]
        assert [event["body"]["text"] for event in written] == [
            send.body.text for send in writer.sent
        ]
