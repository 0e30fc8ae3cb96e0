"""Who is there."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from ...presence.watching import StatusName
from .models import Names, moment
from .operations import Routes

if TYPE_CHECKING:
    from .call import Call

routes = Routes("Presence", "Who is there.")


class UserPresence(Struct, frozen=True):
    """What the caller may know of a user."""

    username: str
    status: StatusName
    last_seen: datetime | None
    """When somebody was there last who is not there."""
    devices: int


class PresenceList(Struct, frozen=True):
    """In the order in which they were asked for."""

    presences: list[UserPresence]


class PresenceQuery(Struct, frozen=True):
    """Of whom."""

    users: Names


@routes.get("/v1/presence", query=PresenceQuery, answers={200: PresenceList}, scope="presence:read")
async def read_presence(call: Call, query: PresenceQuery) -> PresenceList:
    """Tell who is there.

    Who shares no conversation with the caller looks like somebody who never was.
    """
    users = list(dict.fromkeys(query.users.split(",")))
    found = await call.services.presence.of(call.caller.user(), users)
    return PresenceList(
        [
            UserPresence(
                one.user,
                one.status,
                None if one.last_seen is None else moment(one.last_seen),
                one.devices,
            )
            for one in found
        ]
    )
