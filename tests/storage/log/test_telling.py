"""Owners get their answers in order, and leave others their turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_protocol.ids import new_id
from chat4all_storage.log import telling as module
from chat4all_storage.log.entries import Entry
from chat4all_storage.log.telling import Telling
from chat4all_storage.ports.events import Outcome, Status
from tests.storage.builders import append
from tests.storage.scripted_store import Inbox

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from chat4all_storage.log.entries import Answer

STORED = Outcome(Status.STORED, 1, 1)


def answered(owner: Callable[[Any], None]) -> tuple[Entry[None], Answer]:
    return Entry(append(new_id(), "ann"), owner, None), STORED


async def test_flushes_are_told_one_after_the_other_and_an_owner_once_for_each() -> None:
    telling, ann, bob = Telling(), Inbox(), Inbox()
    first = [answered(ann.receive), answered(bob.receive), answered(ann.receive)]
    second = [answered(ann.receive)]
    telling.tell_nowait(first)
    telling.tell_nowait(second)
    telling.end()
    await telling.run()
    assert ann.calls == [[first[0], first[2]], second]
    assert bob.calls == [[first[1]]]


async def test_answers_are_given_when_they_come(nursery: trio.Nursery) -> None:
    telling, ann = Telling(), Inbox()
    nursery.start_soon(telling.run)
    await wait_all_tasks_blocked()
    telling.tell_nowait([answered(ann.receive)])
    await wait_all_tasks_blocked()
    assert len(ann.answers) == 1
    telling.end()


async def test_a_cancel_keeps_nobody_from_an_answer() -> None:
    telling, ann = Telling(), Inbox()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(telling.run)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        telling.tell_nowait([answered(ann.receive)])
        telling.end()
    assert len(ann.answers) == 1


async def test_others_get_their_turn_after_so_many_owners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOLD_AT_ONCE", 2)
    telling, told, seen = Telling(), list[int](), list[int]()

    async def look() -> None:
        while len(told) < 5:
            seen.append(len(told))
            await trio.lowlevel.checkpoint()

    def owner(number: int) -> Callable[[Any], None]:
        return lambda _: told.append(number)

    telling.tell_nowait([answered(owner(number)) for number in range(5)])
    telling.end()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(telling.run)
        nursery.start_soon(look)
    assert told == [0, 1, 2, 3, 4]
    assert {2, 4} & set(seen)
    assert set(seen) <= {0, 2, 4}
