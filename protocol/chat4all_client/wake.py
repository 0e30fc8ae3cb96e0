"""Small helpers for trio."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Iterator


class Signal:
    """Set by anybody; `wait` takes it down again."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def set(self) -> None:
        """Wake the waiting task, now or when it comes to wait."""
        self._event.set()

    async def wait(self) -> None:
        """Wait until it is set."""
        await self._event.wait()
        self._event = trio.Event()


def foremost(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """One exception of a nursery whose tasks did the same and failed alike.

    What is no `Exception` (Ctrl-C) goes before errors, and those before `Cancelled`.
    """
    found = list(_flat(group))
    return min(
        found, key=lambda it: 2 if isinstance(it, trio.Cancelled) else isinstance(it, Exception)
    )


def _flat(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _flat(inner)
    else:
        yield error


def single_cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one exception that a nursery's group is about; the group itself if there are several."""
    found: list[BaseException] = []
    cancelled: list[BaseException] = []
    pending: list[BaseException] = [group]
    while pending:
        error = pending.pop()
        if isinstance(error, BaseExceptionGroup):
            pending.extend(error.exceptions)
        else:
            (cancelled if isinstance(error, trio.Cancelled) else found).append(error)
    if not found:
        return cancelled[0]
    return found[0] if len(found) == 1 else group
