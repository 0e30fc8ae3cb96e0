"""A burst of requests begins bit by bit, so that others have their turn in between."""

from __future__ import annotations

import trio

from chat4all_actors.edge.http.asgi import BEGINNING, Door

MANY = 20


async def test_few_go_through_the_door_in_each_pass_of_the_scheduler() -> None:
    door, through, passes = Door(), 0, 0

    async def enter() -> None:
        nonlocal through
        await door.enter()
        through += 1

    async with trio.open_nursery() as nursery:
        for _ in range(MANY):
            nursery.start_soon(enter)
        while through < MANY:
            await trio.lowlevel.checkpoint()
            passes += 1
    assert passes >= MANY // BEGINNING


async def test_who_leaves_before_its_turn_keeps_nobody_waiting() -> None:
    door = Door()
    through: list[int] = []

    async def enter(number: int) -> None:
        await door.enter()
        through.append(number)

    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as leaving:
            for number in range(3):
                leaving.start_soon(enter, number)
            await trio.lowlevel.checkpoint()
            leaving.cancel_scope.cancel()
        before = len(through)
        nursery.start_soon(enter, 9)
    assert through[before:] == [9]
