"""Who is there, by key; what is missing is started once, however many ask for it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from types import TracebackType

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class RegistryStatistics:
    """A snapshot of a registry; totals run since it was made."""

    size: int
    starting: int
    started: int
    failed: int
    """Starts that raised; those whose caller was cancelled are not among them."""


class _Start(Generic[V]):
    """A start under way, and then its outcome: a value, an error, or neither."""

    __slots__ = ("error", "finished", "ok", "traceback", "value")

    def __init__(self) -> None:
        self.finished = trio.Event()
        self.ok = False
        self.value: V | None = None
        self.error: Exception | None = None
        self.traceback: TracebackType | None = None


class Registry(Generic[K, V]):
    """A mapping from keys to running things, with single-flight start."""

    def __init__(self) -> None:
        """Make an empty registry."""
        self._values: dict[K, V] = {}
        self._starts: dict[K, _Start[V]] = {}
        self._started = 0
        self._failed = 0

    def __len__(self) -> int:
        """Count what is there; a start under way does not count."""
        return len(self._values)

    def __contains__(self, key: K) -> bool:
        """Tell whether something is there under this key."""
        return key in self._values

    def __iter__(self) -> Iterator[K]:
        """Iterate over the keys of this moment; changes meanwhile do no harm."""
        return iter(tuple(self._values))

    def values(self) -> tuple[V, ...]:
        """Return what is there at this moment."""
        return tuple(self._values.values())

    def get(self, key: K) -> V | None:
        """Return what is there, or None."""
        return self._values.get(key)

    async def get_or_start(self, key: K, start: Callable[[K], Awaitable[V]]) -> V:
        """Return what is there, else the result of ``await start(key)``, which is then kept.

        Callers that come while a start is under way wait for it and share its value or its
        error; a failure is not remembered. The start runs in the task of its caller: when that is
        cancelled, one of those who wait starts anew with its own `start`. Must not be called for
        the same key out of `start`.
        """
        await trio.lowlevel.checkpoint()
        while True:
            if key in self._values:
                return self._values[key]
            under_way = self._starts.get(key)
            if under_way is None:
                return await self._start(key, start)
            await under_way.finished.wait()
            if under_way.ok:
                return cast("V", under_way.value)
            if under_way.error is not None:
                # The same object for all, but without the frames of those who raised it before.
                raise under_way.error.with_traceback(under_way.traceback)

    def put(self, key: K, value: V) -> V | None:
        """Keep a value; returns the one it replaced, which is the caller's to stop."""
        replaced = self._values.get(key)
        self._values[key] = value
        return replaced

    def remove(self, key: K, value: V) -> bool:
        """Forget the key if it still stands for this very value; tells whether it did.

        So something that ends late cannot remove its successor.
        """
        if self._values.get(key) is not value:
            return False
        return self._values.pop(key, None) is not None

    def statistics(self) -> RegistryStatistics:
        """Return the figures of this moment."""
        return RegistryStatistics(
            size=len(self._values),
            starting=len(self._starts),
            started=self._started,
            failed=self._failed,
        )

    async def _start(self, key: K, start: Callable[[K], Awaitable[V]]) -> V:
        under_way: _Start[V] = _Start()
        self._starts[key] = under_way
        try:
            value = await start(key)
        except Exception as error:
            self._failed += 1
            under_way.error = error
            under_way.traceback = error.__traceback__
            raise
        else:
            self._started += 1
            self._values[key] = value
            under_way.value = value
            under_way.ok = True
            return value
        finally:
            # Anything else (a cancellation) leaves neither value nor error: who waits takes over.
            del self._starts[key]
            under_way.finished.set()
