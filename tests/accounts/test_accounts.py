from __future__ import annotations

from typing import TYPE_CHECKING

import bcrypt
import pytest

from chat4all_actors.accounts.passwords import PasswordRefused, Passwords
from chat4all_actors.accounts.service import Accounts, InvalidUsername
from chat4all_storage.memory.directory import MemoryDirectory
from chat4all_storage.ports.audit import SHELL, Actor
from chat4all_storage.ports.errors import Unavailable, UsernameTaken

if TYPE_CHECKING:
    from chat4all_storage.ports.directory import User

GOOD = "correct horse"


@pytest.fixture
def directory() -> MemoryDirectory:
    return MemoryDirectory()


@pytest.fixture
def accounts(directory: MemoryDirectory) -> Accounts:
    return Accounts(directory, Passwords(cost=4))


async def test_an_account_that_was_added_is_found_by_name_in_any_letter_case(
    accounts: Accounts,
) -> None:
    added = await accounts.add("Ana", GOOD)
    assert added.username == "Ana"
    assert await accounts.find("Ana") == added
    assert await accounts.find("aNA") == added
    assert await accounts.find("bob") is None


async def test_accounts_have_ids_of_their_own_and_no_password_is_stored(
    accounts: Accounts,
) -> None:
    ana, bob = await accounts.add("ana", GOOD), await accounts.add("bob", GOOD)
    assert ana.id != bob.id
    assert ana.password_hash != bob.password_hash
    assert GOOD.encode() not in ana.password_hash


@pytest.mark.parametrize("name", ["a", "0", "a" * 64, "A.b_c-d9", "a_", "a-"])
async def test_names_that_are_allowed_are_accepted(accounts: Accounts, name: str) -> None:
    assert (await accounts.add(name, GOOD)).username == name


@pytest.mark.parametrize(
    "name", ["", "a" * 65, ".a", "-a", "_a", "a.", "a b", "a\n", "é", "tg:5", "a/b", "a\0"]
)
async def test_names_that_are_not_allowed_are_refused_before_anything_is_stored(
    accounts: Accounts, directory: MemoryDirectory, name: str
) -> None:
    with pytest.raises(InvalidUsername, match="1 to 64"):
        await accounts.add(name, GOOD)
    assert await directory.find_user(name) is None


async def test_a_name_is_taken_in_whatever_letter_case(accounts: Accounts) -> None:
    first = await accounts.add("ana", GOOD)
    with pytest.raises(UsernameTaken):
        await accounts.add("ANA", "another password")
    assert await accounts.authenticate("ana", GOOD) == first
    assert await accounts.authenticate("ana", "another password") is None


async def test_a_password_that_can_not_be_used_adds_no_account(accounts: Accounts) -> None:
    with pytest.raises(PasswordRefused):
        await accounts.add("ana", "short")
    assert await accounts.find("ana") is None


async def test_the_right_name_and_password_authenticate(accounts: Accounts) -> None:
    ana = await accounts.add("ana", GOOD)
    await accounts.add("bob", GOOD + "!")
    assert await accounts.authenticate("ana", GOOD) == ana
    assert await accounts.authenticate("ANA", GOOD) == ana
    assert await accounts.authenticate("bob", GOOD) is None
    assert await accounts.authenticate("eve", GOOD) is None
    assert await accounts.authenticate("ana", "") is None


async def test_a_name_that_does_not_exist_takes_the_work_of_one_that_does(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    await accounts.add("ana", GOOD)
    assert await accounts.authenticate("ana", GOOD)
    checks: list[int] = []
    checkpw = bcrypt.checkpw

    def counted(password: bytes, hashed: bytes) -> bool:
        checks.append(int(hashed.split(b"$")[2]))
        return checkpw(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    assert await accounts.authenticate("ana", GOOD + "!") is None
    assert await accounts.authenticate("eve", GOOD + "!") is None
    assert checks == [4, 4]


async def test_a_directory_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Down(MemoryDirectory):
        async def add_user(
            self, user: User, *, email: str | None = None, actor: Actor = SHELL
        ) -> None:
            raise Unavailable("down")

        async def find_user(self, username: str) -> User | None:
            raise Unavailable("down")

    accounts = Accounts(Down(), Passwords(cost=4))
    with pytest.raises(Unavailable):
        await accounts.add("ana", GOOD)
    with pytest.raises(Unavailable):
        await accounts.find("ana")
    with pytest.raises(Unavailable):
        await accounts.authenticate("ana", GOOD)
