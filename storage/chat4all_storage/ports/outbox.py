"""Events that may have to leave through channels: noted in the transaction that stores them.

A conversation is external from when somebody external becomes a member, or an event that names an
external channel is stored, and stays so. It has a row for each message, edit, deletion and reaction
that is stored when it is external, judged by what stood before the batch, or names such a channel
itself. Of events that are emptied a row remains, and whoever sends finds them empty; what was in a
private conversation of a user who is erased does not leave any more.

A router (`chat4all_actors/channels/`) finds out who is to have it, notes that in the directory
(`deliveries.py`), and takes the row away after that; so an event is routed at least once, and noted
once, as deliveries are unique.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chat4all_protocol.frames import Kind

INTERNAL: Final = "internal"
"""The channel that is no channel: sessions here."""
INTERNAL_ONLY: Final = (INTERNAL,)
LEAVING_KINDS: Final[frozenset[Kind]] = frozenset({"message", "edit", "delete", "react"})


def is_external(member: str) -> bool:
    """Whether it is an address, `channel:identity`: names of users have no colon."""
    return ":" in member


def names_external(channels: Sequence[str] | None) -> bool:
    """Whether a sender who chose these wants it to leave."""
    return channels is not None and any(channel != INTERNAL for channel in channels)


class Leaving(Struct, frozen=True):
    """An event that may have to leave, and who is a member by now."""

    id: int
    conversation: str
    seq: int
    sender: str
    kind: Kind
    target: int | None
    """The message that an edit, deletion or reaction is of."""
    channels: tuple[str, ...] | None
    """As the sender chose; None: internal, and the channels of external members.

    `INTERNAL_ONLY` if nothing external was chosen.
    """
    members: list[str]
    """Of the conversation, when this was read: users and external addresses."""


class Outbox(Protocol):
    """Part of a shard store, which says what holds for all."""

    async def leaving(self, limit: int) -> list[Leaving]:
        """The oldest rows; of each conversation the first ones, in the order of their seqs.

        What of a conversation is returned follows what was removed without a hole: so whoever
        routes all of it, and several at once, keeps the order.
        """
        ...

    async def routed(self, ids: Sequence[int]) -> None:
        """Remove rows; those that are gone already do not matter."""
        ...
