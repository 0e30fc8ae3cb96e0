"""The answer to one ask."""

from __future__ import annotations

import enum
from typing import Generic, TypeVar, cast

import trio

T = TypeVar("T")


class _Phase(enum.Enum):
    OPEN = enum.auto()
    ANSWERED = enum.auto()
    ABANDONED = enum.auto()
    """The asker gave up, or was told that the actor is gone: answers come too late."""


class Reply(Generic[T]):
    """A one-shot slot that travels inside a message and takes the answer back to the asker.

    Whoever holds it answers once, with `resolve` or `fail`. Made by `Actor.ask`.
    """

    __slots__ = ("_asker", "_error", "_phase", "_value")

    def __init__(self) -> None:
        """Make an open reply."""
        self._asker: trio.lowlevel.Task | None = None
        self._phase = _Phase.OPEN
        self._value: T | None = None
        self._error: Exception | None = None

    @property
    def open(self) -> bool:
        """Whether somebody still wants the answer; skip dear work when nobody does."""
        return self._phase is _Phase.OPEN

    def resolve(self, value: T) -> None:
        """Answer; silently too late when the asker gave up.

        Raises `RuntimeError` when it was answered before.
        """
        if self._answer():
            self._value = value

    def fail(self, error: Exception) -> None:
        """Answer with an error, which `ask` raises: the way to refuse bad input.

        Silently too late when the asker gave up; raises `RuntimeError` when it was answered
        before.
        """
        if self._answer():
            self._error = error

    def abandon(self, error: Exception | None = None) -> None:
        """Close without an answer, waking the asker with `error` if it still waits.

        For the kernel; without effect on a reply that has its answer.
        """
        if self._phase is _Phase.OPEN:
            self._phase = _Phase.ABANDONED
            self._error = error
            self._wake()

    async def wait(self) -> T:
        """Wait for the answer and return it, or raise the error it failed with.

        For the one asker. No checkpoint when the answer is there already.
        """
        if self._phase is _Phase.OPEN:
            self._asker = trio.lowlevel.current_task()

            def abort(_: object) -> trio.lowlevel.Abort:
                self._asker = None
                return trio.lowlevel.Abort.SUCCEEDED

            await trio.lowlevel.wait_task_rescheduled(abort)
        if self._error is not None:
            raise self._error
        return cast("T", self._value)

    def _answer(self) -> bool:
        if self._phase is _Phase.ANSWERED:
            raise RuntimeError("this reply was answered before")
        if self._phase is _Phase.ABANDONED:
            return False
        self._phase = _Phase.ANSWERED
        self._wake()
        return True

    def _wake(self) -> None:
        if self._asker is not None:
            trio.lowlevel.reschedule(self._asker)
            self._asker = None
