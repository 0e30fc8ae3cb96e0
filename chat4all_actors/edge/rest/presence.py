"""Who is there."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct

from ...watching import StatusName
from .decoding import matches
from .errors import invalid
from .models import moment
from .operations import PATH_TYPES, Routes

if TYPE_CHECKING:
    from .call import Call

routes = Routes("Presence", "Who is there.")

MAX_USERS: Final = 100


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

    users: Annotated[str, Meta(min_length=1, max_length=7000, description="Names, by commas")]


@routes.get("/v1/presence", query=PresenceQuery, answers={200: PresenceList}, scope="presence:read")
async def read_presence(call: Call, query: PresenceQuery) -> PresenceList:
    """Tell who is there.

    Who shares no conversation with the caller looks like somebody who never was.
    """
    users = list(dict.fromkeys(query.users.split(",")))
    if len(users) > MAX_USERS:
        raise invalid("users", f"users: at most {MAX_USERS} names")
    if not all(matches(user, PATH_TYPES["username"]) for user in users):
        raise invalid("users", "users: names, separated by commas")
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
