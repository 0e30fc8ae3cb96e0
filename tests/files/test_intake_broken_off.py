"""Files that come in while nodes die."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio
from msgspec.structs import replace

from chat4all_actors.files.files import Files
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.errors import Unavailable
from tests.files.test_kinds import NOISE

from .elsewhere import ANA, Elsewhere, content, incoming
from .files_harness import CHUNK, Place, now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from trio.testing import MockClock


class Fate:
    """When a node dies: at one of its calls, before that is done or after."""

    def __init__(self, calls: int, *, after: bool) -> None:
        self.left = calls
        self.after = after

    async def meet(self, call: Callable[[], Any]) -> Any:
        self.left -= 1
        if self.left == -1 and self.after:
            await call()
        if self.left < 0:
            raise Unavailable("it is dead")
        return await call()


class Dying:
    """A store as a node sees it that is going to die."""

    def __init__(self, store: Any, fate: Fate) -> None:
        self._store = store
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name == "read":
            return self._read

        async def call(*arguments: Any, **named: Any) -> Any:
            return await self._fate.meet(lambda: method(*arguments, **named))

        return call

    @asynccontextmanager
    async def _read(self, key: str) -> AsyncIterator[Any]:
        await self._fate.meet(trio.lowlevel.checkpoint)
        async with self._store.read(key) as pieces:
            yield pieces


@asynccontextmanager
async def dying(place: Place, fate: Fate) -> AsyncIterator[Files]:
    stores = replace(
        place.storage,
        files=cast("Any", Dying(place.catalogue, fate)),
        objects=cast("Any", Dying(place.objects, fate)),
    )
    files = Files(place.settings, stores, holder=new_id(), told=lambda _: None, clock=now)
    async with trio.open_nursery() as nursery:
        await nursery.start(files.run)
        yield files
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("after", [False, True])
async def test_wherever_a_try_is_broken_off_the_next_ends_at_the_same_file(
    make: Callable[..., Place], mock_clock: MockClock, after: bool
) -> None:
    data = NOISE * (CHUNK // len(NOISE)) + b"and some more"  # of two parts
    for calls in itertools.count():
        place, new = make(), incoming(mime=None)
        async with dying(place, Fate(calls, after=after)) as files:
            try:
                await files.take_in(new, Elsewhere(data))
            except Unavailable:
                whole = False
            else:
                whole = True
        mock_clock.jump(31)  # the lease of a check
        async with place.running():
            source = Elsewhere(data)
            file = await place.files.take_in(new, source)
            assert await content(place, file) == data
            assert await place.files.of(ANA, None, 10) == [file]
            await place.files.sweeper.sweep()
            assert place.objects.keys == {file.key}
        if whole:
            assert source.opened == 0
            break
    assert calls > 10
