"""What became of deliveries is noted together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
import trio.testing

from chat4all_actors.channels.finishing import Finishing
from chat4all_storage.ports.deliveries import Finish

if TYPE_CHECKING:
    from collections.abc import Sequence


async def test_what_ends_while_something_is_written_is_written_together_after_it() -> None:
    written: list[list[int]] = []
    gates = [trio.Event(), trio.Event()]
    noted: list[int] = []

    async def write(finished: Sequence[Finish]) -> None:
        written.append([each.id for each in finished])
        await gates[len(written) - 1].wait()

    finishing = Finishing(write)

    async def note(number: int) -> None:
        await finishing.note(Finish(id=number, state="sent"))
        noted.append(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(finishing.run)
        nursery.start_soon(note, 1)
        await trio.testing.wait_all_tasks_blocked()
        for number in (2, 3):
            nursery.start_soon(note, number)
        await trio.testing.wait_all_tasks_blocked()
        assert (written, noted) == ([[1]], [])
        gates[0].set()
        await trio.testing.wait_all_tasks_blocked()
        assert noted == [1]
        assert [sorted(each) for each in written] == [[1], [2, 3]]
        gates[1].set()
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(noted) == [1, 2, 3]
        nursery.cancel_scope.cancel()
