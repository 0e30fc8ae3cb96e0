from __future__ import annotations

import socket
from contextvars import ContextVar
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.edge.pump import RECEIVE_BYTES, SLICE, Pump

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator

who: ContextVar[str] = ContextVar("who")


class Clock:
    """Stands still, unless told how far it moves each time it is read."""

    def __init__(self) -> None:
        self.now = 0.0
        self.step = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


class Ends:
    """Pairs of connected sockets."""

    def __init__(self) -> None:
        self.open: list[socket.socket] = []

    def pair(self) -> tuple[socket.socket, socket.socket]:
        pair = socket.socketpair()
        for each in pair:
            each.setblocking(False)
        self.open += pair
        return pair


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    for each in ends.open:
        each.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def pump(clock: Clock) -> AsyncIterator[Pump]:
    pump = Pump(clock)
    async with trio.open_nursery() as nursery:
        await nursery.start(pump.run)
        yield pump
        nursery.cancel_scope.cancel()


async def test_what_comes_is_taken_until_the_stream_ends(pump: Pump, ends: Ends) -> None:
    ours, theirs = ends.pair()
    taken: list[bytes] = []
    async with trio.open_nursery() as nursery:

        def take(data: bytes) -> bool:
            taken.append(data)
            return True

        nursery.start_soon(pump.pour, ours, take)
        for data in (b"one", b"two"):
            theirs.send(data)
            await wait_all_tasks_blocked()
            assert taken[-1] == data
            assert len(pump) == 1
        theirs.shutdown(socket.SHUT_WR)
    assert taken == [b"one", b"two"]
    assert len(pump) == 0


async def test_nothing_is_read_by_who_has_enough(pump: Pump, ends: Ends) -> None:
    ours, theirs = ends.pair()
    theirs.send(b"x" * (RECEIVE_BYTES + 10))
    await pump.pour(ours, lambda data: False)
    assert len(ours.recv(100)) == 10


async def test_nothing_more_is_read_while_there_is_something_to_wait_for(
    pump: Pump, ends: Ends
) -> None:
    ours, theirs = ends.pair()
    other, others = ends.pair()
    taken: list[bytes] = []
    go = trio.Event()

    async def wait() -> bool:
        await go.wait()
        return True

    def take(data: bytes) -> bool | Awaitable[bool]:
        taken.append(data)
        return wait() if data == b"one" else data != b"end"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump.pour, ours, take)
        nursery.start_soon(pump.pour, other, take)
        for data in (b"one", b"two", b"three"):
            theirs.send(data)
            await wait_all_tasks_blocked()
        assert taken == [b"one"]
        others.send(b"end")
        await wait_all_tasks_blocked()
        assert taken == [b"one", b"end"]  # others do not wait
        go.set()
        await wait_all_tasks_blocked()
        assert taken == [b"one", b"end", b"twothree"]
        theirs.send(b"end")
    assert len(pump) == 0


async def test_who_has_waited_may_have_enough(pump: Pump, ends: Ends) -> None:
    ours, theirs = ends.pair()

    async def enough() -> bool:
        await trio.lowlevel.checkpoint()
        return False

    theirs.send(b"x")
    await pump.pour(ours, lambda data: enough())
    assert len(pump) == 0


async def test_a_fault_is_raised_where_the_socket_is_poured_from_and_spares_the_others(
    pump: Pump, ends: Ends
) -> None:
    ours, theirs = ends.pair()
    other, others = ends.pair()
    taken: list[bytes] = []

    def fail(data: bytes) -> bool:
        raise RuntimeError("a defect")

    def take(data: bytes) -> bool:
        taken.append(data)
        return False

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump.pour, other, take)
        theirs.send(b"x")
        with pytest.raises(RuntimeError, match="a defect"):
            await pump.pour(ours, fail)
        others.send(b"still read")
    assert taken == [b"still read"]


async def test_a_reset_is_an_end() -> None:
    pump = Pump()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    ours.setblocking(False)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    async with trio.open_nursery() as nursery:
        await nursery.start(pump.run)
        theirs.close()
        with ours:
            await pump.pour(ours, lambda data: True)
        nursery.cancel_scope.cancel()


async def test_a_cancelled_reader_is_asked_no_more(pump: Pump, ends: Ends) -> None:
    ours, theirs = ends.pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump.pour, ours, lambda data: True)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert len(pump) == 0
    theirs.send(b"unread")
    await wait_all_tasks_blocked()
    assert ours.recv(100) == b"unread"


async def test_a_reader_works_in_the_context_of_its_own_task(pump: Pump, ends: Ends) -> None:
    seen: dict[str, str] = {}

    async def pour(name: str, sock: socket.socket) -> None:
        who.set(name)

        def take(data: bytes) -> bool:
            seen[data.decode()] = who.get()
            return False

        await pump.pour(sock, take)

    async with trio.open_nursery() as nursery:
        for name in ("ana", "bob"):
            ours, theirs = ends.pair()
            nursery.start_soon(pour, name, ours)
            theirs.send(f"to {name}".encode())
    assert seen == {"to ana": "ana", "to bob": "bob"}


async def test_others_get_their_turn_after_a_slice(pump: Pump, ends: Ends, clock: Clock) -> None:
    clock.step = SLICE  # as if each read took that long
    turns: list[str] = []

    def take(data: bytes) -> bool:
        turns.append("read")
        return False

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            ours, theirs = ends.pair()
            nursery.start_soon(pump.pour, ours, take)
            theirs.send(b"x")
        while turns.count("read") < 10:
            turns.append("other")
            await trio.lowlevel.checkpoint()
    first = turns.index("read")
    # In each of the scheduler's rounds both have one turn, in any order.
    assert turns[first:].count("other") >= 8


async def test_who_went_while_others_had_their_turn_is_not_asked(
    pump: Pump, ends: Ends, clock: Clock
) -> None:
    clock.step = SLICE
    taken: list[str] = []
    scopes = {name: trio.CancelScope() for name in ("first", "second")}

    async def pour(name: str, sock: socket.socket) -> None:
        def take(data: bytes) -> bool:
            taken.append(name)
            for other, scope in scopes.items():
                if other != name:
                    scope.cancel()
            return False

        with scopes[name]:
            await pump.pour(sock, take)

    async with trio.open_nursery() as nursery:
        for name in scopes:
            ours, theirs = ends.pair()
            nursery.start_soon(pour, name, ours)
            theirs.send(b"x")
    assert len(taken) == 1


async def test_the_end_of_the_pump_leaves_readers_that_can_be_cancelled(ends: Ends) -> None:
    ours, _ = ends.pair()
    pump = Pump()
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as pumping:
                await pumping.start(pump.run)
                nursery.start_soon(pump.pour, ours, lambda data: True)
                await wait_all_tasks_blocked()
                scope.cancel()
        nursery.cancel_scope.cancel()
    assert len(pump) == 0
