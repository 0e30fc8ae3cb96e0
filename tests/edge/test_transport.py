from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.edge.pump import Pump
from chat4all_actors.edge.transport import LINGER, RECEIVE_BYTES, Transport
from chat4all_actors.session.heartbeat import Heartbeat
from tests.edge.wire import BIG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trio.testing import MockClock

    from tests.edge.wire import Wire

T = TypeVar("T")

# Sending


async def test_what_the_kernel_takes_is_sent_at_once_without_a_task(wire: Wire) -> None:
    wire.transport.send_nowait(b"one")
    wire.transport.send_nowait(b"two")
    assert wire.taken() == b"onetwo"
    assert (wire.transport.queued, wire.senders, wire.drained) == (0, 0, 0)
    assert wire.transport.stalled_since is None


async def test_what_is_sent_while_it_is_corked_goes_out_together(wire: Wire) -> None:
    wire.transport.cork()
    wire.transport.send_nowait(b"one")
    wire.transport.send_nowait(b"two")
    assert wire.taken() == b""
    assert (wire.transport.queued, wire.transport.stalled_since) == (6, None)
    wire.transport.uncork()
    assert wire.taken() == b"onetwo"
    assert (wire.transport.queued, wire.senders, wire.drained) == (0, 0, 1)
    wire.transport.uncork()
    assert wire.drained == 1


async def test_a_cork_keeps_no_more_than_the_queue_may_hold_and_whoever_lacks_room_draws_it(
    wire: Wire,
) -> None:
    wire.transport.cork()
    assert wire.transport.offer(b"three", 4)
    assert not wire.transport.offer(b"four", 4)
    await wire.transport.room(5)
    assert wire.taken() == b"three"
    assert wire.transport.queued == 0


async def test_what_the_kernel_does_not_take_of_what_was_kept_is_queued(wire: Wire) -> None:
    wire.transport.cork()
    wire.transport.send_nowait(BIG)
    wire.transport.send_nowait(b"end")
    wire.transport.uncork()
    assert (wire.senders, wire.drained) == (1, 0)
    wire.transport.cork()  # nothing to keep together: a sending task is at work
    wire.transport.send_nowait(b".")
    assert await wire.read(len(BIG) + 4) == BIG + b"end."
    await wait_all_tasks_blocked()
    assert wire.drained == 1


async def test_a_connection_that_broke_keeps_nothing(wire: Wire) -> None:
    wire.transport.cork()
    wire.transport.send_nowait(b"one")
    wire.transport.close()
    wire.transport.uncork()
    assert wire.transport.queued == 0
    assert wire.taken() == b""


async def test_the_end_draws_the_cork(wire: Wire) -> None:
    wire.transport.cork()
    wire.transport.send_nowait(b"last")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.transport.finish)
        assert await wire.read(4) == b"last"
        wire.close_peer()


async def test_what_it_does_not_take_is_queued_and_arrives_in_order(wire: Wire) -> None:
    sent = wire.fill()
    for number in range(300):
        chunk = b"<%d>" % number * 100
        wire.transport.send_nowait(chunk)
        sent += chunk
    assert wire.senders == 1
    assert await wire.read(len(sent)) == sent
    await wait_all_tasks_blocked()
    assert (wire.transport.queued, wire.drained) == (0, 1)


async def test_queued_is_what_the_kernel_has_not_taken(wire: Wire) -> None:
    sent = wire.fill()
    wire.transport.send_nowait(b"x" * 1000)
    queued = wire.transport.queued
    assert len(wire.taken()) + queued == len(sent) + 1000


async def test_the_sending_task_lives_only_while_something_is_queued(wire: Wire) -> None:
    for times in (1, 2, 3):
        sent = wire.fill()
        await wire.read(len(sent))
        await wait_all_tasks_blocked()
        assert (wire.senders, wire.drained) == (times, times)
        wire.transport.send_nowait(b"direct")
        assert wire.taken() == b"direct"


async def test_who_is_told_of_the_drain_may_send_again(wire: Wire) -> None:
    wire.transport.watch(
        on_drained=lambda: wire.transport.send_nowait(b"gap"), on_broken=lambda: None
    )
    sent = wire.fill()
    assert await wire.read(len(sent) + 3) == sent + b"gap"


# Receiving


async def test_bytes_are_received_as_they_come_and_none_at_the_end(wire: Wire) -> None:
    wire.peer.send(b"hello")
    assert await wire.transport.receive() == b"hello"
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _later() -> None:
            await wait_all_tasks_blocked()
            wire.peer.send(b"x" * (RECEIVE_BYTES // 2))

        assert await wire.transport.receive() == b"x" * (RECEIVE_BYTES // 2)
    wire.peer.shutdown(socket.SHUT_WR)
    assert await wire.transport.receive() == b""
    assert await wire.transport.receive() == b""


async def test_a_stream_that_was_reset_just_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    ours.setblocking(False)
    transport = Transport(ours, heartbeat=Heartbeat(), spawn=lambda _: False, pump=Pump())
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()
    assert await transport.receive() == b""
    transport.close()


# A connection that breaks


async def test_a_failed_send_is_told_once_and_nothing_is_sent_any_more(wire: Wire) -> None:
    wire.close_peer()
    for _ in range(3):
        wire.transport.send_nowait(b"x")
    assert wire.transport.broken
    assert (wire.broken, wire.drained, wire.transport.queued) == (1, 0, 0)
    wire.transport.close()
    assert wire.broken == 1


async def test_a_peer_that_goes_while_something_is_queued_breaks_it(wire: Wire) -> None:
    wire.fill()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.transport.room, 1)
        nursery.start_soon(wire.transport.finish)
        await wait_all_tasks_blocked()
        wire.close_peer()
    assert wire.transport.broken
    assert (wire.broken, wire.drained, wire.transport.queued) == (1, 0, 0)
    assert wire.transport.stalled_since is None


async def test_a_connection_that_falls_behind_while_the_node_stops_is_broken(wire: Wire) -> None:
    wire.stopping = True
    wire.transport.send_nowait(b"fits")
    assert not wire.transport.broken
    wire.transport.send_nowait(BIG)
    assert wire.transport.broken
    assert (wire.broken, wire.senders, wire.transport.queued) == (1, 0, 0)


async def test_a_broken_connection_has_room_and_nothing_to_finish(wire: Wire) -> None:
    wire.fill()
    wire.transport.close()
    await wire.transport.room(1)
    await wire.transport.finish()


# The end


async def test_finish_sends_the_queue_says_the_end_and_waits_for_the_other_side(
    wire: Wire,
) -> None:
    sent = wire.fill()
    finished = trio.Event()

    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _finish() -> None:
            await wire.transport.finish()
            finished.set()

        assert await wire.read(len(sent)) == sent
        await trio.lowlevel.wait_readable(wire.peer)
        assert wire.peer.recv(1) == b""
        wire.peer.send(b"still talking")
        await wait_all_tasks_blocked()
        assert not finished.is_set()
        wire.peer.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("talks", [True, False])
async def test_finish_does_not_wait_for_ever(
    wire: Wire, autojump_clock: MockClock, talks: bool
) -> None:
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        if talks:

            @nursery.start_soon
            async def _talk() -> None:
                while True:
                    wire.peer.send(b"x")
                    await trio.sleep(LINGER / 10)

        await wire.transport.finish()
        nursery.cancel_scope.cancel()
    assert trio.current_time() - began == pytest.approx(LINGER)


async def test_finish_of_a_stream_that_the_other_side_has_left_returns(wire: Wire) -> None:
    wire.close_peer()
    await wire.transport.finish()


async def test_close_wakes_whoever_waits(wire: Wire) -> None:
    wire.fill()
    woken: list[str] = []

    async def receive() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await wire.transport.receive()
        woken.append("receiver")

    async def room() -> None:
        await wire.transport.room(1)
        woken.append("room")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        nursery.start_soon(room)
        await wait_all_tasks_blocked()
        wire.transport.close()
    assert sorted(woken) == ["receiver", "room"]
    assert (wire.broken, wire.drained) == (1, 0)
    wire.transport.close()
    assert wire.broken == 1


# Files


async def in_thread(function: Callable[..., T], *arguments: object) -> T:
    """Where the node has a limiter of its own."""
    return await trio.to_thread.run_sync(partial(function, *arguments))


async def test_a_buffer_is_filled_with_what_has_come_until_the_stream_ends(wire: Wire) -> None:
    buffer = bytearray(4)
    wire.peer.send(b"abcdef")
    await wire.transport.readable()
    assert wire.transport.drain(memoryview(buffer)) == 4
    assert buffer == b"abcd"
    assert wire.transport.drain(memoryview(buffer)) == 2
    assert wire.transport.drain(memoryview(buffer)) is None
    wire.close_peer()
    await wire.transport.readable()
    assert wire.transport.drain(memoryview(buffer)) == 0


async def test_it_is_told_when_there_is_something_to_take(wire: Wire) -> None:
    told: list[bool] = []

    async def wait() -> None:
        await wire.transport.readable()
        told.append(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        assert told == []
        wire.peer.send(b"ab")
    assert told == [True]


@pytest.fixture
def big_file(tmp_path: Path) -> Iterator[int]:
    """A descriptor of what is `BIG`."""
    (tmp_path / "file").write_bytes(BIG)
    with open(tmp_path / "file", "rb") as file:
        yield file.fileno()


async def test_a_file_is_sent_as_the_other_side_takes_it(wire: Wire, big_file: int) -> None:
    taken, at = b"", 5
    while at < len(BIG):
        sent = await wire.transport.send_file(big_file, at, len(BIG) - at, in_thread)
        assert sent > 0
        at += sent
        taken += wire.taken()
    assert await wire.transport.send_file(big_file, at, 1, in_thread) == 0
    assert taken == BIG[5:]


async def test_to_who_has_gone_no_file_is_sent(wire: Wire, big_file: int) -> None:
    wire.close_peer()
    for _ in range(2):
        assert await wire.transport.send_file(big_file, 0, len(BIG), in_thread) == 0
    assert (wire.transport.broken, wire.broken) == (True, 1)
