"""A member who does not read: the server's memory, the others, and what it gets in the end."""

from __future__ import annotations

import statistics
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import trio

from chat4all_protocol.frames import Create
from tests.life.crowd import Ended, Member, flood, follow, member

if TYPE_CHECKING:
    import ssl

    from tests.life.conftest import Certificate, Names, StartServer

KIB = 1024
MIB = 1024 * KIB
MAX_OUTBOUND = 64 * KIB
MESSAGES = 10_000
"""Of 3 KB each: 30 MB, much more than the kernel and the queues of the server hold."""
STALLED = 8
READERS = 3
SLACK = 8 * MIB
"""What a process may grow by for other reasons."""


async def group(owner: Member, names: list[str]) -> str:
    await owner.send(Create(rid=1, type="group", members=names))
    answer = await owner.receive()
    assert answer["t"] == "conv", answer
    conv = answer["conv"]
    assert isinstance(conv, str)
    return conv


async def run(sender: Member, readers: list[Member], conv: str, start: int, count: int) -> float:
    """Send so many messages; the median latency of the readers, who get them all in order."""
    latencies: list[float] = []

    async def read(reader: Member) -> None:
        latencies.extend(await follow(reader, start, start + count))

    async with trio.open_nursery() as nursery:
        for reader in readers:
            nursery.start_soon(read, reader)
        await flood(sender, conv, count)
    return statistics.median(latencies)


async def read_on(reader: Member, position: int) -> tuple[int, tuple[int, int] | None]:
    """Read in order up to a gap, which is then returned, or to the end of the connection."""
    while True:
        try:
            frame = await reader.receive()
        except Ended as ended:
            if ended.code != 3008:
                raise
            return position, None
        if frame["t"] == "gap":
            assert frame["from"] == position + 1
            return position, (frame["from"], frame["to"])
        assert (frame["t"], frame["seq"]) == ("msg", position + 1)
        position += 1


async def test_members_who_do_not_read_cost_neither_memory_nor_the_others_time(
    start_server: StartServer, names: Names
) -> None:
    # Nobody here answers a ping, however long a busy machine takes.
    server = start_server(max_outbound=MAX_OUTBOUND, slow_timeout=600, heartbeat=600)
    ana, *others = names(1 + READERS + STALLED)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        sender = await enter(member(server.port, ana))
        readers = [await enter(member(server.port, name)) for name in others[:READERS]]
        conv = await group(sender, others)
        for reader in readers:
            assert (await reader.receive())["t"] == "conv"
        alone = await run(sender, readers, conv, 0, MESSAGES // 4)
        start = MESSAGES // 4
        stalled = [
            await enter(member(server.port, name, receive_buffer=4 * KIB))
            for name in others[READERS:]
        ]
        before = server.memory
        beside = await run(sender, readers, conv, start, MESSAGES)
        grown = server.memory - before
        end = start + MESSAGES

        assert grown < STALLED * 2 * MAX_OUTBOUND + SLACK
        assert beside < 4 * alone

        # They read again: what was queued, and a gap instead of the rest.
        for slow in stalled:
            held, gap = await read_on(slow, start)
            assert gap == (held + 1, end)
            assert start < held < end
            events = await slow.fetch_after(conv, held)
            assert [event["seq"] for event in events] == list(range(held + 1, end + 1))
        # And they take part again.
        await run(sender, [*readers, *stalled], conv, end, 10)


async def stay_behind(port: int, names: list[str], context: ssl.SSLContext | None) -> None:
    """Be closed as too slow, come back, and have everything once."""
    ana, bob = names
    async with member(port, ana, tls=context) as sender:
        conv = await group(sender, [bob])
        async with member(port, bob, receive_buffer=4 * KIB, tls=context) as slow:
            held, head = 0, 0
            gap: tuple[int, int] | None = (0, 0)
            patience = 7.0  # the time-out, and what may pass until it is noticed
            while gap is not None:
                await flood(sender, conv, MESSAGES // 4)
                head += MESSAGES // 4
                await trio.sleep(patience)
                patience *= 2
                held, gap = await read_on(slow, held)
                if gap is not None:
                    held = gap[1]
            assert held < head
        async with member(port, bob, cursors={conv: held}, tls=context) as back:
            gap = (await read_on(back, held))[1]
            assert gap == (held + 1, head)
            events = await back.fetch_after(conv, held)
            assert [event["seq"] for event in events] == list(range(held + 1, head + 1))


async def test_a_member_who_stays_behind_is_closed_with_3008_and_resumes_also_over_tls(
    start_server: StartServer, names: Names, certificate: Certificate, tls: ssl.SSLContext
) -> None:
    settings = {"max_outbound": MAX_OUTBOUND, "slow_timeout": 1, "close_timeout": 60}
    plain = start_server(**settings)
    secure = start_server(*certificate.flags, **settings)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stay_behind, plain.port, names(2), None)
        nursery.start_soon(stay_behind, secure.port, names(2), tls)
