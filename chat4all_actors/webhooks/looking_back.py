"""What has happened since a time, found in the logs: for a replay, or where a journal was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from chat4all_storage.ports.webhooks import NewBacklog
from chat4all_storage.sharding import everywhere

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chat4all_storage.sharding.shards import Shards

PAGE: Final = 1000
"""Conversations that are looked at together."""


class Keeps(Protocol):
    """Notes what is to be told again."""

    async def __call__(self, backlogs: Sequence[NewBacklog], *, done: int | None) -> bool:
        """See `Webhooks.look_back`."""
        ...


async def look_back(
    shards: Shards, user: str | None, since: int, keep: Keeps, *, done: int | None
) -> bool:
    """Let all that has happened since then, in conversations of the user, be told again.

    False: it was not `keep`'s to note. `done` is told with the last of it; until then a crash
    begins anew.

    Raises:
        StorageError: not all databases answer.
    """
    last: str | None = None
    while page := await everywhere.active(shards, since, user, last, PAGE):
        last = page[-1].conversation
        backlogs = [
            NewBacklog(each.conversation, False, each.after, each.head, since)
            for each in page
            if each.moved
        ]
        if backlogs and not await keep(backlogs, done=None):
            return False
    return done is None or await keep([], done=done)
