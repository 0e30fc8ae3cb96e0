from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chat4all_actors.kernel import (
    Child,
    ChildReturned,
    RestartBudgetExceeded,
    Strategy,
    Supervisor,
)
from tests.kernel.stage import Stage, only, play

if TYPE_CHECKING:
    from tests.kernel.conftest import Faults


async def test_one_for_one_restarts_only_the_child_that_crashed(
    stage: Stage, autojump_clock: MockClock
) -> None:
    faults: Faults = []
    supervisor = Supervisor(
        "top",
        [stage.child(name) for name in "abc"],
        backoff=2.0,
        on_fault=lambda name, error: faults.append((name, error)),
    )

    async def scene() -> None:
        stage.take_log()
        stage.crash("b")
        await trio.sleep(1)
        assert stage.take_log() == ["b ends"]
        assert supervisor.statistics().running == 2
        await trio.sleep(2)
        assert stage.take_log() == ["+b", "b ready"]

    await play(supervisor, scene)
    assert [(name, str(error)) for name, error in faults] == [("b", "b broke")]
    figures = supervisor.statistics()
    assert (figures.restarts, figures.faults, figures.recent_restarts) == (1, 1, 1)


async def test_a_slow_restart_of_one_does_not_hold_up_that_of_another(
    stage: Stage, autojump_clock: MockClock
) -> None:
    supervisor = Supervisor("top", [stage.child("a"), stage.child("b")], backoff=1.0)

    async def scene() -> None:
        stage.take_log()
        stage.start_seconds = {"a": 100}
        stage.crash("a")
        await trio.sleep(2)
        stage.crash("b")
        await trio.sleep(2)
        assert stage.take_log() == ["a ends", "+a", "b ends", "+b", "b ready"]

    await play(supervisor, scene)


async def test_rest_for_one_stops_the_later_ones_in_reverse_and_restarts_in_order(
    stage: Stage, autojump_clock: MockClock
) -> None:
    stage.cleanup_seconds = {"c": 1, "d": 3}
    stage.start_seconds = {"b": 2}
    supervisor = Supervisor(
        "top", [stage.child(name) for name in "abcd"], strategy=Strategy.REST_FOR_ONE
    )

    async def scene() -> None:
        stage.take_log()
        stage.crash("b")
        await trio.sleep(20)
        assert stage.take_log() == [
            "b ends",
            *["-d", "d gone", "-c", "c gone"],
            *["+b", "b ready", "+c", "c ready", "+d", "d ready"],
        ]

    await play(supervisor, scene)
    assert supervisor.statistics().restarts == 1


@pytest.mark.parametrize("strategy", list(Strategy))
async def test_a_child_that_returns_has_failed_and_comes_back(
    stage: Stage, faults: Faults, autojump_clock: MockClock, strategy: Strategy
) -> None:
    supervisor = Supervisor(
        "top",
        [stage.child("a")],
        strategy=strategy,
        on_fault=lambda name, error: faults.append((name, error)),
    )

    async def scene() -> None:
        stage.take_log()
        stage.finish("a")
        await trio.sleep(1)
        assert stage.take_log() == ["a ends", "+a", "a ready"]

    await play(supervisor, scene)
    ((name, error),) = faults
    assert isinstance(error, ChildReturned)
    assert (name, str(error)) == ("a", "a returned")


async def test_delays_grow_with_restarts_in_a_row_and_begin_anew_after_a_long_life(
    stage: Stage, autojump_clock: MockClock
) -> None:
    supervisor = Supervisor(
        "top", [stage.child("a")], max_restarts=100, window=30, backoff=(1.0, 2.0, 4.0)
    )
    delays: list[float] = []

    async def scene() -> None:
        for life in (1, 1, 1, 1, 30, 29, 1):
            await trio.sleep(life)
            stage.crash("a")
            crashed = trio.current_time()
            await stage.restarted("a")
            delays.append(trio.current_time() - crashed)

    await play(supervisor, scene)
    assert delays == [1.0, 2.0, 4.0, 4.0, 1.0, 2.0, 4.0]


# Giving up


async def test_too_many_restarts_stop_all_in_reverse_and_escalate(
    stage: Stage, autojump_clock: MockClock
) -> None:
    supervisor = Supervisor("top", [stage.child(name) for name in "abc"], max_restarts=3, window=30)

    async def scene() -> None:
        for _ in range(4):
            stage.crash("b")
            stage.take_log()
            await trio.sleep(5)

    with pytest.raises(ExceptionGroup) as caught:
        await play(supervisor, scene)
    error = only(caught.value)
    assert isinstance(error, RestartBudgetExceeded)
    assert str(error) == "top: b failed after 3 restarts within 30 s"
    assert str(error.__cause__) == "b broke"
    assert stage.take_log() == ["b ends", "-c", "c gone", "-a", "a gone"]


async def test_unless_told_otherwise_the_fourth_crash_within_half_a_minute_is_too_many(
    stage: Stage, autojump_clock: MockClock
) -> None:
    supervisor = Supervisor("top", [stage.child("a")], backoff=0.0)

    async def scene() -> None:
        for crash in range(4):
            await trio.sleep(9.5)
            assert supervisor.statistics().recent_restarts == crash
            stage.crash("a")
        await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await play(supervisor, scene)
    assert isinstance(only(caught.value), RestartBudgetExceeded)
    figures = supervisor.statistics()
    assert (figures.children, figures.restarts, figures.faults) == (1, 3, 4)
    assert supervisor.tree().children[0].detail == {"restarts": 3}


async def test_restarts_far_apart_do_not_escalate(stage: Stage, autojump_clock: MockClock) -> None:
    supervisor = Supervisor("top", [stage.child("a")], max_restarts=3, window=30)

    async def scene() -> None:
        for _ in range(20):
            stage.crash("a")
            await trio.sleep(10)

    await play(supervisor, scene)
    assert supervisor.statistics().restarts == 20


async def test_a_restart_that_fails_counts_against_the_budget(
    stage: Stage, autojump_clock: MockClock
) -> None:
    stage.starts["a"] = iter([None, *(OSError(f"failure {n}") for n in range(9))])
    supervisor = Supervisor("top", [stage.child("a")], max_restarts=3, window=30)

    async def scene() -> None:
        stage.crash("a")
        await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await play(supervisor, scene)
    error = only(caught.value)
    assert isinstance(error, RestartBudgetExceeded)
    assert str(error.__cause__) == "failure 2"


async def test_an_inner_supervisor_that_gives_up_is_restarted_by_the_outer(
    stage: Stage, autojump_clock: MockClock
) -> None:
    inner = Supervisor("inner", [stage.child("a"), stage.child("b")], max_restarts=0)
    outer = Supervisor("outer", [Child("inner", inner.run)], max_restarts=1, backoff=1.0)

    async def scene() -> None:
        stage.take_log()
        stage.crash("b")
        await trio.sleep(2)
        assert stage.take_log() == [
            *["b ends", "-a", "a gone"],
            *["+a", "a ready", "+b", "b ready"],
        ]
        stage.crash("a")
        await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await play(outer, scene)
    error = only(caught.value)
    assert str(error).startswith("outer: inner failed after 1 restarts")
    assert isinstance(error.__cause__, RestartBudgetExceeded)
    assert str(error.__cause__.__cause__) == "a broke"


# What must not get lost


async def test_a_stop_in_the_middle_of_a_restart_keeps_the_reverse_order(
    stage: Stage, autojump_clock: MockClock
) -> None:
    stage.cleanup_seconds = {"b": 5, "c": 5, "d": 5}
    supervisor = Supervisor(
        "top", [stage.child(name) for name in "abcd"], strategy=Strategy.REST_FOR_ONE
    )

    async def scene() -> None:
        stage.take_log()
        stage.crash("b")
        await trio.sleep(1)

    await play(supervisor, scene)
    assert stage.take_log() == ["b ends", "-d", "d gone", "-c", "c gone", "-a", "a gone"]


async def test_children_that_crash_together_are_all_reported_and_come_back(
    stage: Stage, autojump_clock: MockClock
) -> None:
    faults: Faults = []
    supervisor = Supervisor(
        "top",
        [stage.child(name) for name in "abc"],
        strategy=Strategy.REST_FOR_ONE,
        on_fault=lambda name, error: faults.append((name, error)),
    )

    async def scene() -> None:
        stage.take_log()
        for name in "cab":
            stage.crash(name)
        await trio.sleep(1)
        assert stage.take_log()[3:] == ["+a", "a ready", "+b", "b ready", "+c", "c ready"]

    await play(supervisor, scene)
    assert sorted(name for name, _ in faults) == ["a", "b", "c"]


async def test_errors_while_stopping_are_reported_and_the_stop_goes_on(stage: Stage) -> None:
    faults: Faults = []
    stage.cleanup_error["b"] = ValueError("cleanup failed")
    supervisor = Supervisor(
        "top",
        [stage.child(name) for name in "abc"],
        on_fault=lambda name, error: faults.append((name, error)),
    )
    await play(supervisor, wait_all_tasks_blocked)
    assert stage.take_log()[-4:] == ["-b", "b gone", "-a", "a gone"]
    assert faults == [("b", stage.cleanup_error["b"])]


@pytest.mark.parametrize("passing", [KeyboardInterrupt, SystemExit])
async def test_an_interrupt_passes_through_after_an_ordered_stop(
    stage: Stage, autojump_clock: MockClock, passing: type[BaseException]
) -> None:
    stage.cleanup_seconds = {"a": 1, "c": 3}
    supervisor = Supervisor("top", [stage.child(name) for name in "abc"])

    async def scene() -> None:
        stage.take_log()
        stage.orders["b"].send_nowait(passing())
        await trio.sleep_forever()

    with pytest.raises(BaseExceptionGroup) as caught:
        await play(supervisor, scene)
    assert isinstance(only(caught.value), passing)
    assert stage.take_log() == ["b ends", "-c", "c gone", "-a", "a gone"]
    assert supervisor.statistics().faults == 0
