"""Passwords: bcrypt hashes, made and checked in threads of their own.

One check costs about 0.2 s of processor time, on purpose. The threads step back when processors
are short, so that messages keep their latency while many people log in; the queue before them is
bounded: beyond it the caller is told to come again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeVar

import bcrypt

from chat4all_storage.background import Background

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_BYTES: Final = 72
"""bcrypt reads no further, so a longer password is refused rather than cut."""
MIN_CHARACTERS: Final = 8
MAX_STORED_COST: Final = 14
"""A stored hash that claims more work than this is refused, not executed."""
THREADS: Final = 2
NICENESS: Final = 10
"""Beside a thread of niceness 0 on one processor, such a thread gets a tenth of the time."""


class PasswordRefused(ValueError):
    """The password can't be used: too short, too long, or with a NUL in it."""


class TooBusy(Exception):
    """Too many checks wait already."""


def validate(password: str) -> bytes:
    """The bytes of a password that may be used.

    Raises:
        PasswordRefused: and says what is allowed.
    """
    if len(password) < MIN_CHARACTERS:
        raise PasswordRefused(f"a password has at least {MIN_CHARACTERS} characters")
    encoded = password.encode("utf-8", "surrogatepass")
    if len(encoded) > MAX_BYTES:
        raise PasswordRefused(f"a password has at most {MAX_BYTES} bytes (UTF-8)")
    if b"\0" in encoded:
        raise PasswordRefused("a password has no NUL character")
    return encoded


class Passwords:
    """Makes and checks hashes, a bounded number at a time."""

    def __init__(self, cost: int = 12, max_waiting: int = 20) -> None:
        self._cost = cost
        self._max_waiting = max_waiting
        self._threads = Background(THREADS, "passwords", niceness=NICENESS)
        self._nobody: bytes | None = None

    async def hash(self, password: str) -> bytes:
        """The hash of a new password.

        Raises:
            PasswordRefused: it can't be used.
            TooBusy: too many hashes are being computed.
        """
        encoded = validate(password)
        return await self._in_thread(lambda: bcrypt.hashpw(encoded, bcrypt.gensalt(self._cost)))

    async def check(self, password: str, stored: bytes | None) -> bool:
        """Whether `password` fits the stored hash.

        `stored` is None for a user who does not exist; that costs the same, so that the time
        tells nothing.

        Raises:
            TooBusy: too many hashes are being computed.
        """
        try:
            encoded = validate(password)
        except PasswordRefused:
            return False  # never accepted as a new one, so it fits no account
        if stored is not None and _cost(stored) > MAX_STORED_COST:
            return False
        if self._nobody is None:
            self._nobody = await self._in_thread(
                lambda: bcrypt.hashpw(b"nobody's password", bcrypt.gensalt(self._cost))
            )
        against = self._nobody if stored is None else stored
        try:
            fits = await self._in_thread(lambda: bcrypt.checkpw(encoded, against))
        except ValueError:
            logger.error("a stored password hash is malformed: its user can't log in")
            return False
        return fits and stored is not None

    async def _in_thread(self, fn: Callable[[], T]) -> T:
        if self._threads.waiting >= self._max_waiting:
            raise TooBusy(f"{self._max_waiting} password checks wait already")
        return await self._threads.run(fn)


def _cost(stored: bytes) -> int:
    """The cost that a hash `$2b$12$…` names; an unreadable one counts as too high."""
    try:
        return int(stored.split(b"$")[2])
    except (IndexError, ValueError):
        return MAX_STORED_COST + 1
