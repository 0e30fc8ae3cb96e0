from __future__ import annotations

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.kernel import Registry


class Starter:
    """Starts that finish when told, and counts them."""

    def __init__(self) -> None:
        self.calls = 0
        self.go = trio.Event()
        self.error: Exception | None = None

    async def __call__(self, key: str) -> str:
        self.calls += 1
        call = self.calls
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return f"{key}{call}"


def test_values_are_kept_replaced_and_iterated_over() -> None:
    registry: Registry[str, int] = Registry()
    assert registry.get("a") is None
    assert registry.put("a", 1) is None
    assert registry.put("a", 2) == 1
    registry.put("b", 3)
    assert (len(registry), "a" in registry, registry.values()) == (2, True, (2, 3))
    for key in registry:
        registry.put(key * 2, 0)
    assert list(registry) == ["a", "b", "aa", "bb"]


def test_remove_only_removes_the_very_value() -> None:
    registry: Registry[str, list[int]] = Registry()
    old, new = [1], [1]
    registry.put("a", old)
    registry.put("a", new)
    assert not registry.remove("a", old)
    assert registry.get("a") is new
    assert registry.remove("a", new)
    assert not registry.remove("a", new)
    assert len(registry) == 0


async def test_concurrent_callers_share_one_start() -> None:
    registry: Registry[str, str] = Registry()
    starter = Starter()
    values: list[str] = []

    async def get() -> None:
        values.append(await registry.get_or_start("a", starter))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(get)
        await wait_all_tasks_blocked()
        assert registry.statistics().starting == 1
        assert len(registry) == 0
        starter.go.set()
    assert values == ["a1"] * 3
    assert await registry.get_or_start("a", starter) == "a1"
    assert starter.calls == 1
    figures = registry.statistics()
    assert (figures.size, figures.starting, figures.started) == (1, 0, 1)


async def test_starts_of_different_keys_do_not_wait_for_each_other() -> None:
    registry: Registry[str, str] = Registry()
    stuck, ready = Starter(), Starter()
    ready.go.set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(registry.get_or_start, "stuck", stuck)
        await wait_all_tasks_blocked()
        assert await registry.get_or_start("other", ready) == "other1"
        nursery.cancel_scope.cancel()


async def test_a_failure_reaches_all_who_wait_and_the_next_call_tries_anew() -> None:
    registry: Registry[str, str] = Registry()
    starter = Starter()
    starter.error = LookupError("no such conversation")
    failures: list[BaseException] = []

    async def get() -> None:
        with pytest.raises(LookupError) as caught:
            await registry.get_or_start("a", starter)
        failures.append(caught.value)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(get)
        await wait_all_tasks_blocked()
        starter.go.set()
    assert failures == [starter.error] * 3
    starter.error = None
    assert await registry.get_or_start("a", starter) == "a2"
    assert registry.statistics().failed == 1


async def test_a_waiter_takes_over_the_start_of_a_cancelled_leader() -> None:
    registry: Registry[str, str] = Registry()
    starter = Starter()
    leader = trio.CancelScope()
    values: list[str] = []

    async def lead() -> None:
        with leader:
            await registry.get_or_start("a", starter)

    async def get() -> None:
        values.append(await registry.get_or_start("a", starter))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lead)
        await wait_all_tasks_blocked()
        nursery.start_soon(get)
        nursery.start_soon(get)
        await wait_all_tasks_blocked()
        leader.cancel()
        await wait_all_tasks_blocked()
        assert starter.calls == 2
        starter.go.set()
    assert values == ["a2", "a2"]
    assert registry.statistics().failed == 0


async def test_a_leader_cancelled_alone_leaves_nothing_behind() -> None:
    registry: Registry[str, str] = Registry()
    starter = Starter()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(registry.get_or_start, "a", starter)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert registry.statistics().starting == 0
    starter.go.set()
    assert await registry.get_or_start("a", starter) == "a2"


async def test_a_cancelled_waiter_does_not_disturb_the_start() -> None:
    registry: Registry[str, str] = Registry()
    starter = Starter()
    waiter = trio.CancelScope()

    async def wait() -> None:
        with waiter:
            await registry.get_or_start("a", starter)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(registry.get_or_start, "a", starter)
        await wait_all_tasks_blocked()
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        waiter.cancel()
        await wait_all_tasks_blocked()
        starter.go.set()
    assert registry.get("a") == "a1"


@settings(deadline=None)
@given(cancelled=st.lists(st.integers(0, 4), unique=True, max_size=4))
def test_whoever_is_not_cancelled_gets_the_one_value(cancelled: list[int]) -> None:
    async def play() -> None:
        registry: Registry[str, str] = Registry()
        starter = Starter()
        scopes = [trio.CancelScope() for _ in range(5)]
        values: dict[int, str] = {}

        async def get(number: int) -> None:
            with scopes[number]:
                values[number] = await registry.get_or_start("a", starter)

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(get, number)
            await wait_all_tasks_blocked()
            for number in cancelled:
                scopes[number].cancel()
                await wait_all_tasks_blocked()
            starter.go.set()
        assert set(values) == set(range(5)) - set(cancelled)
        assert set(values.values()) == {registry.get("a")}

    trio.run(play)
