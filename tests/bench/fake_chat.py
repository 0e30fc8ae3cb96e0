"""A chat server of a few lines with faults on demand, and its dialect: to test the generator.

Payloads are texts: `join ROOM AFTER`, `say NUMBER TEXT` from clients; `ready HEAD`,
`ack NUMBER POSITION`, `msg POSITION TEXT`, `no NUMBER` from the server. A room's log is kept, and
who joins with a position gets what follows it.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from chat4all_bench.dialects.base import Acknowledged, Delivered, Refused, Step
from chat4all_bench.result import Target as TargetInfo
from chat4all_bench.targets.target import Person

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from websockets.asyncio.server import ServerConnection

    from chat4all_bench.dialects.base import Event, Session
    from chat4all_bench.measuring.proc import Known
    from chat4all_bench.targets.target import Room

    Fault = Callable[[int], str]
    """What becomes of a room's n-th message: `drop`, `double`, `late`, `refuse`, `close`, or ``."""


class Dialect:
    """See the module's docstring."""

    path = "/"
    subprotocol: str | None = None
    text = True
    acknowledges = True

    def begin(self, session: Session) -> Step:
        return Step((f"join {session.seat.room or '-'} {session.position}".encode(),))

    def receive(self, session: Session, payload: bytes) -> Event | None:
        what, _, rest = payload.decode().partition(" ")
        if what == "ready":
            return Step(ready=True, head=int(rest))
        if what == "ack":
            number, position = rest.split()
            return Acknowledged(int(number), int(position))
        if what == "msg":
            place, _, text = rest.partition(" ")
            return Delivered(text, int(place))
        return Refused("refused", int(rest))

    def message(self, session: Session, number: int, text: str) -> bytes:
        return f"say {number} {text}".encode()


class FakeChat:
    """The server, as a target too."""

    info = TargetInfo("fake", "1", "here", "nothing kept")
    host = "127.0.0.1"
    dialect = "tests.bench.fake_chat:Dialect"

    def __init__(self, fault: Fault) -> None:
        self.ports: Sequence[int] = []
        self._fault = fault
        self._logs: dict[str, list[str]] = {}
        self._readers: dict[str, list[ServerConnection]] = {}
        self._late: dict[str, list[tuple[ServerConnection, str]]] = {}

    def processes(self) -> list[Known]:
        return []

    def people(self, names: Sequence[str]) -> list[Person]:
        return [Person(name, "") for name in names]

    def rooms(self, rooms: Sequence[Room]) -> list[str]:
        return [f"room-{number}" for number in range(len(rooms))]

    async def serve(self, connection: ServerConnection) -> None:
        joined = str(await connection.recv())
        _, room, after = joined.split()
        log = self._logs.setdefault(room, [])
        readers = self._readers.setdefault(room, [])
        await connection.send(f"ready {len(log)}")
        if int(after):
            for place, text in enumerate(log[int(after) :], int(after) + 1):
                await connection.send(f"msg {place} {text}")
        readers.append(connection)
        try:
            async for said in connection:
                _, number, text = str(said).split(" ", 2)
                await self._said(connection, room, number, text)
        except ConnectionClosed:
            pass
        finally:
            readers.remove(connection)

    async def _said(self, writer: ServerConnection, room: str, number: str, text: str) -> None:
        log = self._logs[room]
        fault = self._fault(len(log) + 1)
        log.append(text)
        if fault == "close":
            await writer.close(4000)
            return
        if fault == "refuse":
            await writer.send(f"no {number}")
            return
        await writer.send(f"ack {number} {len(log)}")
        message = (writer, f"msg {len(log)} {text}")
        late = self._late.setdefault(room, [])
        if fault == "late":
            late.append(message)
            return
        now = {"drop": [], "double": [message, message]}.get(fault, [message])
        for who, each in [*now, *late]:
            for reader in self._readers[room]:
                if reader is not who:
                    await reader.send(each)
        late.clear()


@contextmanager
def fake_chat(fault: Fault = lambda _: "") -> Iterator[FakeChat]:
    """Run the server in a thread of its own."""
    server = FakeChat(fault)
    started, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def main() -> None:
        async with serve(server.serve, server.host, 0, compression=None) as listening:
            server.ports = [next(iter(listening.sockets)).getsockname()[1]]
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    started.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
