"""How a user who is erased leaves its groups: by events like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from chat4all_protocol.codec import encode_body, encode_meta
from chat4all_protocol.frames import MemberBody
from chat4all_protocol.ids import new_id

from .events import Append

if TYPE_CHECKING:
    from collections.abc import Sequence


class Group(Struct, frozen=True):
    """A group that is to be left."""

    conversation: str
    successor: str | None
    """Who is to own it, where the user is its only owner and not alone."""


def successions(user: str, groups: Sequence[Group]) -> list[Append]:
    """The user makes others owners in its place."""
    return [
        Append(
            conversation=group.conversation,
            sender=user,
            id=new_id(),
            kind="change",
            body=None,
            digest=0,
            meta=encode_meta({"user": group.successor, "role": "owner"}),
            subject=group.successor,
            role="owner",
        )
        for group in groups
        if group.successor is not None
    ]


def departures(user: str, groups: Sequence[Group]) -> list[Append]:
    """The user leaves."""
    return [
        Append(
            conversation=group.conversation,
            sender=user,
            id=new_id(),
            kind="leave",
            body=encode_body(MemberBody(user)),
            digest=0,
            subject=user,
        )
        for group in groups
    ]
