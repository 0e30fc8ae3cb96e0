from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chat4all_actors.kernel import (
    Child,
    ChildReturned,
    Pool,
    RestartBudgetExceeded,
    Strategy,
    Supervisor,
    render,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from chat4all_actors.kernel import Restart

Faults = list[tuple[str, BaseException]]


class Stage:
    """Children that write down what happens to them, and do what they are told."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.orders: dict[str, trio.MemorySendChannel[BaseException | None]] = {}
        # How each start of a child fails, in turn; None and no entry: it does not.
        self.starts: dict[str, Iterator[BaseException | None]] = {}
        self.start_seconds: dict[str, float] = {}
        self.cleanup_seconds: dict[str, float] = {}
        self.cleanup_error: dict[str, Exception] = {}

    def child(self, name: str, restart: Restart = "permanent") -> Child:
        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            self.log.append(f"+{name}")
            await trio.sleep(self.start_seconds.get(name, 0))
            error = next(self.starts.get(name, iter(())), None)
            if error is not None:
                raise error
            sender, receiver = trio.open_memory_channel[BaseException | None](1)
            self.orders[name] = sender
            self.log.append(f"{name} ready")
            task_status.started()
            try:
                order = await receiver.receive()
            except trio.Cancelled:
                self.log.append(f"-{name}")
                with trio.CancelScope(shield=True):
                    await trio.sleep(self.cleanup_seconds.get(name, 0))
                self.log.append(f"{name} gone")
                if name in self.cleanup_error:
                    raise self.cleanup_error[name] from None
                raise
            self.log.append(f"{name} ends")
            if order is not None:
                raise order

        return Child(name, run, restart)

    def crash(self, name: str) -> None:
        self.orders[name].send_nowait(ValueError(f"{name} broke"))

    def finish(self, name: str) -> None:
        self.orders[name].send_nowait(None)

    def take_log(self) -> list[str]:
        log, self.log = self.log, []
        return log


async def play(supervisor: Supervisor, scene: Callable[[], Awaitable[object]]) -> None:
    """Run the scene while the supervisor runs, then stop it."""
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        await scene()
        nursery.cancel_scope.cancel()


def only(error: BaseException) -> BaseException:
    """What a nursery's group is about."""
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    return error


@pytest.fixture
def stage() -> Stage:
    return Stage()


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


async def test_a_child_that_returns_before_it_is_ready_fails_the_start() -> None:
    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.lowlevel.checkpoint()

    with pytest.raises(ChildReturned, match="hasty returned before it was ready"):
        await Supervisor("top", [Child("hasty", run, "temporary")]).run()


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


async def test_a_child_may_report_that_it_is_ready_only_once() -> None:
    faults: Faults = []

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        task_status.started()

    supervisor = Supervisor(
        "top", [Child("a", run, "temporary")], on_fault=lambda *fault: faults.append(fault)
    )
    await play(supervisor, wait_all_tasks_blocked)
    assert isinstance(faults[0][1], RuntimeError)


# Crashes


async def test_one_for_one_restarts_only_the_child_that_crashed(
    stage: Stage, autojump_clock: MockClock
) -> None:
    faults: Faults = []
    restarts: list[tuple[str, str, float]] = []
    supervisor = Supervisor(
        "top",
        [stage.child(name) for name in "abc"],
        backoff=2.0,
        on_fault=lambda name, error: faults.append((name, error)),
        on_restart=lambda name, error, delay: restarts.append((name, str(error), delay)),
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
    assert restarts == [("b", "b broke", 2.0)]
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


async def test_rest_for_one_does_not_bring_back_what_is_temporary_or_finished(
    stage: Stage, autojump_clock: MockClock
) -> None:
    supervisor = Supervisor(
        "top",
        [stage.child("a"), stage.child("b", "temporary"), stage.child("c", "transient")],
        strategy=Strategy.REST_FOR_ONE,
    )

    async def scene() -> None:
        stage.take_log()
        stage.crash("a")
        await trio.sleep(1)
        assert stage.take_log() == [
            *["a ends", "-c", "c gone", "-b", "b gone"],
            *["+a", "a ready", "+c", "c ready"],
        ]
        stage.finish("c")
        stage.crash("a")
        await trio.sleep(1)
        ends, restarts = stage.log[:2], stage.log[2:]
        assert sorted(ends) == ["a ends", "c ends"]
        assert restarts == ["+a", "a ready"]
        stage.take_log()

    await play(supervisor, scene)


@pytest.mark.parametrize(
    ("restart", "crashes", "expected"),
    [
        ("permanent", True, True),
        ("permanent", False, True),
        ("transient", True, True),
        ("transient", False, False),
        ("temporary", True, False),
        ("temporary", False, False),
    ],
)
async def test_the_restart_type_decides_who_comes_back(
    stage: Stage, autojump_clock: MockClock, restart: Restart, crashes: bool, expected: bool
) -> None:
    faults: Faults = []
    supervisor = Supervisor(
        "top", [stage.child("a", restart)], on_fault=lambda *fault: faults.append(fault)
    )

    async def scene() -> None:
        stage.take_log()
        stage.crash("a") if crashes else stage.finish("a")
        await trio.sleep(1)
        assert ("a ready" in stage.take_log()) == expected
        assert supervisor.tree().children[0].state == ("running" if expected else "finished")

    await play(supervisor, scene)
    assert len(faults) == (crashes or expected)
    if restart == "permanent" and not crashes:
        assert isinstance(faults[0][1], ChildReturned)


async def test_delays_grow_with_restarts_in_a_row_and_begin_anew_after_a_long_life(
    stage: Stage, autojump_clock: MockClock
) -> None:
    delays: list[float] = []
    supervisor = Supervisor(
        "top",
        [stage.child("a")],
        max_restarts=100,
        window=30,
        backoff=(1.0, 2.0, 4.0),
        on_restart=lambda name, error, delay: delays.append(delay),
    )

    async def scene() -> None:
        for life in (1, 1, 1, 1, 31, 1):
            await trio.sleep(life)
            stage.crash("a")
            await trio.sleep(5)

    await play(supervisor, scene)
    assert delays == [1.0, 2.0, 4.0, 4.0, 1.0, 2.0]


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
