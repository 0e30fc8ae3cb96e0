from __future__ import annotations

import pytest
import trio

from chat4all_actors.kernel import Child, ChildReturned, Supervisor, TreeNode
from chat4all_actors.kernel.child import Life, Place


async def live(child: Child) -> Life:
    """One life to its end; nothing cancels it."""
    life = Life(lambda: None)
    await life.run(child)
    return life


async def test_a_child_that_returns_has_failed() -> None:
    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()

    life = await live(Child("hasty", run))
    assert isinstance(life.fault, ChildReturned)
    assert str(life.fault) == "hasty returned"
    assert life.ready_at is not None


async def test_one_that_returns_before_it_is_ready_fails_the_start() -> None:
    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.lowlevel.checkpoint()

    with pytest.raises(ChildReturned, match=r"^hasty returned before it was ready\n"):
        await Supervisor("top", [Child("hasty", run)]).run()


async def test_one_that_returns_when_it_is_cancelled_has_not_failed() -> None:
    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        with trio.CancelScope() as scope:
            task_status.started()
            await trio.sleep_forever()
        assert not scope.cancelled_caught

    async def return_all_the_same(*, task_status: trio.TaskStatus[None]) -> None:
        try:
            await run(task_status=task_status)
        except trio.Cancelled:
            return

    for child in (Child("good", run), Child("stubborn", return_all_the_same)):
        life = Life(lambda: None)
        life.scope.cancel()
        await life.run(child)
        assert life.ended.is_set()
        assert life.fault is None
        assert not life.passing


async def test_a_child_reports_that_it_is_ready_only_once() -> None:
    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        task_status.started()

    life = await live(Child("a", run))
    assert isinstance(life.fault, RuntimeError)
    assert str(life.fault) == "a child is started only once"


async def test_the_supervisor_hears_of_ready_and_of_the_end() -> None:
    heard: list[tuple[bool, bool]] = []

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        raise ValueError

    life = Life(lambda: heard.append((life.ready_at is not None, life.ended.is_set())))
    await life.run(Child("a", run))
    assert heard == [(True, False), (True, True)]


async def test_an_interrupt_passes_and_the_fault_beside_it_is_kept() -> None:
    fault, interrupt = ValueError(), KeyboardInterrupt()

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        raise BaseExceptionGroup("", [fault, interrupt])

    life = Life(lambda: None)
    with pytest.raises(BaseExceptionGroup) as caught:
        await life.run(Child("a", run))
    assert caught.value.exceptions == (interrupt,)
    assert life.passing
    assert life.ended.is_set()
    assert isinstance(life.fault, ExceptionGroup)
    assert life.fault.exceptions == (fault,)


async def test_a_place_remembers_that_its_child_was_ready_once() -> None:
    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        if not place.proven:
            task_status.started()
        raise ValueError

    place = Place(Child("a", run))
    for expected in (True, False):
        place.life = Life(lambda: None)
        await place.life.run(place.child)
        assert place.ready is expected
        place.clear()
        assert place.proven
        assert not place.ready


def test_a_place_is_described_by_what_is_below_the_child() -> None:
    below = TreeNode("something", "pool", "running", {"members": 1}, (TreeNode("a", "b", "c"),))
    place = Place(Child("sessions", trio.sleep_forever, tree=lambda: below))
    node = place.tree()
    assert (node.name, node.kind, node.state) == ("sessions", "pool", "waiting")
    assert (node.detail, node.children) == (below.detail, below.children)
    place.restarts = 2
    assert place.tree().detail == {"members": 1, "restarts": 2}
    assert Place(Child("a", trio.sleep_forever)).tree() == TreeNode("a", "task", "waiting")
