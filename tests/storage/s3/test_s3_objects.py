"""What S3 can do to us, beyond what every object store does (`ports/test_objects.py`)."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_storage.ports.errors import Rejected, Unavailable
from chat4all_storage.ports.objects import NoSuchObject, Shown
from tests.storage.ports.object_places import (
    ObjectPlace,
    addresses,
    assert_refused,
    begin,
    content,
    fetch,
    make,
    new_key,
    over_http,
    put,
    read,
    s3_place,
    upload,
)
from tests.support.s3_server import BUCKET, REGION, S3Server, run_s3

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from chat4all_storage.s3.objects import S3Objects

pytestmark = pytest.mark.xdist_group("s3")
PDF = Shown("report.pdf", "application/pdf")


@asynccontextmanager
async def opened(
    endpoint: str,
    bucket: str = BUCKET,
    *,
    public: str | None = None,
    timeout: float = 10,
    page: int = 1000,
) -> AsyncIterator[S3Objects]:
    # Here, because their import takes longer than most tests.
    from chat4all_storage.s3.client import Bucket
    from chat4all_storage.s3.objects import open_s3

    where = Bucket(bucket, endpoint, REGION)
    async with open_s3(where, public_endpoint=public, timeout=timeout, page=page) as store:
        yield store


@pytest.fixture
def place(s3_server: S3Server, s3_store: S3Objects) -> Iterator[ObjectPlace]:
    with s3_place(s3_server, s3_store) as place:
        yield place


@pytest.mark.parametrize("times", [1, 3])
async def test_a_join_whose_answer_was_lost_has_happened(
    place: ObjectPlace, s3_server: S3Server, times: int
) -> None:
    key, parts = new_key(), content(place, 1)
    name = await upload(place, key, parts)
    found = await place.store.parts(key, name)
    s3_server.go_wrong("lose answer", "POST", key, times=times)
    await place.store.join(key, name, found)
    assert await read(place, key) == parts[0]


async def test_a_join_that_fails_with_a_good_status_is_tried_again(
    place: ObjectPlace, s3_server: S3Server
) -> None:
    key, parts = new_key(), content(place, 1)
    name = await upload(place, key, parts)
    found = await place.store.parts(key, name)
    s3_server.go_wrong("error in 200", "POST", key, times=2)
    await place.store.join(key, name, found)
    assert await read(place, key) == parts[0]


async def test_a_join_that_goes_on_failing_may_be_repeated_later(
    place: ObjectPlace, s3_server: S3Server
) -> None:
    key, parts = new_key(), content(place, 1)
    name = await upload(place, key, parts)
    found = await place.store.parts(key, name)
    s3_server.go_wrong("error in 200", "POST", key, times=3)
    with pytest.raises(Unavailable):
        await place.store.join(key, name, found)
    with pytest.raises(NoSuchObject):
        await read(place, key)
    await place.store.join(key, name, found)
    assert await read(place, key) == parts[0]


async def test_what_passes_is_tried_three_times(place: ObjectPlace, s3_server: S3Server) -> None:
    key = new_key()
    await place.store.put(key, b"data", "text/plain")
    s3_server.go_wrong("refuse", "GET", key, times=2)
    assert await read(place, key) == b"data"
    s3_server.go_wrong("refuse", "GET", key, times=3)
    with pytest.raises(Unavailable):
        await read(place, key)
    s3_server.go_wrong("drop", "GET", key)
    assert await read(place, key) == b"data"


async def test_a_part_of_ours_is_tried_three_times(place: ObjectPlace, s3_server: S3Server) -> None:
    key, (data,) = new_key(), content(place, 1)
    name = await begin(place, key)
    s3_server.go_wrong("refuse", "PUT", key, times=3)
    with pytest.raises(Unavailable):
        await place.store.put_part(key, name, 1, data)
    assert await place.store.parts(key, name) == []
    s3_server.go_wrong("drop", "PUT", key)
    s3_server.go_wrong("lose answer", "PUT", key)
    await place.store.put_part(key, name, 1, data)
    await place.store.join(key, name, await place.store.parts(key, name))
    assert await read(place, key) == data


async def test_an_object_that_breaks_off_is_never_taken_for_a_shorter_one(
    place: ObjectPlace, s3_server: S3Server
) -> None:
    key = new_key()
    await place.store.put(key, bytes(3 * 2**20), "text/plain")
    s3_server.go_wrong("break off", "GET", key)
    with pytest.raises(Unavailable):
        await read(place, key)


async def test_everything_is_unavailable_while_s3_is(
    place: ObjectPlace, s3_server: S3Server
) -> None:
    store, key = place.store, new_key()
    name = await begin(place, key)
    with s3_server.outage():
        for attempt in (
            begin(place, key),
            store.put_part(key, name, 1, b"data"),
            store.parts(key, name),
            store.join(key, name, []),
            store.put(key, b"", "text/plain"),
            store.remove(key),
            read(place, key),
        ):
            with pytest.raises(Unavailable):
                await attempt
        # These ask nobody.
        await addresses(place, key, name, [b"data"])
        await store.address(key, PDF, lifetime=60, base=place.base)
    assert await store.parts(key, name) == []


async def test_a_server_that_hangs_is_given_up(s3_server: S3Server) -> None:
    async with opened(s3_server.endpoint, timeout=0.2) as store:
        with s3_server.frozen(), pytest.raises(Unavailable):
            await store.begin(new_key(), part_size=1, mime="text/plain")


async def test_parts_are_listed_over_several_pages(s3_server: S3Server) -> None:
    async with opened(s3_server.endpoint, page=2) as store:
        place = ObjectPlace(store, over_http, s3_server.later)
        key, parts = new_key(), [b"%d" % number for number in range(5)]
        name = await upload(place, key, parts)
        found = await store.parts(key, name)
        assert [(part.number, part.size) for part in found] == [(n, 1) for n in range(1, 6)]


async def test_others_get_their_turn_while_many_addresses_are_signed(place: ObjectPlace) -> None:
    class Steps(trio.abc.Instrument):
        taken = 0

        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            self.taken += task is here

    here, steps = trio.lowlevel.current_task(), Steps()
    trio.lowlevel.add_instrument(steps)
    await addresses(place, "key", "upload", [b"part"] * 10)
    few, steps.taken = steps.taken, 0
    await addresses(place, "key", "upload", [b"part"] * 650)
    assert steps.taken == few + 10


async def test_nothing_of_a_removed_key_is_left_in_the_bucket(
    place: ObjectPlace, s3_server: S3Server
) -> None:
    parts = content(place, 1)
    key = await make(place, parts)
    await upload(place, key, parts)
    await begin(place, key)
    await place.store.remove(key)
    client = s3_server.client()
    left = client.list_objects_v2(Bucket=BUCKET, Prefix=key).get("Contents", [])
    left += client.list_multipart_uploads(Bucket=BUCKET, Prefix=key).get("Uploads", [])
    assert left == []


async def test_clients_are_sent_to_the_public_endpoint(s3_server: S3Server) -> None:
    public = f"http://localhost:{s3_server.port}"
    async with opened(s3_server.endpoint, public=public) as store:
        place = ObjectPlace(store, over_http, s3_server.later)
        key, parts = new_key(), [b"data"]
        name = await begin(place, key)
        (address,) = await addresses(place, key, name, parts)
        assert address.url.startswith(f"{public}/{BUCKET}/{key}?")
        await put(place, address, parts[0])
        await store.join(key, name, await store.parts(key, name))
        fetching = await store.address(key, PDF, lifetime=60, base=place.base)
        assert fetching.url.startswith(f"{public}/{BUCKET}/{key}?")
        assert (await fetch(place, fetching)).body == b"data"


async def test_a_part_without_its_signed_size_is_refused(place: ObjectPlace) -> None:
    key, parts = new_key(), content(place, 1)
    name = await begin(place, key)
    (address,) = await addresses(place, key, name, parts)
    assert address.headers == {"Content-Length": str(len(parts[0]))}
    assert_refused(await place.request(address, parts[0] + b"!"))
    assert (await place.request(address, parts[0])).status == 200


async def test_a_bucket_that_is_missing_is_told(s3_server: S3Server) -> None:
    async with opened(s3_server.endpoint, "missing") as store:
        with pytest.raises(NoSuchObject):
            await store.check()
        with pytest.raises(Rejected, match="NoSuchBucket"):
            await store.begin(new_key(), part_size=1, mime="text/plain")
    async with opened(s3_server.endpoint) as store:
        await store.check()


async def test_wrong_credentials_are_told(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    async with opened(s3_server.endpoint) as store:
        with pytest.raises(Rejected, match="403"):
            await store.check()
        with pytest.raises(Rejected, match="SignatureDoesNotMatch"):
            await store.begin(new_key(), part_size=1, mime="text/plain")


async def test_missing_credentials_are_told(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    async with opened(s3_server.endpoint) as store:
        with pytest.raises(Rejected, match="no credentials"):
            await store.check()
        with pytest.raises(Rejected, match="no credentials"):
            await store.address("key", PDF, lifetime=60, base="")


async def test_errors_name_no_address(place: ObjectPlace, s3_server: S3Server) -> None:
    with s3_server.outage(), pytest.raises(Unavailable) as caught:
        await read(place, "a-secret-key")
    assert "a-secret-key" not in str(caught.value)
    assert "http" not in str(caught.value)


async def test_who_is_cancelled_while_it_reads_leaves_nothing_open(place: ObjectPlace) -> None:
    key = new_key()
    await place.store.put(key, bytes(8 * 2**20), "text/plain")
    for _ in range(3):
        with trio.CancelScope() as scope:
            async with place.store.read(key) as pieces:
                await anext(pieces)
                scope.cancel()
                await anext(pieces)
        assert scope.cancelled_caught
    assert len(await read(place, key)) == 8 * 2**20


async def test_a_server_that_was_killed_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    with run_s3() as server:
        for name, text in server.environment.items():
            monkeypatch.setenv(name, text)
        async with opened(server.endpoint) as store:
            await store.check()
            server.kill()
            with pytest.raises(Unavailable):
                await store.check()
