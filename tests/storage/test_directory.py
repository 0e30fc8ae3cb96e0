"""What every directory does with users."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_protocol.ids import new_id
from chat4all_storage.ports import User, UsernameTaken

if TYPE_CHECKING:
    from chat4all_storage.ports import Directory


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
