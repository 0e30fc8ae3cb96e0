"""What every directory does with users."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.directory import User
from chat4all_storage.ports.errors import UsernameTaken

if TYPE_CHECKING:
    from chat4all_storage.ports.directory import Directory


@pytest.mark.parametrize("asked", ["Ann-Marie", "ann-marie", "ANN-MARIE"])
async def test_a_user_is_found_in_whatever_letter_case(directory: Directory, asked: str) -> None:
    user = User(new_id(), "Ann-Marie", b"\0hash\xff")
    await directory.add_user(user)
    assert await directory.find_user(asked) == user


async def test_nobody_is_found_under_an_unknown_name(directory: Directory) -> None:
    await directory.add_user(User(new_id(), "ann", b"hash"))
    assert await directory.find_user("anna") is None
    assert await directory.find_user("") is None


async def test_a_name_is_taken_in_any_letter_case(directory: Directory) -> None:
    first = User(new_id(), "Ann", b"first")
    await directory.add_user(first)
    for name in ("Ann", "ann", "aNN"):
        with pytest.raises(UsernameTaken):
            await directory.add_user(User(new_id(), name, b"second"))
    assert await directory.find_user("ann") == first


async def test_names_are_translated_to_the_way_they_were_first_written(
    directory: Directory,
) -> None:
    for name in ("Ann", "bob", "Carl"):
        await directory.add_user(User(new_id(), name, b"hash"))
    asked = ["ANN", "ann", "Bob", "nobody"]
    assert await directory.canonical_names(asked) == {"ANN": "Ann", "ann": "Ann", "Bob": "bob"}
    assert await directory.canonical_names([]) == {}


async def test_an_arrival_tells_the_directorys_clock_and_who_is_invisible(
    directory: Directory,
) -> None:
    for name in ("Ann", "bob"):
        await directory.add_user(User(new_id(), name, b"hash"))
    first = await directory.arrivals(["Ann", "nobody"])
    assert first.invisible == frozenset()
    await directory.set_invisible("Ann", True)
    await directory.set_invisible("nobody", True)
    second = await directory.arrivals(["Ann", "bob", "nobody"])
    assert second.invisible == {"Ann"}
    assert second.read_at > first.read_at
    assert abs(second.read_at / 1_000_000 - time.time()) < 60
    await directory.set_invisible("Ann", False)
    assert (await directory.arrivals(["Ann"])).invisible == frozenset()
    assert (await directory.arrivals([])).invisible == frozenset()


async def test_the_latest_time_at_which_a_user_was_seen_stays(directory: Directory) -> None:
    for name in ("Ann", "bob", "carl"):
        await directory.add_user(User(new_id(), name, b"hash"))
    await directory.note_seen({"Ann": 500, "bob": 700, "nobody": 900})
    await directory.note_seen({"Ann": 400, "bob": 800})
    await directory.note_seen({})
    assert await directory.last_seen(["Ann", "bob", "carl", "nobody"]) == {"Ann": 500, "bob": 800}
    assert await directory.last_seen(["carl"]) == {}
    assert list((await directory.seen_lately(10)).items()) == [("bob", 800), ("Ann", 500)]
    assert await directory.seen_lately(1) == {"bob": 800}


async def test_nobody_is_told_when_an_invisible_user_was_seen(directory: Directory) -> None:
    for name in ("Ann", "bob"):
        await directory.add_user(User(new_id(), name, b"hash"))
    await directory.note_seen({"Ann": 500, "bob": 700})
    await directory.set_invisible("bob", True)
    assert await directory.last_seen(["Ann", "bob"]) == {"Ann": 500}
    assert await directory.seen_lately(10) == {"Ann": 500}
    await directory.set_invisible("bob", False)
    assert await directory.last_seen(["bob"]) == {"bob": 700}
