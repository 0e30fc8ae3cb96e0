"""A node in a thread of its own, on a real socket, and clients that leave no trace in its figures.

What a gate counts must not depend on how fast or how busy the machine is. Calls into the kernel are
counted by the interpreter's own profiler, which tells of every call of a C function: it needs
neither privileges (as tracing the process would) nor any help from the code that it looks at. The
node's time stands still, unless a test lets it pass.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections import Counter
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chat4all_actors.config import Settings
from chat4all_actors.edge.sockets import open_listeners
from chat4all_actors.node import Node
from chat4all_protocol.codec import decode_server, encode
from chat4all_protocol.frames import Connect, Error, Ready
from chat4all_storage.ports.directory import User
from chat4all_storage.storage import memory_storage
from tests.actors.rfc6455_cases import BINARY, PING, PONG, frame
from tests.edge.house import UPGRADE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    from chat4all_protocol.frames import AnyClientFrame, AnyServerFrame

F = TypeVar("F")
T = TypeVar("T")

KEY: Final = "a key that only tests use, of 32 bytes and more"
SENDS: Final = frozenset({"send", "sendall", "sendmsg"})
RECEIVES: Final = frozenset({"recv", "recv_into", "recvmsg"})
CONTROLS: Final = frozenset({"register", "modify", "unregister"})
"""Each is one `epoll_ctl`."""
UNLIMITED: Final[dict[str, Any]] = {
    "handshake_rate": 0,
    "max_connections_per_address": 0,
    "rate_handshakes_per_minute": 0,
    "rate_messages_per_minute": 0,
}


class Calls:
    """Calls of C functions that are one system call each, as a profile function counts them."""

    def __init__(self) -> None:
        self._sends: Counter[int] = Counter()
        """By the client's port."""
        self._receives: Counter[int] = Counter()
        self.controls = 0

    def profile(self, _frame: FrameType, event: str, arg: Any) -> None:
        """See `sys.setprofile`."""
        if event != "c_call":
            return
        owner, name = getattr(arg, "__self__", None), arg.__name__
        # Trio's own sockets, by which other threads wake it, are of another family.
        if isinstance(owner, socket.socket) and owner.family is socket.AF_INET:
            if name in SENDS:
                self._sends[owner.getpeername()[1]] += 1
            elif name in RECEIVES:
                self._receives[owner.getpeername()[1]] += 1
        elif name in CONTROLS and type(owner).__name__ == "epoll":
            self.controls += 1

    def sends(self, *clients: Client) -> int:
        """Calls that send to these clients, or to anybody."""
        return _of(self._sends, clients)

    def receives(self, *clients: Client) -> int:
        """Calls that receive from these clients, or from anybody, whether or not they got any."""
        return _of(self._receives, clients)


def _of(counter: Counter[int], clients: tuple[Client, ...]) -> int:
    return sum(counter[each.port] for each in clients) if clients else counter.total()


class ServedNode:
    """The node; whoever calls these methods is in another thread."""

    def __init__(
        self,
        node: Node,
        token: trio.lowlevel.TrioToken,
        clock: MockClock,
        address: tuple[str, int],
    ) -> None:
        self.node = node
        self.address = address
        self._token = token
        self._clock = clock
        self._users = 0

    def run(self, fn: Callable[..., T], *args: Any) -> T:
        """Call `fn(*args)` in the node's thread."""
        return trio.from_thread.run_sync(fn, *args, trio_token=self._token)

    def settle(self) -> None:
        """Wait until the node has done all that it had to do."""
        trio.from_thread.run(wait_all_tasks_blocked, trio_token=self._token)

    def wait(self, seconds: int) -> None:
        """Let so much of the node's time pass, second by second."""
        for _ in range(seconds):
            self.run(self._clock.jump, 1)
            self.settle()

    def commits(self) -> int:
        """Commits so far."""
        return self.run(self.node.statistics).commits

    def tasks(self) -> int:
        """Trio tasks that live in the node's thread."""
        return self.run(lambda: trio.lowlevel.current_statistics().tasks_living)

    def connect_idle(self, count: int) -> list[int]:
        """So many sessions, each of another user: descriptors, which the collector knows not of."""
        return [Client(self, self._new_user()).detach() for _ in range(count)]

    def _new_user(self) -> str:
        self._users += 1
        return f"user_{self._users}"

    @contextmanager
    def counting(self) -> Iterator[Calls]:
        """Count what the node calls until all is done that the block began."""
        self.settle()
        calls = Calls()
        self.run(sys.setprofile, calls.profile)
        try:
            yield calls
            self.settle()
        finally:
            self.run(sys.setprofile, None)

    def controls_of(self, act: Callable[[], object]) -> int:
        """Calls of `epoll_ctl` that `act` causes, beyond those that the counting itself does."""
        with self.counting() as nothing:
            pass
        with self.counting() as calls:
            act()
        return calls.controls - nothing.controls


class Client:
    """A blocking socket that has said `connect`."""

    def __init__(self, server: ServedNode, user: str) -> None:
        self._socket = socket.create_connection(server.address)
        self._buffer = b""
        self.port = self._socket.getsockname()[1]
        self._socket.sendall(UPGRADE)
        while b"\r\n\r\n" not in self._buffer:
            self._buffer += self._socket.recv(65536)
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        token = server.node.tokens.issue(f"id of {user}", user)
        self.say(Connect(token=token, device="device"))
        self.hear(Ready)

    def say(self, *frames: AnyClientFrame) -> None:
        """Send frames, all at once."""
        self._socket.sendall(b"".join([frame(BINARY, encode(each)) for each in frames]))

    def hear(self, kind: type[F]) -> F:
        """The next frame of that kind; others are passed over."""
        while not isinstance(heard := self._next(), kind):
            assert not isinstance(heard, Error), heard
        return heard

    def _next(self) -> AnyServerFrame:
        while True:
            opcode, payload = self._frame()
            if opcode == BINARY:
                return decode_server(payload)

    def _frame(self) -> tuple[int, bytes]:
        """The next WebSocket frame: its opcode, and what it carries."""
        first, size = self._read(2)
        if size == 126:
            size = int.from_bytes(self._read(2), "big")
        return first & 0x0F, self._read(size)

    def _read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            data = self._socket.recv(65536)
            assert data, "the server has closed"
            self._buffer += data
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def answer_ping(self) -> None:
        """Wait for the ping of a heartbeat, and answer it."""
        assert self._frame() == (PING, b"")
        self._socket.sendall(frame(PONG))

    def detach(self) -> int:
        """Leave the connection open, and be forgotten."""
        return self._socket.detach()

    def close(self) -> None:
        self._socket.close()


@contextmanager
def served_node(users: Sequence[str] = (), **settings: Any) -> Iterator[ServedNode]:
    """A node over memory stores that listens, until the block is left; `users` can be named."""
    started: SimpleQueue[tuple[Node, trio.lowlevel.TrioToken, trio.CancelScope] | BaseException]
    started = SimpleQueue()
    clock = MockClock()
    (listener,) = open_listeners("127.0.0.1", 0)

    async def serve() -> None:
        chosen, storage = Settings(**(UNLIMITED | settings)), memory_storage()
        for name in users:
            await storage.directory.add_user(User(f"id of {name}", name, b""))
        node = Node(chosen, storage, jwt_key=KEY, listeners=[listener])
        async with trio.open_nursery() as nursery:
            await nursery.start(node.run)
            token = trio.lowlevel.current_trio_token()
            started.put((node, token, nursery.cancel_scope))

    def run() -> None:
        try:
            trio.run(serve, clock=clock)
        except BaseException as error:  # told by who waits for the start
            started.put(error)
            raise

    thread = threading.Thread(target=run, name="served node")
    thread.start()
    came = started.get()
    if isinstance(came, BaseException):
        raise came
    node, token, scope = came
    served = ServedNode(node, token, clock, listener.getsockname()[:2])
    try:
        yield served
    finally:
        served.run(scope.cancel)
        thread.join()
        listener.close()


@contextmanager
def opened(descriptors: list[int]) -> Iterator[None]:
    """Close these when the block is left."""
    with ExitStack() as stack:
        for descriptor in descriptors:
            stack.callback(os.close, descriptor)
        yield
