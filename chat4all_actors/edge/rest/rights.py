"""What people have a right to: a copy of everything that is theirs, and that it is forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from ...upkeep.erasure import new_pseudonym
from . import exporting
from .accounting import actor_of, explained, the_user
from .auth import Code, Password
from .operations import Answer, Routes

if TYPE_CHECKING:
    from .call import Call

routes = Routes("Rights", "A copy of what is one's own, and its erasure.")


class Farewell(Struct, frozen=True):
    """Who goes shows once more who it is."""

    password: Password
    totp: Code | None = None
    """Where a second factor is in use."""


class Erasing(Struct, frozen=True):
    """The account is gone; what is left in conversations follows."""

    status: Annotated[str, Meta(examples=["erasing"])]


@routes.get("/v1/users/me/export", answers={200: bytes}, media_type="application/zip")
async def export_account(call: Call) -> Answer:
    """Take a copy of the own account.

    A ZIP with the profile, the devices, the links to channels, what is known of the caller's files
    (not their bytes), and of each conversation what was said since the caller came, one JSON object
    a line. It is made while it is sent.
    """
    user = the_user(call)
    parts = exporting.archive(call.storage, user.user_id, user.username)
    name = f'attachment; filename="{user.username}.zip"'
    return Answer(parts, headers={"Content-Disposition": name})


@routes.post("/v1/users/me/erasure", body=Farewell, answers={202: Erasing})
async def erase_account(call: Call, body: Farewell) -> Erasing:
    """Erase the own account, for good.

    Every token ends at once, and every connection within two seconds. The files are removed, the
    messages are emptied and the name disappears from every conversation; what others said stays.
    The name is free when that is done.
    """
    user, desk, actor = the_user(call), call.services.desk, actor_of(call)
    with explained():
        await desk.logins.erase(user.username, body.password, body.totp, new_pseudonym(), actor)
    return Erasing("erasing")
