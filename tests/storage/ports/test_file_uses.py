"""What every catalogue of files knows of the events that use them, and what it lets go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from msgspec.structs import replace

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.files import Use, Verdict

from ..files import DAY, HASH, LEASE, STATES, a_use, added, in_state, stands

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chat4all_storage.ports.files import File, Files

    from ..files import FilePlace

LATER = 2**50
"""A time that has not come, in milliseconds."""


def ids(files: list[File]) -> set[str]:
    return {file.id for file in files}


# --- uses -----------------------------------------------------------------------------------------


async def test_a_ready_file_is_used_by_its_owner_or_by_anybody(file_place: FilePlace) -> None:
    files = file_place.files
    file = await in_state(files, "ready")
    use = a_use()
    assert await files.use(file.id, use, owner="bob") is None
    assert await files.uses(file.id, None, 10) == []
    assert await files.use(file.id, use, owner="ann") == file
    assert await file_place.other.use(file.id, use, owner=None) == file
    assert await files.uses(file.id, None, 10) == [use]


async def test_uses_are_listed_in_pages_each_of_them_once(file_place: FilePlace) -> None:
    files = file_place.files
    file, another = await in_state(files, "ready"), await in_state(files, "ready")
    conversation = new_id()
    noted = {Use(conversation, new_id()) for _ in range(4)} | {a_use() for _ in range(3)}
    for use in noted:
        await files.use(file.id, use, owner=None)
    await files.use(another.id, a_use(), owner=None)
    found: list[Use] = []
    while page := await files.uses(file.id, found[-1] if found else None, 3):
        assert len(page) <= 3
        found += page
    assert len(found) == 7
    assert set(found) == noted
    assert await file_place.other.uses(file.id, None, 10) == found


async def test_a_use_is_forgotten_if_it_was_noted_before_the_look(file_place: FilePlace) -> None:
    files = file_place.files
    file = await in_state(files, "ready")
    over, again, new = a_use(), a_use(), a_use()
    for use in (over, again):
        await files.use(file.id, use, owner=None)
    await files.drop_uses(file.id, [over], noted_before=LATER)
    assert len(await files.uses(file.id, None, 10)) == 2  # nobody has looked since
    await file_place.later(10)
    assert ids(await files.claim_unlooked(10, every=5)) == {file.id}
    await file_place.later(10)
    for use in (again, new):
        await files.use(file.id, use, owner=None)
    await files.drop_uses(file.id, [over, again, new], noted_before=0)
    assert len(await files.uses(file.id, None, 10)) == 3
    await files.drop_uses(file.id, [over, again, new, a_use()], noted_before=LATER)
    assert set(await file_place.other.uses(file.id, None, 10)) == {again, new}
    await files.drop_uses(file.id, [], noted_before=LATER)


# --- looks ----------------------------------------------------------------------------------------


async def test_each_ready_file_is_looked_at_by_one_node_every_so_often(
    file_place: FilePlace,
) -> None:
    files = file_place.files
    ready = {(await in_state(files, "ready")).id for _ in range(5)}
    for state in STATES:
        if state != "ready":
            await in_state(files, state)
    assert await files.claim_unlooked(10, every=DAY) == []
    await file_place.later(DAY + 1)
    claimed: list[str] = []

    async def claim(by: Files) -> None:
        while found := await by.claim_unlooked(2, every=DAY):
            assert len(found) <= 2
            claimed.extend(file.id for file in found)

    async with trio.open_nursery() as nursery:
        for each in (file_place.files, file_place.other) * 3:
            nursery.start_soon(claim, each)
    assert len(claimed) == 5
    assert set(claimed) == ready
    await file_place.later(DAY - 10)
    assert await files.claim_unlooked(10, every=DAY) == []
    await file_place.later(11)
    assert ids(await files.claim_unlooked(10, every=DAY)) == ready


async def test_a_file_goes_when_it_was_unused_for_long_enough(file_place: FilePlace) -> None:
    files = file_place.files
    file = await in_state(files, "ready")

    async def look(*, used: bool) -> bool:
        await files.claim_unlooked(10, every=0)
        return await file_place.other.looked(file.id, used=used, keep=3 * DAY)

    await file_place.later(2 * DAY)  # since it is ready
    assert not await look(used=False)
    await file_place.later(2 * DAY)
    assert not await look(used=True)
    assert not await look(used=False)
    await file_place.later(2 * DAY)
    assert not await look(used=False)
    await file_place.later(2 * DAY)
    assert await look(used=False)
    assert (await stands(files, file.id)).state == "removing"
    assert await files.use(file.id, a_use(), owner=None) is None
    assert not await look(used=False)


async def test_a_use_that_was_noted_since_the_look_began_keeps_the_file(
    file_place: FilePlace,
) -> None:
    files = file_place.files
    file = await in_state(files, "ready")
    await file_place.later(DAY)
    await files.claim_unlooked(10, every=0)
    await file_place.other.use(file.id, a_use(), owner=None)
    assert not await files.looked(file.id, used=False, keep=0)
    # Of a look that is older than another one the use still begins the time anew.
    await files.claim_unlooked(10, every=0)
    assert not await files.looked(file.id, used=False, keep=DAY)
    await file_place.later(DAY - 10)
    await files.claim_unlooked(10, every=0)
    assert not await files.looked(file.id, used=False, keep=DAY)
    await file_place.later(20)
    assert await files.looked(file.id, used=False, keep=DAY)


async def test_a_use_keeps_the_file_also_from_a_look_that_was_overtaken(
    file_place: FilePlace,
) -> None:
    files = file_place.files
    file = await in_state(files, "ready")
    await file_place.later(DAY + 1)
    await files.claim_unlooked(10, every=0)
    await files.use(file.id, a_use(), owner=None)
    await file_place.other.claim_unlooked(10, every=0)
    assert not await files.looked(file.id, used=False, keep=DAY)


@pytest.mark.parametrize("how", ["looked", "remove", "remove_of"])
async def test_a_use_and_a_removal_never_cross(file_place: FilePlace, how: str) -> None:
    """Whoever was told that the file may be sent finds it there, unless somebody removes it."""
    removals: dict[str, Callable[[str], Awaitable[object]]] = {
        "looked": lambda id_: file_place.other.looked(id_, used=False, keep=0),
        "remove": lambda id_: file_place.other.remove([id_]),
        "remove_of": lambda _: file_place.other.remove_of("ann", "erased:1"),
    }
    told: dict[str, bool] = {}
    gone: dict[str, bool] = {}

    async def use(id_: str) -> None:
        told[id_] = await file_place.files.use(id_, a_use(), owner="ann") is not None

    async def remove(id_: str) -> None:
        gone[id_] = bool(await removals[how](id_))

    for number in range(15):
        file = await in_state(file_place.files, "ready")
        await file_place.files.claim_unlooked(10, every=0)
        async with trio.open_nursery() as nursery:
            for step in (use, remove) if number % 2 else (remove, use):
                nursery.start_soon(step, file.id)
        state = (await stands(file_place.files, file.id)).state
        if how == "looked":
            assert told[file.id] != gone[file.id]
            assert state == ("ready" if told[file.id] else "removing")
        else:
            assert state == "removing"
            assert await file_place.files.use(file.id, a_use(), owner=None) is None


# --- what goes ------------------------------------------------------------------------------------


async def test_uploads_whose_time_is_over_go(file_place: FilePlace) -> None:
    files = file_place.files
    short = [await added(files, lifetime=60) for _ in range(3)]
    long = await added(files, lifetime=DAY)
    checked = await added(files, lifetime=60)
    await files.begin_check(checked.id, HASH, holder="h", lease=LEASE)
    assert await files.expire(10) == 0
    await file_place.later(61)
    assert await files.expire(2) == 2
    assert await file_place.other.expire(2) == 1
    assert await files.expire(2) == 0
    assert [(await stands(files, file.id)).state for file in short] == ["removing"] * 3
    assert (await stands(files, long.id)).state == "uploading"
    assert (await stands(files, checked.id)).state == "checking"


async def test_bytes_are_removed_by_one_node_at_a_time_until_they_are_gone(
    file_place: FilePlace,
) -> None:
    files, other = file_place.files, file_place.other
    rejected = await in_state(files, "rejected")
    removing = await in_state(files, "removing")
    for state in STATES:
        if state not in ("rejected", "removing"):
            await in_state(files, state)
    assert await files.claim_removals(10, LEASE) in ([rejected, removing], [removing, rejected])
    assert await other.claim_removals(10, LEASE) == []
    await files.removed(rejected.id)
    await file_place.later(LEASE + 1)
    assert ids(await other.claim_removals(10, LEASE)) == {removing.id}
    await other.removed(removing.id)
    assert await files.find(removing.id) is None
    kept = await stands(files, rejected.id)
    assert (kept.state, kept.reason, kept.bytes_stand) == ("rejected", "infected", False)
    await file_place.later(LEASE + 1)
    assert await files.claim_removals(10, LEASE) == []


async def test_of_many_that_remove_bytes_each_has_other_files(file_place: FilePlace) -> None:
    wanted = {(await in_state(file_place.files, "removing")).id for _ in range(10)}
    claimed: list[str] = []

    async def claim(files: Files) -> None:
        while found := await files.claim_removals(3, LEASE):
            claimed.extend(file.id for file in found)

    async with trio.open_nursery() as nursery:
        for each in (file_place.files, file_place.other) * 3:
            nursery.start_soon(claim, each)
    assert len(claimed) == 10
    assert set(claimed) == wanted


async def test_the_bytes_of_a_file_in_check_stay_until_nobody_holds_it(
    file_place: FilePlace,
) -> None:
    files = file_place.files
    file = await in_state(files, "checking")
    assert await file_place.other.remove([file.id]) == 1
    assert not await files.renew_check(file.id, holder="h", lease=LEASE)
    assert not await files.note_thumbnail(file.id, "key", holder="h")
    assert await files.finish(file.id, Verdict("ready"), holder="h") is None
    assert await file_place.other.claim_removals(10, LEASE) == []
    await file_place.later(LEASE + 1)
    assert ids(await file_place.other.claim_removals(10, LEASE)) == {file.id}


async def test_a_removed_file_takes_its_uses_with_it(file_place: FilePlace) -> None:
    files = file_place.files
    file, another = await in_state(files, "ready"), await in_state(files, "ready")
    kept = a_use()
    await files.use(another.id, kept, owner=None)
    for _ in range(3):
        await files.use(file.id, a_use(), owner=None)
    assert await files.remove([file.id, file.id, new_id()]) == 1
    assert await file_place.other.remove([file.id]) == 0
    await files.removed(file.id)
    assert await files.uses(file.id, None, 10) == []
    assert await files.uses(another.id, None, 10) == [kept]


async def test_rejected_files_are_told_of_for_a_while(file_place: FilePlace) -> None:
    files = file_place.files
    with_bytes, without, fresh = [await in_state(files, "rejected") for _ in range(3)]
    await files.removed(without.id)
    await file_place.later(DAY + 1)
    again = await in_state(files, "rejected")
    await files.removed(again.id)
    assert await files.forget_rejected(2 * DAY, 10) == 0
    assert await files.forget_rejected(DAY, 10) == 1
    assert await files.find(without.id) is None
    for file in (with_bytes, fresh, again):
        assert (await stands(files, file.id)).state == "rejected"
    for file in (with_bytes, fresh):
        await files.removed(file.id)
    assert await files.forget_rejected(DAY, 1) == 1
    assert await file_place.other.forget_rejected(DAY, 10) == 1
    assert await files.forget_rejected(DAY, 10) == 0


async def test_a_file_without_bytes_is_forgotten_at_once(file_place: FilePlace) -> None:
    files = file_place.files
    file = await in_state(files, "rejected")
    await files.removed(file.id)
    assert await files.remove([file.id]) == 1
    assert await files.find(file.id) is None


# --- erasure --------------------------------------------------------------------------------------


async def test_of_an_erased_user_no_file_and_no_name_stays(file_place: FilePlace) -> None:
    files = file_place.files
    mine = [await in_state(files, state) for state in STATES]
    gone = await in_state(files, "rejected")
    await files.removed(gone.id)
    other = await in_state(files, "ready", owner="anna")
    for each in (files, file_place.other):  # again, after an error
        await each.remove_of("ann", "erased:1")
        for file in mine:
            found = await stands(files, file.id)
            assert found == replace(
                found,
                owner="erased:1",
                name="",
                conversation=None,
                state="removing",
                key=file.key,
                bytes_stand=True,
            )
        assert await files.find(gone.id) is None
        assert await files.of("ann", None, 10) == await files.of("erased:1", None, 10) == []
        assert await stands(files, other.id) == other
    await file_place.later(LEASE + 1)
    assert ids(await files.claim_removals(10, LEASE)) == ids(mine)
