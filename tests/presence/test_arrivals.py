"""What is known of users who connect, while the directory tells and while it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.presence.arrivals import AGAIN, PATIENCE, Arriving
from chat4all_storage.ports.directory import Arrivals
from chat4all_storage.ports.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Collection

    from trio.testing import MockClock

    from chat4all_storage.ports.directory import Directory


class Users:
    """A directory in which "eve" is invisible."""

    def __init__(self) -> None:
        self.asked: list[set[str]] = []
        self.away = False
        self.hangs = False

    async def arrivals(self, users: Collection[str]) -> Arrivals:
        self.asked.append(set(users))
        await trio.lowlevel.checkpoint()
        if self.away:
            raise Unavailable("gone")
        if self.hangs:
            await trio.sleep_forever()
        return Arrivals(read_at=7, invisible=frozenset({"eve"} & set(users)))


def arriving() -> tuple[Users, Arriving]:
    users = Users()
    return users, Arriving(cast("Directory", users))


async def test_those_who_connect_at_the_same_time_are_asked_for_together() -> None:
    users, questions = arriving()
    found: dict[str, Arrivals] = {}

    async def connect(user: str) -> None:
        found[user] = await questions.of(user)

    async with trio.open_nursery() as nursery:
        for user in ("ana", "bob", "eve"):
            nursery.start_soon(connect, user)
    assert len(users.asked) < 3
    assert {user: user in it.invisible for user, it in found.items()} == {
        "ana": False,
        "bob": False,
        "eve": True,
    }
    assert {it.read_at for it in found.values()} == {7}


@pytest.mark.parametrize("how", ["away", "hangs"])
async def test_who_is_not_known_looks_invisible_until_the_directory_tells(
    how: str, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    users, questions = arriving()
    told: list[tuple[str, Arrivals]] = []
    nursery.start_soon(questions.run, lambda user, it: told.append((user, it)))
    setattr(users, how, True)
    began = trio.current_time()
    assert await questions.of("ana") == Arrivals(read_at=0, invisible=frozenset({"ana"}))
    assert trio.current_time() - began == (PATIENCE if how == "hangs" else 0)
    await trio.sleep(2 * AGAIN)
    assert told == []
    setattr(users, how, False)
    await trio.sleep(AGAIN + PATIENCE)
    assert told == [("ana", Arrivals(read_at=7, invisible=frozenset()))]
    await trio.sleep(2 * AGAIN)
    assert len(told) == 1


async def test_who_asks_for_what_holds_is_told_when_it_is_not_known() -> None:
    users, questions = arriving()
    users.away = True
    with pytest.raises(Unavailable):
        await questions.ask("ana")


async def test_a_user_who_goes_before_the_answer_takes_nothing_along(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    users, questions = arriving()
    users.hangs = True
    told: list[str] = []
    nursery.start_soon(questions.run, lambda user, _: told.append(user))
    with trio.move_on_after(PATIENCE / 2):
        await questions.of("ana")
    users.hangs = False
    await trio.sleep(2 * AGAIN)
    await wait_all_tasks_blocked()
    assert told == []
