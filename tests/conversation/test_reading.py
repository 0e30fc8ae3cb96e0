"""Reading the store until it can be reached."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

import pytest
import trio

from chat4all_actors.conversation.reading import (
    RETRY_FIRST,
    RETRY_MAX,
    read_conversation,
    read_events,
)

from .scene import scene_of

if TYPE_CHECKING:
    from trio.testing import MockClock

    from chat4all_storage.sharding.shards import Shards


async def test_events_are_read_behind_one_and_up_to_one() -> None:
    async with scene_of("ana") as (scene, _):
        scene.store(1, 2, 3, 4)
        events = await read_events(cast("Shards", scene.shards), scene.id, 1, 3)
        assert [event.seq for event in events] == [2, 3]


async def test_a_store_that_is_away_is_asked_again_less_and_less_often(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with scene_of("ana") as (scene, _):
        shards = cast("Shards", scene.shards)
        scene.store(1)
        for failures, waited in ((0, 0.0), (1, RETRY_FIRST), (3, 7 * RETRY_FIRST)):
            scene.shards.failures, began = failures, trio.current_time()
            assert len(await read_events(shards, scene.id, 0, 1)) == 1
            assert trio.current_time() - began == pytest.approx(waited)
        scene.shards.failures, began = 7, trio.current_time()
        assert await read_conversation(shards, scene.id) == scene.shards.stored
        assert trio.current_time() - began == pytest.approx(31 * RETRY_FIRST + 2 * RETRY_MAX)
        assert {record.levelno for record in caplog.records} == {logging.WARNING}
        assert f"conversation {scene.id} waits for its store: gone" in caplog.text


async def test_a_store_that_lacks_what_is_known_to_be_stored_is_a_fault() -> None:
    async with scene_of("ana") as (scene, _):
        with pytest.raises(RuntimeError, match=f"{scene.id} lacks what follows 3, up to 5"):
            await read_events(cast("Shards", scene.shards), scene.id, 3, 5)
