"""What every catalogue of files does with an upload until it may be used."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import trio
from msgspec.structs import replace

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.errors import Rejected
from chat4all_storage.ports.files import OverQuota, Verdict

from ..files import (
    DAY,
    HASH,
    INFECTED,
    LEASE,
    OTHER_HASH,
    READY,
    STATES,
    UNSCANNED,
    a_use,
    added,
    in_state,
    new_file,
    stands,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chat4all_storage.ports.files import File, Files, FileState

    from ..files import FilePlace

GONE = "gone"

# What each call makes of a file in each state; in those that are not named, nothing.
CHANGES: dict[str, dict[FileState, str]] = {
    "begun": {},
    "begin_check": {"uploading": "checking"},
    "renew_check": {},
    "note_thumbnail": {},
    "finish ready": {"checking": "ready"},
    "finish quarantined": {"checking": "quarantined"},
    "finish rejected": {"checking": "rejected"},
    "recheck": {"quarantined": "checking"},
    "release": {"quarantined": "ready"},
    "use": {},
    "looked": {"ready": "removing"},
    "expire": {"uploading": "removing"},
    "removed": {"removing": GONE},
    "forget_rejected": {},
    "remove": dict.fromkeys(STATES, "removing"),
}
CALLS: dict[str, Callable[[Files, str], Awaitable[object]]] = {
    "begun": lambda files, id_: files.begun(id_, "upload"),
    "begin_check": lambda files, id_: files.begin_check(id_, HASH, holder="h", lease=LEASE),
    "renew_check": lambda files, id_: files.renew_check(id_, holder="h", lease=LEASE),
    "note_thumbnail": lambda files, id_: files.note_thumbnail(id_, "thumb", holder="h"),
    "finish ready": lambda files, id_: files.finish(id_, READY, holder="h"),
    "finish quarantined": lambda files, id_: files.finish(id_, UNSCANNED, holder="h"),
    "finish rejected": lambda files, id_: files.finish(id_, INFECTED, holder="h"),
    "recheck": lambda files, id_: files.recheck(id_, holder="h", lease=LEASE),
    "release": lambda files, id_: files.release(id_),
    "use": lambda files, id_: files.use(id_, a_use(), owner=None),
    "looked": lambda files, id_: files.looked(id_, used=False, keep=0),
    "expire": lambda files, _: files.expire(10),
    "removed": lambda files, id_: files.removed(id_),
    "forget_rejected": lambda files, _: files.forget_rejected(0, 10),
    "remove": lambda files, id_: files.remove([id_]),
}


@pytest.mark.parametrize("call", CALLS)
async def test_each_call_changes_the_states_it_starts_from_and_no_other(
    file_place: FilePlace, call: str
) -> None:
    files = file_place.files
    ids = {state: (await in_state(files, state)).id for state in STATES}
    await file_place.later(2 * DAY)
    for state, id_ in ids.items():
        expected = CHANGES[call].get(state, state)
        # A call that is repeated, after a crash or by another node, makes no difference.
        for each in (files, file_place.other):
            await CALLS[call](each, id_)
            found = await files.find(id_)
            assert (GONE if found is None else found.state) == expected, state


async def test_what_is_asked_of_no_file_is_answered_so(file_place: FilePlace) -> None:
    files, id_ = file_place.files, new_id()
    assert await files.find(id_) is None
    assert await files.begun(id_, "upload") is None
    assert await files.begin_check(id_, HASH, holder="h", lease=LEASE) is None
    assert not await files.renew_check(id_, holder="h", lease=LEASE)
    assert not await files.note_thumbnail(id_, "key", holder="h")
    assert await files.finish(id_, READY, holder="h") is None
    assert await files.recheck(id_, holder="h", lease=LEASE) is None
    assert await files.release(id_) is None
    assert await files.use(id_, a_use(), owner=None) is None
    assert await files.uses(id_, None, 10) == []
    assert not await files.looked(id_, used=False, keep=0)
    await files.drop_uses(id_, [a_use()], noted_before=2**50)
    await files.removed(id_)
    assert await files.remove([id_]) == 0


# --- uploads --------------------------------------------------------------------------------------


async def test_an_upload_is_noted_as_it_was_told(file_place: FilePlace) -> None:
    asked = new_file(size=130)
    file = await added(file_place.files, asked, lifetime=DAY)
    assert {name: getattr(file, name) for name in asked.__struct_fields__} == {
        name: getattr(asked, name) for name in asked.__struct_fields__
    }
    assert (file.state, file.upload, file.bytes_stand) == ("uploading", None, True)
    assert file.expires_at - file.created_at == pytest.approx(DAY * 1000, abs=5)
    assert [file.part_size(number) for number in range(1, file.parts + 1)] == [64, 64, 2]
    assert await file_place.other.find(file.id) == file


async def test_the_same_file_again_is_what_stands(file_place: FilePlace) -> None:
    file = await in_state(file_place.files, "ready")
    again = await added(file_place.other, new_file(id=file.id, size=5))
    assert again == file
    with pytest.raises(Rejected):
        await added(file_place.files, new_file("bob", id=file.id))


async def test_the_first_name_of_an_upload_counts(file_place: FilePlace) -> None:
    files = file_place.files
    file = await added(files)
    assert await files.begun(file.id, "one") == replace(file, upload="one")
    assert await file_place.other.begun(file.id, "two") == replace(file, upload="one")


async def test_of_names_noted_at_once_everybody_learns_the_one_that_stands(
    file_place: FilePlace,
) -> None:
    file = await added(file_place.files)
    told: set[str | None] = set()

    async def note(files: Files, name: str) -> None:
        found = await files.begun(file.id, name)
        assert found is not None
        told.add(found.upload)

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(note, (file_place.files, file_place.other)[number % 2], str(number))
    assert told == {(await stands(file_place.files, file.id)).upload}


# --- quotas ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quota", "max_uploads", "fits", "field"),
    [(300, 0, 3, "size"), (0, 2, 2, "uploads"), (0, 0, 20, "")],
)
async def test_uploads_that_begin_at_once_do_not_pass_a_quota(
    file_place: FilePlace, quota: int, max_uploads: int, fits: int, field: str
) -> None:
    begun: list[File] = []
    refused: list[str] = []

    async def begin(files: Files) -> None:
        try:
            file = new_file(size=100)
            begun.append(await files.add(file, lifetime=DAY, quota=quota, max_uploads=max_uploads))
        except OverQuota as error:
            refused.append(error.field)

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(begin, file_place.files)
            nursery.start_soon(begin, file_place.other)
    assert len(begun) == fits
    assert refused == [field] * (20 - fits)
    assert len(await file_place.files.of("ann", None, 100)) == fits


async def test_of_two_uploads_that_each_fit_one_is_refused_whenever_they_meet(
    file_place: FilePlace,
) -> None:
    fitted: list[str] = []

    async def begin(files: Files, owner: str) -> None:
        with suppress(OverQuota):
            file = new_file(owner, size=100)
            fitted.append((await files.add(file, lifetime=DAY, quota=100, max_uploads=0)).owner)

    owners = [f"user{number}" for number in range(30)]
    for owner in owners:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(begin, file_place.files, owner)
            nursery.start_soon(begin, file_place.other, owner)
    assert fitted == owners


@pytest.mark.parametrize(
    ("state", "counts"),
    [
        ("uploading", "size uploads"),
        ("checking", "size uploads"),
        ("ready", "size"),
        ("quarantined", "size"),
        ("rejected", ""),
        ("removing", ""),
    ],
)
async def test_a_quota_is_of_what_the_owner_has(
    file_place: FilePlace, state: FileState, counts: str
) -> None:
    files = file_place.files
    file = await in_state(files, state)
    for field, limits in (("size", (199, 0)), ("uploads", (0, 1))):
        another = new_file(size=100)
        quota, most = limits
        if field in counts:
            with pytest.raises(OverQuota) as refused:
                await files.add(another, lifetime=DAY, quota=quota, max_uploads=most)
            assert refused.value.field == field
            # The same file again is no other.
            again = new_file(id=file.id)
            await files.add(again, lifetime=DAY, quota=quota, max_uploads=most)
        else:
            await files.add(another, lifetime=DAY, quota=quota, max_uploads=most)
            await files.remove([another.id])
        of_bob = new_file("bob")
        await files.add(of_bob, lifetime=DAY, quota=quota, max_uploads=most)
        await files.remove([of_bob.id])


# --- checks ---------------------------------------------------------------------------------------


async def test_one_holder_checks_a_file_until_its_lease_ends(file_place: FilePlace) -> None:
    files, other = file_place.files, file_place.other
    file = await added(files)

    async def begin(catalogue: Files, holder: str) -> bool:
        answer = await catalogue.begin_check(file.id, HASH, holder=holder, lease=LEASE)
        assert answer is not None
        assert (answer[0].state, answer[0].sha256) == ("checking", HASH)
        return answer[1]

    assert await begin(files, "a")
    assert not await begin(other, "b")
    assert await begin(files, "a")
    assert await other.lapsed_checks(10) == []
    await file_place.later(LEASE - 10)
    assert await files.renew_check(file.id, holder="a", lease=LEASE)
    assert not await other.renew_check(file.id, holder="b", lease=LEASE)
    await file_place.later(20)
    assert not await begin(other, "b")
    await file_place.later(LEASE)
    assert [each.id for each in await other.lapsed_checks(10)] == [file.id]
    assert await begin(other, "b")
    assert await other.lapsed_checks(10) == []
    assert not await files.renew_check(file.id, holder="a", lease=LEASE)
    assert not await files.note_thumbnail(file.id, "a", holder="a")
    assert await files.finish(file.id, READY, holder="a") is None
    assert await other.note_thumbnail(file.id, "b", holder="b")


async def test_a_check_keeps_the_hash_it_was_begun_with(file_place: FilePlace) -> None:
    files = file_place.files
    file = await in_state(files, "checking")
    for _ in range(2):
        for holder in ("h", "b"):
            answer = await files.begin_check(file.id, OTHER_HASH, holder=holder, lease=LEASE)
            assert answer is not None
            assert (answer[0].sha256, answer[1]) == (HASH, False)
        await file_place.later(LEASE + 1)


async def test_of_many_that_want_to_check_one_does(file_place: FilePlace) -> None:
    file = await added(file_place.files)
    held: list[bool] = []

    async def begin(files: Files, holder: str) -> None:
        answer = await files.begin_check(file.id, HASH, holder=holder, lease=LEASE)
        assert answer is not None
        assert (answer[0].state, answer[0].sha256) == ("checking", HASH)
        held.append(answer[1])

    async with trio.open_nursery() as nursery:
        for number in range(10):
            files = (file_place.files, file_place.other)[number % 2]
            nursery.start_soon(begin, files, str(number))
    assert sorted(held) == [False] * 9 + [True]


async def test_a_verdict_is_noted_once_and_told_again(file_place: FilePlace) -> None:
    files = file_place.files
    file = await in_state(files, "checking")
    ready = await files.finish(file.id, READY, holder="h")
    assert ready is not None
    assert ready.completed_at is not None
    assert ready == replace(
        file,
        state="ready",
        mime="image/png",
        width=4,
        height=3,
        thumbnail="thumb",
        completed_at=ready.completed_at,
    )
    assert await file_place.other.finish(file.id, READY, holder="h") == ready
    assert await files.finish(file.id, INFECTED, holder="h") is None
    assert await files.finish(file.id, READY, holder="b") is None
    assert await stands(files, file.id) == ready


async def test_a_verdict_without_a_type_leaves_that_which_was_told(file_place: FilePlace) -> None:
    file = await in_state(file_place.files, "rejected")
    assert (file.mime, file.reason, file.bytes_stand) == ("image/x-png", "infected", True)


async def test_a_thumbnail_is_shown_when_it_stands_and_removed_in_any_case(
    file_place: FilePlace,
) -> None:
    files = file_place.files
    file = await in_state(files, "checking")
    assert await files.note_thumbnail(file.id, "begun", holder="h")
    assert (await stands(files, file.id)).thumbnail == "begun"
    ready = await files.finish(file.id, Verdict("ready"), holder="h")
    assert ready is not None
    assert ready.thumbnail is None
    await files.remove([file.id])
    assert [each.thumbnail for each in await files.claim_removals(10, LEASE)] == ["begun"]


async def test_files_that_nobody_could_scan_are_found_again_and_checked(
    file_place: FilePlace,
) -> None:
    files = file_place.files
    file = await in_state(files, "quarantined")
    assert file.completed_at is not None
    too_large = await in_state(files, "checking")
    verdict = Verdict("quarantined", "too_large_to_scan")
    await files.finish(too_large.id, verdict, holder="h")
    assert await files.unscanned(file.completed_at - 1000, 10) == []
    assert await files.unscanned(file.completed_at + 1000, 10) == [file]
    assert await files.unscanned(file.completed_at + 1000, 0) == []
    again = await files.recheck(file.id, holder="x", lease=LEASE)
    assert again == replace(file, state="checking", reason=None, completed_at=None)
    assert await file_place.other.recheck(file.id, holder="x", lease=LEASE) == again
    assert await file_place.other.recheck(file.id, holder="y", lease=LEASE) is None
    assert await files.unscanned(2**50, 10) == []
    assert await files.finish(file.id, READY, holder="h") is None
    ready = await files.finish(file.id, READY, holder="x")
    assert ready is not None
    assert ready.state == "ready"


async def test_what_an_operator_releases_is_ready(file_place: FilePlace) -> None:
    file = await in_state(file_place.files, "quarantined")
    released = await file_place.files.release(file.id)
    assert released is not None
    assert (released.state, released.reason) == ("ready", None)
    assert await file_place.other.use(file.id, a_use(), owner="ann") == released


async def test_the_files_of_an_owner_are_listed_in_pages(file_place: FilePlace) -> None:
    files = file_place.files
    mine = [await in_state(files, state) for state in STATES if state != "removing"]
    await in_state(files, "removing")
    await in_state(files, "ready", owner="bob")
    mine.sort(key=lambda file: file.id)
    assert await files.of("ann", None, 10) == mine
    assert await files.of("ann", None, 2) == mine[:2]
    assert await files.of("ann", mine[1].id, 2) == mine[2:4]
    assert await files.of("ann", mine[-1].id, 2) == []


async def test_what_is_in_quarantine_is_listed_for_operators(file_place: FilePlace) -> None:
    files = file_place.files
    held = sorted([await in_state(files, "quarantined") for _ in range(3)], key=lambda f: f.id)
    await in_state(files, "ready")
    assert await files.quarantined(None, 2) == held[:2]
    assert await files.quarantined(held[1].id, 2) == held[2:]
    await files.release(held[0].id)
    assert await file_place.other.quarantined(None, 10) == held[1:]
