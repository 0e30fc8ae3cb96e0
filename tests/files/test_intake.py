"""Files that come in from elsewhere, over memory stores."""

from __future__ import annotations

import os
import random
import tracemalloc
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock, wait_all_tasks_blocked

from chat4all_actors.files.errors import NotTaken
from chat4all_actors.files.files import Files
from chat4all_protocol.ids import new_id
from chat4all_storage.local.objects import LocalObjects
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.files import Verdict
from tests.files.test_kinds import JPEG, NOISE, PDF, PNG, PROGRAM
from tests.support.s3_server import BUCKET, REGION

from .elsewhere import ANA, PIECE, Elsewhere, content, incoming
from .files_harness import CHUNK, TEXT, Place, new_file, now, sha256

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from chat4all_actors.files.intake import Incoming
    from chat4all_storage.ports.objects import ObjectStore
    from tests.support.s3_server import S3Server


@asynccontextmanager
async def with_objects(place: Place, objects: ObjectStore) -> AsyncIterator[Files]:
    """A node's files while their bytes are kept there."""
    stores = replace(place.storage, objects=objects)
    files = Files(place.settings, stores, holder=new_id(), told=lambda _: None, clock=now)
    async with trio.open_nursery() as nursery:
        await nursery.start(files.run)
        yield files
        nursery.cancel_scope.cancel()


async def reason(place: Place, new: Incoming, source: Elsewhere) -> str:
    with pytest.raises(NotTaken) as caught:
        await place.files.take_in(new, source)
    return caught.value.reason


# What becomes of it


async def test_a_file_that_comes_in_is_a_file_like_any_other(place: Place) -> None:
    new = incoming()
    file = await place.files.take_in(new, Elsewhere())
    assert (file.id, file.owner, file.state) == (new.id, ANA, "ready")
    assert (file.name, file.mime, file.size) == ("a text.txt", "text/plain", len(TEXT))
    assert file.sha256 == sha256(TEXT)
    assert file.conversation == new.conversation
    assert await content(place, file) == TEXT
    assert await place.files.of(ANA, None, 10) == [file]
    assert place.objects.keys == {file.key}


async def test_a_large_one_goes_into_the_store_in_parts(place: Place) -> None:
    data = NOISE * (2 * CHUNK // len(NOISE)) + b"and some more"
    file = await place.files.take_in(incoming(mime=None), Elsewhere(data))
    assert (file.parts, file.size) == (3, len(data))
    assert await content(place, file) == data


@pytest.mark.parametrize(
    ("data", "told", "mime"),
    [
        (JPEG, "image/jpeg", "image/jpeg"),
        (JPEG, "image/png", "image/jpeg"),
        (PNG, None, "image/png"),
        (PNG, "application/pdf", "image/png"),
        (PDF, "text/plain", "application/pdf"),
        (TEXT, "image/jpeg", "text/plain"),
        (TEXT, "text/html", "text/plain"),
        (TEXT, "text/csv", "text/csv"),
        (NOISE, "image/jpeg", "application/octet-stream"),
        (b"OggS" + bytes(40), "audio/ogg; codecs=opus", "audio/ogg"),
        (b"OggS" + bytes(40), "Audio/OGG", "audio/ogg"),
        (TEXT, "no type at all \0", "text/plain"),
    ],
)
async def test_it_is_taken_as_what_its_bytes_are_whatever_was_told(
    place: Place, data: bytes, told: str | None, mime: str
) -> None:
    assert (await place.files.take_in(incoming(mime=told), Elsewhere(data))).mime == mime


@pytest.mark.parametrize(
    ("told", "data", "name"),
    [
        ("../../etc/pass\u202ewd", TEXT, "passwd"),
        (None, JPEG, "image.jpg"),
        ("", PDF, "file.pdf"),
        (None, TEXT, "file"),
        (None, b"OggS" + bytes(40), "audio.ogg"),
        ("x" * 300, TEXT, "x" * 255),
    ],
)
async def test_its_name_is_fit_to_be_shown(
    place: Place, told: str | None, data: bytes, name: str
) -> None:
    file = await place.files.take_in(incoming(name=told, mime=None), Elsewhere(data))
    assert file.name == name


async def test_it_is_gathered_beside_the_data_if_nothing_else_is_said(tmp_path: Path) -> None:
    async with Place(data_dir=str(tmp_path)).running() as place:
        await place.files.take_in(incoming(), Elsewhere())
    assert os.listdir(tmp_path) == ["spool"]


@pytest.mark.xdist_group("s3")
async def test_it_goes_into_a_bucket_as_well(
    make: Callable[..., Place], s3_server: S3Server
) -> None:
    # Here, because their import takes longer than most tests.
    from chat4all_storage.s3.client import Bucket
    from chat4all_storage.s3.objects import open_s3

    place, data = make(), random.Random(6).randbytes(CHUNK + 17)
    async with open_s3(Bucket(BUCKET, s3_server.endpoint, REGION), timeout=10) as store:
        async with with_objects(place, store) as files:
            file = await files.take_in(incoming(mime=None), Elsewhere(data))
        async with store.read(file.key) as pieces:
            assert b"".join([piece async for piece in pieces]) == data
        await store.remove(file.key)


# What is not taken


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"", "empty"), (PROGRAM, "type"), (bytes(1001), "too_large")],
)
async def test_what_is_not_taken_is_nowhere_noted(place: Place, data: bytes, why: str) -> None:
    assert await reason(place, incoming(max_size=1000), Elsewhere(data)) == why
    assert await place.files.of(ANA, None, 10) == []
    assert place.objects.keys == set()


async def test_nothing_greater_is_taken_than_users_may_upload(make: Callable[..., Place]) -> None:
    async with make(file_max_size=1000).running() as place:
        assert await reason(place, incoming(), Elsewhere(bytes(1001))) == "too_large"


async def test_there_is_a_quota(make: Callable[..., Place]) -> None:
    async with make(file_quota=2 * len(TEXT), max_uploads_per_user=1).running() as place:
        for _ in range(2):
            await place.files.take_in(incoming(), Elsewhere())
        assert await reason(place, incoming(), Elsewhere()) == "quota"
        await place.files.take_in(incoming(owner="telegram:1"), Elsewhere())


async def test_what_the_check_refuses_is_not_taken_and_not_fetched_again(
    make: Callable[..., Place],
) -> None:
    async with make(clamd="/nowhere").running() as place:
        new, source = incoming(), Elsewhere()
        for _ in range(2):
            assert await reason(place, new, source) == "unscanned"
        assert source.opened == 1


async def test_what_another_node_has_refused_is_not_taken(place: Place) -> None:
    file = await place.catalogue.add(new_file(), lifetime=60, quota=0, max_uploads=0)
    await place.catalogue.begin_check(file.id, sha256(TEXT), holder="a", lease=60)
    await place.catalogue.finish(file.id, Verdict("rejected", "infected"), holder="a")
    source = Elsewhere()
    assert await reason(place, incoming(file.id), source) == "infected"
    assert source.opened == 0


# Tries that are repeated


async def test_one_that_stands_is_not_fetched_again(place: Place) -> None:
    new, source = incoming(), Elsewhere()
    first = await place.files.take_in(new, source)
    assert await place.files.take_in(replace(new, owner="ana", name="x"), source) == first
    assert source.opened == 1


async def test_what_its_source_raises_comes_out_and_the_next_try_takes_it(place: Place) -> None:
    new, fault = incoming(), RuntimeError("as a provider's")
    with pytest.raises(RuntimeError) as caught:
        await place.files.take_in(new, Elsewhere(breaks_off=fault))
    assert caught.value is fault
    assert place.objects.keys == set()
    assert (await place.files.take_in(new, Elsewhere())).state == "ready"


async def test_a_source_that_hangs_is_given_up_and_the_next_try_takes_it(
    make: Callable[..., Place], mock_clock: MockClock
) -> None:
    @asynccontextmanager
    async def hanging() -> AsyncIterator[AsyncIterator[bytes]]:
        mock_clock.jump(601)
        await trio.sleep_forever()
        yield cast("AsyncIterator[bytes]", None)

    async with make().running() as place:
        new = incoming()
        with pytest.raises(Unavailable, match="in time"):
            await place.files.take_in(new, hanging)
        assert (await place.files.take_in(new, Elsewhere())).state == "ready"


async def test_a_check_of_another_node_is_waited_for_but_not_for_ever(
    place: Place, mock_clock: MockClock
) -> None:
    file = await place.catalogue.add(new_file(), lifetime=60, quota=0, max_uploads=0)
    await place.catalogue.begin_check(file.id, sha256(TEXT), holder="a", lease=3600)
    source = Elsewhere()

    async def take() -> None:
        with pytest.raises(Unavailable, match="being checked"):
            await place.files.take_in(incoming(file.id), source)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await wait_all_tasks_blocked()
        mock_clock.jump(51)
    assert source.opened == 0


async def test_other_bytes_than_at_a_former_try_are_taken_once_the_former_are_gone(
    place: Place,
) -> None:
    new = incoming()
    place.objects.down = True
    with pytest.raises(Unavailable):
        await place.files.take_in(new, Elsewhere())
    place.objects.down = False
    other = Elsewhere(b"something else")
    with pytest.raises(Unavailable, match="come again"):
        await place.files.take_in(new, other)
    with pytest.raises(Unavailable, match="come again"):
        await place.files.take_in(new, other)
    await place.files.sweeper.sweep()
    file = await place.files.take_in(new, other)
    assert await content(place, file) == other.data
    assert place.objects.keys == {file.key}


async def test_an_upload_that_the_store_has_lost_is_begun_anew(place: Place) -> None:
    new, source = incoming(), Elsewhere()
    place.objects.down = True
    with pytest.raises(Unavailable):
        await place.files.take_in(new, source)
    place.objects.down = False
    upload = await place.objects.begin("another", part_size=CHUNK, mime="text/plain")
    await place.catalogue.begun(new.id, upload)
    with pytest.raises(Unavailable, match="come again"):
        await place.files.take_in(new, source)
    await place.files.sweeper.sweep()
    assert (await place.files.take_in(new, source)).state == "ready"


async def test_two_tries_at_once_end_at_one_file(place: Place) -> None:
    new, found = incoming(), []

    async def take() -> None:
        found.append(await place.files.take_in(new, Elsewhere()))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(take)
    assert {file.key for file in found} == place.objects.keys
    assert len(place.objects.keys) == 1


# What it takes


async def test_a_few_are_taken_at_once(make: Callable[..., Place]) -> None:
    open_ = most = 0
    both = trio.Event()

    @asynccontextmanager
    async def source() -> AsyncIterator[Any]:
        nonlocal open_, most
        open_ += 1
        most = max(most, open_)
        if open_ == 2:
            both.set()
        await both.wait()
        await wait_all_tasks_blocked(0.01)
        async with Elsewhere()() as pieces:
            yield pieces
        open_ -= 1

    async with make(max_file_intakes=2).running() as place, trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(place.files.take_in, incoming(), source)
    assert most == 2


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


async def test_a_part_of_it_is_in_memory_at_a_time(
    make: Callable[..., Place], tmp_path: Path, traced: None
) -> None:
    place = make()
    objects = LocalObjects(tmp_path / "objects", lambda data: data)

    @asynccontextmanager
    async def source() -> AsyncIterator[Any]:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(6 * CHUNK // PIECE):
                await trio.lowlevel.checkpoint()
                yield bytes(PIECE)

        yield pieces()

    async with with_objects(place, objects) as files:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        file = await files.take_in(incoming(mime=None), source)
        _, peak = tracemalloc.get_traced_memory()
    assert file.size == 6 * CHUNK
    assert peak - before < 2 * CHUNK
