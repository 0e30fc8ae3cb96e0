"""What is done to conversations without anybody's request in them: the port."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class Expired(Struct, frozen=True):
    """What a round of expiry has done."""

    messages: int
    """Emptied."""
    more: bool
    """There may be others that are due."""


class Upkeep(Protocol):
    """Part of `ShardStore`, which says what holds for all writes.

    Events that are emptied, or named otherwise, keep their places; no event tells of it. A call is
    a step, which may be repeated, and which all nodes may take at the same time.
    """

    async def expire(self, limit: int, *, now: int | None = None) -> Expired:
        """Empty messages that are older than their conversation's retention.

        At most `limit` events are looked at; conversations that are written just then are left
        for the next time. `now` is in milliseconds since the epoch, the store's own clock if None.
        """
        ...

    async def erase_user(self, user: str, pseudonym: str, limit: int) -> bool:
        """One step, of about `limit` events, of erasing a user from this store; True at the end.

        The user leaves all groups (where nobody else owns one, an admin or else the one who has
        been there longest does then). Its messages are emptied; what it did, and what was done to
        it, stands under the pseudonym, a name that nobody else may have. A private conversation
        goes on under an id that does not follow from the names, as a new one to the other member.

        The user must not be able to do anything any more. Steps may be repeated at any time, also
        after a crash: they find what is left.

        Raises:
            Moved: a logical shard is on the move: go on a little later.
            InDoubt: the step may have been done.
        """
        ...
