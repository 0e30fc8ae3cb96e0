"""A node over memory stores, and sessions whose outlet is a list."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from chat4all_actors.config import Settings
from chat4all_actors.node import Node
from chat4all_actors.session.session import Session
from chat4all_protocol.codec import decode_server, encode
from chat4all_protocol.frames import Connect, Hello, Ready
from chat4all_storage.ports.directory import User
from chat4all_storage.ports.events import DEFAULT_RULES
from chat4all_storage.storage import Storage, memory_storage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from chat4all_actors.channels.account import Account
    from chat4all_protocol.frames import AnyClientFrame, AnyServerFrame
    from chat4all_storage.ports.bus import Bus
    from chat4all_storage.ports.events import Rules
    from chat4all_storage.ports.tally import Tally

F = TypeVar("F")

KEY = "a key that only tests use, of 32 bytes and more"
EPOCH = 1_700_000_000.0
USERS = ("ana", "bob", "carla")


class FakeOutlet:
    """Takes everything at once, unless `stuck`: then it queues."""

    def __init__(self) -> None:
        self.taken: list[AnyServerFrame] = []
        self.bytes_taken: list[bytes] = []
        """The same frames, as they came."""
        self.stuck = False
        self.held: list[bytes] = []
        self.closed: tuple[int, str, bool] | None = None
        self.on_close: Callable[[], None] = lambda: None
        self.aborted = False
        self.pings = 0
        self.stalled_since: float | None = None
        self._roomy = trio.Event()

    @property
    def queued(self) -> int:
        return sum(map(len, self.held))

    def send_nowait(self, data: bytes) -> None:
        if self.closed is not None:
            return
        if self.stuck:
            self.held.append(data)
        else:
            self._take(data)

    def offer(self, data: bytes, most: int) -> bool:
        if self.queued and self.queued + len(data) > most:
            return False
        self.send_nowait(data)
        return True

    def cork(self) -> None:
        """Nothing is kept: what is sent may go out at once."""

    def uncork(self) -> None:
        """Nothing was kept."""

    def _take(self, data: bytes) -> None:
        """Unwrap the WebSocket frames, which are small here."""
        while data:
            size, start = data[1], 2
            if size == 126:
                size, start = int.from_bytes(data[2:4], "big"), 4
            self.bytes_taken.append(data[start : start + size])
            self.taken.append(decode_server(self.bytes_taken[-1]))
            data = data[start + size :]

    def release(self, session: Session) -> None:
        """Take what was queued; the queue is empty then."""
        self.stuck = False
        held, self.held = self.held, []
        for data in held:
            self._take(data)
        self._roomy.set()
        session.drained()

    async def room(self, below: int) -> None:
        while self.queued >= below:
            await self._roomy.wait()

    def ping(self) -> None:
        self.pings += 1

    def close(self, code: int, reason: str, *, discard: bool = False) -> None:
        assert reason.isascii()  # it is for people, and travels in a frame
        if self.closed is None:
            self.closed = (code, reason, discard)
            self.on_close()

    def abort(self) -> None:
        self.aborted = True

    def of(self, kind: type[F]) -> list[F]:
        """The frames of one kind that were taken."""
        return [frame for frame in self.taken if isinstance(frame, kind)]

    def bytes_of(self, kind: type[AnyServerFrame]) -> list[bytes]:
        """The bytes of the frames of one kind that were taken."""
        both = zip(self.taken, self.bytes_taken, strict=True)
        return [data for frame, data in both if isinstance(frame, kind)]


class Person:
    """A session and what it was sent."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.outlet = FakeOutlet()
        self.session = Session(node, self.outlet)
        self.session.start()
        assert isinstance(self.outlet.taken[0], Hello)

    def enter(self) -> None:
        """Be one of the edge's connections until the session closes."""
        edge = self.node.edge
        edge._open += 1
        edge.sessions[self.session] = "127.0.0.1"

        def leave() -> None:
            del edge.sessions[self.session]
            edge.closed()

        self.outlet.on_close = leave

    async def say(self, frame: AnyClientFrame) -> None:
        """Send a frame, and wait until everything it causes has happened."""
        await self.session.receive(encode(frame))
        await trio.testing.wait_all_tasks_blocked()

    async def connect(self, user: str, device: str = "device", **fields: Any) -> Ready:
        token = self.node.tokens.issue(f"id of {user}", user)
        await self.say(Connect(token=token, device=device, **fields))
        (ready,) = self.outlet.of(Ready)
        return ready


async def person(node: Node, user: str, device: str = "device", **fields: Any) -> Person:
    """Somebody who is connected."""
    someone = Person(node)
    await someone.connect(user, device, **fields)
    return someone


async def memory_with_users(rules: Rules = DEFAULT_RULES) -> Storage:
    clock_ms: Callable[[], int] = lambda: int((EPOCH + trio.current_time()) * 1000)  # noqa: E731
    storage = memory_storage(rules=rules, clock_ms=clock_ms)
    for name in USERS:
        await storage.directory.add_user(User(f"id of {name}", name, b""))
    return storage


@asynccontextmanager
async def running_node(
    storage: Storage | None = None,
    *,
    bus: Bus | None = None,
    tally: Tally | None = None,
    accounts: Sequence[Account] = (),
    **settings: Any,
) -> AsyncIterator[Node]:
    """A node that accepts work, alone without a `bus`; time is the test's."""
    chosen = {"rate_messages_per_minute": 0} | settings
    node = Node(
        Settings(**chosen),
        storage or await memory_with_users(),
        jwt_key=KEY,
        listeners=[],
        bus=bus,
        tally=tally,
        accounts=accounts,
        clock=lambda: EPOCH + trio.current_time(),
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(node.run)
        yield node
        nursery.cancel_scope.cancel()
