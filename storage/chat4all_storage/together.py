"""Questions that come at the same time are asked together.

While answers are awaited the next questions collect, so nobody waits for a timer, and a storm of
questions costs as many calls as answers can be given one after the other, not one each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

import trio

from .ports.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PORTION: Final = 4
"""Answers that are handed out in each turn of the scheduler: those who go on with them don't keep
everybody else waiting."""

Q = TypeVar("Q")
A = TypeVar("A")


class _Batch(Generic[Q, A]):
    __slots__ = ("answers", "error", "questions", "waiting")

    def __init__(self) -> None:
        self.questions: list[Q] = []
        self.answers: list[A] | None = None
        self.error: StorageError | None = None
        self.waiting = trio.lowlevel.ParkingLot()


class Together(Generic[Q, A]):
    """Asks in batches of at most `most`, `at_once` of them at the same time."""

    def __init__(
        self, answer: Callable[[list[Q]], Awaitable[list[A]]], *, most: int, at_once: int
    ) -> None:
        """`answer(questions)` gives as many answers, in the same order, or raises."""
        self._answer = answer
        self._most = most
        self._turns = trio.Semaphore(at_once)
        self._next: _Batch[Q, A] | None = None

    async def ask(self, question: Q) -> A:
        """The answer, found out after the call.

        The first of a batch asks for all of it. When that one is cancelled, the others ask anew.

        Raises:
            StorageError: what `answer` raised.
        """
        while True:
            batch = self._next
            if batch is None or len(batch.questions) == self._most:
                batch = self._next = _Batch()
            place = len(batch.questions)
            batch.questions.append(question)
            if place:
                await batch.waiting.park()
            else:
                await self._ask_for_all(batch)
            if batch.error is not None:
                # Each of those who asked raises its own.
                raise type(batch.error)(*batch.error.args) from batch.error
            if batch.answers is not None:
                return batch.answers[place]

    async def _ask_for_all(self, batch: _Batch[Q, A]) -> None:
        try:
            async with self._turns:
                if self._next is batch:
                    self._next = None
                batch.answers = await self._answer(batch.questions)
        except StorageError as error:
            batch.error = error
        finally:
            if self._next is batch:
                self._next = None
            try:
                while len(batch.waiting) > PORTION and batch.answers is not None:
                    batch.waiting.unpark(count=PORTION)
                    await trio.lowlevel.checkpoint()
            finally:
                batch.waiting.unpark_all()
