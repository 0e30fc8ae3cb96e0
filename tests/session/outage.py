"""A database that is away, and what happens when one is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from chat4all_storage.ports.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import pytest

    from chat4all_storage.storage import Storage

READS = ("resume", "history", "conversation", "page", "members", "commit", "create")


class Outage:
    """A database (the second) hangs or fails, until it is healed."""

    def __init__(
        self,
        storage: Storage,
        monkeypatch: pytest.MonkeyPatch,
        *,
        hangs: bool,
        database: int = 1,
    ) -> None:
        async def away(*_: object, **__: object) -> object:
            if hangs:
                await trio.sleep_forever()
            raise Unavailable("gone")

        self._patch = monkeypatch
        for name in READS:
            monkeypatch.setattr(storage.shards.all[database], name, away)

    def heal(self) -> None:
        self._patch.undo()


class Reading:
    """Something happens before or after a database (the second) is asked by who comes late."""

    def __init__(
        self, storage: Storage, patch: pytest.MonkeyPatch, name: str, database: int = 1
    ) -> None:
        store = storage.shards.all[database]
        self._answer = getattr(store, name)
        self.always: Callable[[], Awaitable[object]] | None = None
        """The others happen once."""
        self.before: Callable[[], Awaitable[object]] | None = None
        self.after: Callable[[], Awaitable[object]] | None = None
        patch.setattr(store, name, self._ask)

    async def _ask(self, *arguments: Any, **options: Any) -> Any:
        if self.always is not None:
            await self.always()
        if (act := self.before) is not None:
            self.before = None
            await act()
        found = await self._answer(*arguments, **options)
        if (act := self.after) is not None:
            self.after = None
            await act()
        return found
