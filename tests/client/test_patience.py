from __future__ import annotations

import pytest
import trio
import trio.testing

from chat4all_client import TransferFailed
from chat4all_client.patience import Patience, Trouble

NOW_NOT = Trouble("the server answered 503 so far")


async def test_pauses_grow(autojump_clock: trio.testing.MockClock) -> None:
    patience = Patience(60, lambda: 1.0)
    began = trio.current_time()
    ends = []
    for _ in range(4):
        await patience.wait(NOW_NOT)
        ends.append(trio.current_time() - began)
    assert ends == [0.5, 1.5, 3.5, 7.5]


async def test_a_pause_is_at_least_as_long_as_the_server_says(
    autojump_clock: trio.testing.MockClock,
) -> None:
    began = trio.current_time()
    await Patience(60, lambda: 0.0).wait(Trouble("busy", retry_after=7))
    assert trio.current_time() - began == 7


async def test_patience_ends_after_its_time_in_vain(
    autojump_clock: trio.testing.MockClock,
) -> None:
    patience = Patience(10, lambda: 1.0)
    began = trio.current_time()
    for _ in range(4):
        await patience.wait(NOW_NOT)
    with pytest.raises(TransferFailed, match="answered 503 so far, for 10 s; the same call goes"):
        await patience.wait(NOW_NOT)
    assert trio.current_time() - began == 7.5


async def test_nobody_waits_for_a_time_that_is_beyond_patience(
    autojump_clock: trio.testing.MockClock,
) -> None:
    began = trio.current_time()
    with pytest.raises(TransferFailed):
        await Patience(10, lambda: 0.0).wait(Trouble("busy", retry_after=11))
    assert trio.current_time() == began


async def test_progress_begins_anew(autojump_clock: trio.testing.MockClock) -> None:
    patience = Patience(10, lambda: 1.0)
    for _ in range(20):
        await patience.wait(NOW_NOT)
        await patience.wait(NOW_NOT)
        patience.progress()


async def test_what_is_under_way_is_waited_for_without_an_end(
    autojump_clock: trio.testing.MockClock,
) -> None:
    patience = Patience(0, lambda: 0.0)
    for _ in range(20):
        await patience.wait(NOW_NOT, in_vain=False)
