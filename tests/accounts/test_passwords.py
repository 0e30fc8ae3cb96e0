from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

import bcrypt
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.accounts.passwords import (
    MAX_BYTES,
    NICENESS,
    THREADS,
    PasswordRefused,
    Passwords,
    TooBusy,
    validate,
)
from chat4all_actors.config import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

COST = 4
GOOD = "correct horse"


class Work:
    """Counts what bcrypt is asked for."""

    def __init__(self) -> None:
        self.hashes: list[int] = []
        self.checks: list[bytes] = []


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    work = Work()
    hashpw, checkpw = bcrypt.hashpw, bcrypt.checkpw

    def counted_hash(password: bytes, salt: bytes) -> bytes:
        work.hashes.append(int(salt.split(b"$")[2]))
        return hashpw(password, salt)

    def counted_check(password: bytes, hashed: bytes) -> bool:
        work.checks.append(hashed)
        return checkpw(password, hashed)

    monkeypatch.setattr(bcrypt, "hashpw", counted_hash)
    monkeypatch.setattr(bcrypt, "checkpw", counted_check)
    return work


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(COST)


async def test_a_password_fits_its_own_hash_and_no_other(passwords: Passwords) -> None:
    stored = await passwords.hash(GOOD)
    assert await passwords.check(GOOD, stored)
    assert not await passwords.check(GOOD + "!", stored)
    assert not await passwords.check(GOOD.upper(), stored)


async def test_the_same_password_has_another_hash_each_time(passwords: Passwords) -> None:
    first, second = await passwords.hash(GOOD), await passwords.hash(GOOD)
    assert first != second
    assert GOOD.encode() not in first


@pytest.mark.parametrize("cost", [4, 5])
async def test_a_hash_costs_what_was_set(cost: int, work: Work) -> None:
    stored = await Passwords(cost).hash(GOOD)
    assert stored.startswith(b"$2b$%02d$" % cost)
    assert work.hashes == [cost]


async def test_the_default_cost_is_12(work: Work) -> None:
    stored = await Passwords().hash(GOOD)
    assert stored.startswith(b"$2b$12$")
    assert Settings().bcrypt_cost == 12


# What may be a password


@pytest.mark.parametrize(
    ("password", "allowed"),
    [
        ("1234567", "at least 8"),
        ("", "at least 8"),
        ("x" * 73, "at most 72 bytes"),
        ("é" * 37, "at most 72 bytes"),
        ("12345678\0", "NUL"),
        ("\0" * 8, "NUL"),
    ],
)
async def test_what_can_not_be_a_password_is_refused_and_says_what_is_allowed(
    passwords: Passwords, work: Work, password: str, allowed: str
) -> None:
    with pytest.raises(PasswordRefused, match=allowed):
        validate(password)
    with pytest.raises(PasswordRefused, match=allowed):
        await passwords.hash(password)
    assert work.hashes == []


@pytest.mark.parametrize("password", ["12345678", "é" * 36, "x" * MAX_BYTES, "\ud800" * 8])
async def test_up_to_72_bytes_every_byte_counts(passwords: Passwords, password: str) -> None:
    stored = await passwords.hash(password)
    assert await passwords.check(password, stored)
    assert not await passwords.check(password[:-1] + "y", stored)


async def test_a_longer_password_is_not_cut_to_one_that_fits(passwords: Passwords) -> None:
    stored = await passwords.hash("x" * MAX_BYTES)
    assert not await passwords.check("x" * (MAX_BYTES + 1), stored)
    assert not await passwords.check("x" * MAX_BYTES + "\0", stored)


# Checks


async def test_a_user_who_does_not_exist_costs_the_same_work(
    passwords: Passwords, work: Work
) -> None:
    stored = await passwords.hash(GOOD)
    assert await passwords.check(GOOD, stored)
    work.hashes.clear()
    work.checks.clear()
    assert not await passwords.check(GOOD + "!", stored)
    assert not await passwords.check(GOOD, None)
    assert work.hashes == []
    assert [int(hashed.split(b"$")[2]) for hashed in work.checks] == [COST, COST]


async def test_the_first_check_costs_the_same_whether_the_user_exists(work: Work) -> None:
    stored = await Passwords(COST).hash(GOOD)
    done: list[tuple[int, int]] = []
    for against in (stored, None):
        work.hashes.clear()
        work.checks.clear()
        await Passwords(COST).check(GOOD, against)
        done.append((len(work.hashes), len(work.checks)))
    assert done[0] == done[1]


async def test_no_password_fits_a_user_who_does_not_exist(passwords: Passwords) -> None:
    assert not await passwords.check("nobody's password", None)


@pytest.mark.parametrize(
    "stored",
    [b"$2b$15$" + b"x" * 53, b"$2b$31$" + b"x" * 53, b"", b"plain", b"$2b$", b"$2b$many$x"],
)
async def test_a_stored_hash_of_excessive_or_unreadable_cost_is_refused_without_work(
    passwords: Passwords, work: Work, stored: bytes
) -> None:
    assert not await passwords.check(GOOD, stored)
    assert (work.hashes, work.checks) == ([], [])


# The bound


class Stall:
    """Makes bcrypt wait until it is released."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self._lock = threading.Lock()
        self._go = threading.Event()

    def __call__(self, function: Callable[[bytes, bytes], bytes]) -> Callable[..., bytes]:
        def stalled(password: bytes, salt: bytes) -> bytes:
            with self._lock:
                self.running += 1
                self.most = max(self.most, self.running)
            self._go.wait()
            with self._lock:
                self.running -= 1
            return function(password, salt)

        return stalled

    def release(self) -> None:
        self._go.set()


async def test_beyond_the_bound_the_caller_is_told_to_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passwords = Passwords(COST, max_waiting=3)
    stored = await passwords.hash(GOOD)
    assert await passwords.check(GOOD, stored)
    stall = Stall()
    monkeypatch.setattr(bcrypt, "hashpw", stall(bcrypt.hashpw))
    hashes: list[bytes] = []

    async def hash_one() -> None:
        hashes.append(await passwords.hash(GOOD))

    try:
        async with trio.open_nursery() as nursery:
            for _ in range(THREADS + 3):
                nursery.start_soon(hash_one)
            await wait_all_tasks_blocked()
            with pytest.raises(TooBusy, match="3"):
                await passwords.hash(GOOD)
            with pytest.raises(TooBusy):
                await passwords.check(GOOD, stored)
            with pytest.raises(TooBusy):
                await passwords.check(GOOD, None)
            stall.release()
    finally:
        stall.release()
    assert len(hashes) == THREADS + 3
    assert stall.most <= THREADS
    assert await passwords.check(GOOD, hashes[-1])  # there is room again


async def test_a_malformed_stored_hash_fits_nothing() -> None:
    passwords = Passwords(cost=4)
    good = await passwords.hash("a good password")
    assert not await passwords.check("a good password", good[:7] + b"!" * 20)


@pytest.mark.skipif(sys.platform != "linux", reason="niceness is of whole processes elsewhere")
async def test_hashing_steps_back_for_the_rest_of_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[int] = []

    def look(*_: object) -> bytes:
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return b""

    monkeypatch.setattr("bcrypt.hashpw", look)
    here = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    await Passwords(4).hash("a password")
    assert found == [max(NICENESS, here)]
