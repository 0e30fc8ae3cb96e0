from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import trio

from chat4all_actors.kernel import (
    Child,
    Pool,
    Strategy,
    Supervisor,
    render,
)
from tests.kernel.stage import Stage, play

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.kernel.conftest import Faults


# Start and stop


async def test_children_start_in_order_each_when_the_former_is_ready(
    stage: Stage, autojump_clock: MockClock
) -> None:
    stage.start_seconds = {"a": 3, "b": 1}
    supervisor = Supervisor("top", [stage.child(name) for name in "abc"])
    begin = trio.current_time()

    async def scene() -> None:
        assert trio.current_time() - begin == 4
        assert stage.take_log() == ["+a", "a ready", "+b", "b ready", "+c", "c ready"]

    await play(supervisor, scene)


async def test_a_stop_goes_in_reverse_and_waits_for_each_cleanup(
    stage: Stage, autojump_clock: MockClock
) -> None:
    stage.cleanup_seconds = {"a": 1, "b": 5, "c": 2}
    supervisor = Supervisor("top", [stage.child(name) for name in "abc"])

    async def scene() -> None:
        stage.take_log()

    begin = trio.current_time()
    await play(supervisor, scene)
    assert stage.take_log() == ["-c", "c gone", "-b", "b gone", "-a", "a gone"]
    assert trio.current_time() - begin == 8


async def test_nested_supervisors_stop_in_reverse_through_all_levels(
    stage: Stage, autojump_clock: MockClock
) -> None:
    stage.cleanup_seconds = {"c": 3, "b": 2, "d": 1}
    inner = Supervisor("inner", [stage.child("b"), stage.child("c")])
    supervisor = Supervisor(
        "top", [stage.child("a"), Child("inner", inner.run, tree=inner.tree), stage.child("d")]
    )

    async def scene() -> None:
        assert [entry for entry in stage.take_log() if "+" in entry] == ["+a", "+b", "+c", "+d"]

    await play(supervisor, scene)
    assert [entry for entry in stage.take_log() if "gone" in entry] == [
        "d gone",
        "c gone",
        "b gone",
        "a gone",
    ]


async def test_a_start_that_fails_stops_what_runs_and_raises_the_error(stage: Stage) -> None:
    stage.starts["c"] = iter([OSError("port in use")])
    faults: Faults = []
    supervisor = Supervisor(
        "top",
        [stage.child(name) for name in "abcd"],
        on_fault=lambda name, error: faults.append((name, error)),
    )
    with pytest.raises(OSError, match="port in use") as caught:
        await supervisor.run()
    assert caught.value.__notes__ == ["while top started c"]
    assert stage.take_log()[4:] == ["+c", "-b", "b gone", "-a", "a gone"]
    assert faults == []


async def test_a_cancellation_during_the_start_stops_what_started_in_reverse(
    stage: Stage, autojump_clock: MockClock
) -> None:
    stage.start_seconds = {"c": math.inf}
    supervisor = Supervisor("top", [stage.child(name) for name in "abcd"])
    with trio.move_on_after(1) as scope:
        await supervisor.run()
    assert scope.cancelled_caught
    assert stage.take_log()[4:] == ["+c", "-b", "b gone", "-a", "a gone"]
    assert supervisor.tree().state == "stopped"


async def test_a_supervisor_in_a_cancelled_scope_starts_no_second_child(stage: Stage) -> None:
    supervisor = Supervisor("top", [stage.child(name) for name in "ab"])
    with trio.CancelScope() as scope:
        scope.cancel()
        await supervisor.run()
    assert "+b" not in stage.take_log()


async def test_a_crash_of_an_earlier_child_does_not_block_the_start(
    stage: Stage, autojump_clock: MockClock
) -> None:
    stage.start_seconds = {"b": 5}
    supervisor = Supervisor(
        "top", [stage.child("a"), stage.child("b")], strategy=Strategy.REST_FOR_ONE, backoff=1.0
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run)
        await trio.sleep(2)
        stage.crash("a")
        await trio.sleep(10)
        assert stage.take_log() == [
            *["+a", "a ready", "+b"],
            *["a ends"],
            *["+a", "a ready", "+b", "b ready"],
        ]
        assert supervisor.tree().state == "running"
        nursery.cancel_scope.cancel()


async def test_a_supervisor_may_run_again_but_not_twice_at_once(stage: Stage) -> None:
    supervisor = Supervisor("top", [stage.child("a")])

    async def scene() -> None:
        with pytest.raises(RuntimeError, match="running already"):
            await supervisor.run()

    await play(supervisor, scene)
    await play(supervisor, scene)
    assert stage.take_log() == ["+a", "a ready", "-a", "a gone"] * 2


# Descriptions and misuse


async def test_the_tree_shows_what_is_below(stage: Stage) -> None:
    pool = Pool("sessions")
    supervisor = Supervisor(
        "node", [stage.child("storage"), Child("session pool", pool.run, tree=pool.tree)]
    )
    assert supervisor.tree().state == "stopped"

    async def scene() -> None:
        pool.start_soon("ann", trio.sleep_forever)
        assert render(supervisor.tree()).splitlines() == [
            "node [supervisor] running strategy=one_for_one restarts=0 faults=0",
            "├── storage [task] running",
            "└── session pool [pool] running members=1 actors=0 started=1 faults=0",
            "    └── ann [member] running",
        ]

    await play(supervisor, scene)


async def test_the_tree_shows_waiting_starting_and_stopping_children(
    stage: Stage, autojump_clock: MockClock
) -> None:
    stage.start_seconds = {"a": 2}
    stage.cleanup_seconds = {"b": 2}
    supervisor = Supervisor(
        "top", [stage.child("a"), stage.child("b")], strategy=Strategy.REST_FOR_ONE, backoff=2.0
    )

    def states() -> list[str]:
        return [child.state for child in supervisor.tree().children]

    async def scene() -> None:
        stage.crash("a")
        await trio.sleep(1)
        assert states() == ["waiting", "stopping"]
        await trio.sleep(2)
        assert states() == ["waiting", "waiting"]
        await trio.sleep(2)
        assert states() == ["starting", "waiting"]
        await trio.sleep(2)
        assert states() == ["running", "running"]
        assert supervisor.tree().children[0].detail == {"restarts": 1}

    await play(supervisor, scene)


@pytest.mark.parametrize(
    "options",
    [
        {"max_restarts": -1},
        {"window": 0},
        {"window": math.nan},
        {"backoff": -1.0},
        {"backoff": ()},
        {"backoff": (1.0, math.inf)},
    ],
)
def test_figures_that_make_no_sense_are_refused(stage: Stage, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"budget|delays"):
        Supervisor("top", [stage.child("a")], **options)


def test_children_have_different_names(stage: Stage) -> None:
    with pytest.raises(ValueError, match="differ"):
        Supervisor("top", [stage.child("a"), stage.child("a")])


def test_a_restart_without_delay_and_a_short_window_make_sense(stage: Stage) -> None:
    Supervisor("top", [stage.child("a")], window=0.5, backoff=0)


async def test_a_supervisor_shows_that_it_stops_and_tasks_are_called_like_children() -> None:
    seen: list[str] = []

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            seen.extend([supervisor.tree().state, trio.lowlevel.current_task().name])

    async def scene() -> None:
        seen.append(supervisor.tree().state)

    supervisor = Supervisor("top", [Child("a", run)])
    await play(supervisor, scene)
    assert seen == ["running", "stopping", "a"]
