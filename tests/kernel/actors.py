"""Actors that tests talk to."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import pytest
import trio

from chat4all_actors.kernel import Actor, Pool, Reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Question: TypeAlias = "tuple[str, Reply[str]]"


class Recorder(Actor[int]):
    """Records its batches; waits at the gate, if there is one, with a batch in hand."""

    def __init__(self, pool: Pool, capacity: int = 1024, gate: trio.Event | None = None) -> None:
        super().__init__("recorder", pool, capacity)
        self.gate = gate
        self.batches: list[list[int]] = []
        self.ends: list[tuple[object, list[int]]] = []
        self.crash_on: int | None = None

    async def receive(self, batch: list[int]) -> None:
        self.batches.append(list(batch))
        if self.gate is not None:
            await self.gate.wait()
        if self.crash_on in batch:
            raise ValueError("bad message")

    def on_fault(self, error: BaseException, unhandled: list[int]) -> None:
        self.ends.append((error, unhandled))

    def on_stop(self, unhandled: list[int]) -> None:
        self.ends.append(("stop", unhandled))


class Clerk(Actor[Question]):
    """Answers by the text of the question."""

    def __init__(self, pool: Pool, capacity: int = 1024) -> None:
        super().__init__("clerk", pool, capacity)
        self.gate = trio.Event()
        self.seen: list[Reply[str]] = []

    async def receive(self, batch: list[Question]) -> None:
        for question, reply in batch:
            self.seen.append(reply)
            if question == "echo":
                reply.resolve("echo")
            elif question == "bad input":
                reply.fail(LookupError("bad input"))
            elif question == "crash":
                raise ValueError("a fault")
            elif question == "wait":
                await self.gate.wait()


def question(text: str) -> Callable[[Reply[str]], Question]:
    return lambda reply: (text, reply)


class Stepper(Recorder):
    """Handles small numbers at once, and all others in bursts."""

    def __init__(self, pool: Pool, capacity: int = 1024, gate: trio.Event | None = None) -> None:
        super().__init__(pool, capacity, gate)
        self.stepped: list[int] = []
        self.during: Callable[[], None] | None = None

    def receive_nowait(self, message: int) -> bool:
        if message >= 10:
            return False
        if self.during is not None:
            self.during()
        if message == self.crash_on:
            raise ValueError("bad message")
        self.stepped.append(message)
        return True


async def expect(error: type[BaseException], ask: Awaitable[object]) -> None:
    with pytest.raises(error):
        await ask
