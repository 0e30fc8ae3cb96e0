from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from trio.testing import wait_all_tasks_blocked

from tests.edge.wire import BIG

if TYPE_CHECKING:
    from tests.edge.wire import Wire


async def test_stalled_since_is_the_tick_at_which_the_kernel_last_took_anything(
    wire: Wire,
) -> None:
    wire.heartbeat.now = 100.0
    sent = wire.fill()
    wire.heartbeat.now = 105.0
    wire.transport.send_nowait(b"more")
    assert wire.transport.stalled_since == 100.0
    head = wire.taken()
    await wait_all_tasks_blocked()
    assert wire.transport.queued
    assert wire.transport.stalled_since == 105.0
    await wire.read(len(sent) + 4 - len(head))
    await wait_all_tasks_blocked()
    assert wire.transport.stalled_since is None


async def test_room_waits_until_less_than_that_is_queued(wire: Wire) -> None:
    sent = wire.fill()
    entered = False

    async def wait() -> None:
        nonlocal entered
        await wire.transport.room(1000)
        entered = True
        assert wire.transport.queued < 1000

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        assert not entered
        await wire.read(len(sent))
    assert entered


async def test_there_is_room_at_once_when_little_is_queued(wire: Wire) -> None:
    await wire.transport.room(1)
    wire.fill()
    await wire.transport.room(len(BIG) + 1)


# Dropping the queue


async def test_dropping_the_queue_keeps_what_was_begun_to_its_end(wire: Wire) -> None:
    sent = wire.fill()
    for _ in range(5):
        wire.transport.send_nowait(b"dropped")
    wire.transport.discard_queue()
    wire.transport.send_nowait(b"last")
    assert await wire.read(len(sent) + 4) == sent + b"last"
    await wait_all_tasks_blocked()
    assert wire.taken() == b""
    assert wire.transport.queued == 0


async def test_what_was_not_begun_is_dropped_and_who_waits_for_room_gets_it(wire: Wire) -> None:
    filled = 0
    while not wire.transport.queued:  # until a chunk is taken not at all
        try:
            filled += wire.ours.send(b"x" * 4096)
        except BlockingIOError:
            wire.transport.send_nowait(b"dropped")
    assert wire.transport.queued == len(b"dropped")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.transport.room, 1)
        await wait_all_tasks_blocked()
        wire.transport.discard_queue()
        assert wire.transport.queued == 0
    wire.transport.send_nowait(b"last")
    assert await wire.read(filled + 4) == b"x" * filled + b"last"


async def test_what_the_sending_task_has_begun_is_kept_to_its_end_too(wire: Wire) -> None:
    filled = 0
    while not wire.transport.queued:  # until it is queued without a byte of it sent
        try:
            filled += wire.ours.send(b"x" * 4096)
        except BlockingIOError:
            wire.transport.send_nowait(BIG)
    taken = wire.taken()
    await wait_all_tasks_blocked()
    assert 0 < wire.transport.queued < len(BIG)
    wire.transport.discard_queue()
    wire.transport.send_nowait(b"last")
    sent = b"x" * filled + BIG + b"last"
    assert taken + await wire.read(len(sent) - len(taken)) == sent


async def test_dropping_an_empty_queue_changes_nothing(wire: Wire) -> None:
    wire.transport.discard_queue()
    wire.transport.send_nowait(b"on")
    assert wire.taken() == b"on"
