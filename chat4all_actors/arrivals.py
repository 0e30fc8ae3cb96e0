"""What the directory says of users who connect: one query for all who ask at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import trio
from msgspec import Struct, field

from chat4all_storage.ports import StorageError, Unavailable

if TYPE_CHECKING:
    from chat4all_storage.ports import Arrivals, Directory


class _Batch(Struct):
    users: set[str] = field(default_factory=set)
    done: trio.Event = field(default_factory=trio.Event)
    answer: Arrivals | StorageError = field(default_factory=lambda: Unavailable("not asked"))


class Reception:
    """Asks the directory; while an answer is awaited, the next questions collect."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._next = _Batch()
        self._asked = trio.Event()

    async def ask(self, user: str) -> Arrivals:
        """An answer that includes this user, read after the call.

        Raises:
            StorageError: the directory failed.
        """
        batch = self._next
        batch.users.add(user)
        self._asked.set()
        await batch.done.wait()
        if isinstance(batch.answer, StorageError):
            # Each of those who asked raises its own.
            raise type(batch.answer)(*batch.answer.args)
        return batch.answer

    async def run(self) -> NoReturn:
        """Answer until cancelled; who still waits then is refused."""
        try:
            while True:
                await self._asked.wait()
                self._asked = trio.Event()
                batch, self._next = self._next, _Batch()
                try:
                    batch.answer = await self._directory.arrivals(batch.users)
                except StorageError as error:
                    batch.answer = error
                finally:
                    batch.done.set()
        finally:
            self._next.done.set()
