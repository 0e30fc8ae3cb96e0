"""One process of the generator: `python -m chat4all_bench.rest.sending FILE`, told by stdin."""

from __future__ import annotations

import asyncio
import random
import resource
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import uvloop

from ..http import TIMEOUT, NoAnswer, Server, request
from .samples import GOOD, Sample
from .stages import length, users_at
from .work import Done, Rate, Users, Window, Work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..http import Answer, Connection
    from .work import Pair

LOOK: float = 0.05
"""Seconds between two looks at how many virtual users there are to be."""


def message(pair: Pair, message_id: str) -> dict[str, object]:
    """A message as the load test of the specification sends it."""
    return {
        "message_id": message_id,
        "conversation_id": pair.conversation_id,
        "from": pair.one,
        "to": [pair.other],
        "channels": ["internal"],
        "payload": {"type": "text", "text": f"Load test message {message_id}"},
        "metadata": {"test": "load_test", "timestamp": int(time.time() * 1000)},
    }


def judged(answer: Answer, message_id: str) -> tuple[str, int]:
    """What is wrong with an answer (nothing: an empty text), and the sequence number in it."""
    if answer.status not in GOOD:
        return f"status {answer.status}", 0
    try:
        said = answer.json()
        if said["message_id"] != message_id:
            return "another message_id", 0
        if said["status"] != "accepted":
            return f"status is {said['status']}", 0
        return "", int(said["sequence_number"])
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        return "an answer of another form", 0


class Sender:
    """Sends messages and remembers what became of each."""

    def __init__(self, work: Work) -> None:
        self._pairs = work.pairs
        self.server = Server(work.url, most=work.connections // work.processes)
        self.samples: list[Sample] = []

    async def send(self, due: float, ask: Callable[[bytes], Awaitable[Answer]]) -> None:
        """Send a message in one of the conversations."""
        which = random.randrange(len(self._pairs))
        pair = self._pairs[which]
        message_id = str(uuid.uuid4())
        data = request(
            "POST",
            "/v1/messages",
            self.server.name,
            token=pair.token,
            body=message(pair, message_id),
        )
        sent = time.monotonic()
        status, seq = 0, 0
        try:
            answer = await ask(data)
            status = answer.status
            fault, seq = judged(answer, message_id)
        except NoAnswer as error:
            fault = f"no answer: {error}"
        done = time.monotonic()
        self.samples.append(Sample(due, sent, done, status, fault, which, message_id, seq))


async def run_users(sender: Sender, work: Work, load: Users) -> None:
    """As many virtual users as the stages say, those that are this process's."""
    ends = work.start_at + length(load.stages)

    def wanted() -> int:
        return users_at(load.stages, time.monotonic() - work.start_at)

    async def live(number: int) -> None:
        connection: Connection | None = None

        async def ask(data: bytes) -> Answer:
            nonlocal connection
            if connection is None or not connection.open:
                connection = await sender.server.connect()
            return await connection.ask(data)

        try:
            while number < wanted():
                await sender.send(time.monotonic(), ask)
                await asyncio.sleep(random.uniform(*load.think))
        finally:
            living.discard(number)
            if connection is not None:
                connection.close()

    living: set[int] = set()
    async with asyncio.TaskGroup() as tasks:
        while time.monotonic() < ends:
            for number in range(work.number, wanted(), work.processes):
                if number not in living:
                    living.add(number)
                    tasks.create_task(live(number))
            await asyncio.sleep(LOOK)


async def run_rate(sender: Sender, work: Work, load: Rate) -> None:
    """Every message at its time, on as many connections as that takes."""

    async def send(due: float) -> None:
        await sender.send(due, lambda data: sender.server.ask(data, until=due + TIMEOUT))

    async with asyncio.TaskGroup() as tasks:
        for number in range(work.number, int(load.per_second * load.seconds), work.processes):
            due = work.start_at + number / load.per_second
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            tasks.create_task(send(due))


async def run_window(sender: Sender, work: Work, load: Window) -> None:
    """The next message whenever one was answered."""
    ends = work.start_at + load.seconds

    async def live() -> None:
        while (due := time.monotonic()) < ends:
            await sender.send(due, sender.server.ask)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(work.number, load.messages, work.processes):
            tasks.create_task(live())


async def carry_out(work: Work) -> Done:
    """Do one process's share, from its time on."""
    sender = Sender(work)
    await asyncio.sleep(max(0.0, work.start_at - time.monotonic()))
    cpu = time.process_time()
    if isinstance(work.load, Users):
        await run_users(sender, work, work.load)
    elif isinstance(work.load, Rate):
        await run_rate(sender, work, work.load)
    else:
        await run_window(sender, work, work.load)
    seconds = time.monotonic() - work.start_at
    sender.server.close()
    busy = (time.process_time() - cpu) / seconds
    return Done(sender.samples, round(busy, 2), sender.server.opened)


def main() -> None:
    """Work as told on stdin, and tell in the file that is named."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each connection is a descriptor
    work = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        done = runner.run(carry_out(work))
    Path(sys.argv[1]).write_bytes(msgspec.msgpack.encode(done))


if __name__ == "__main__":
    main()
