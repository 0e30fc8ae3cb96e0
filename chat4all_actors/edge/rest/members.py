"""Members of groups: who comes, who goes, and as what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.frames import MemberName
from chat4all_storage.ports.outbox import is_external

from ...conversation import appends
from . import submitting, views
from .errors import invalid
from .models import Conversation, Role
from .operations import Routes

if TYPE_CHECKING:
    from .call import Call

routes = Routes("Members", "Who takes part in a group.")


class NewMember(Struct, frozen=True):
    """Who is to be a member, and as what."""

    username: MemberName
    """A user, or somebody on a channel, who has no role."""
    role: Role = "member"


class RoleChange(Struct, frozen=True):
    """What a member is to be."""

    role: Role


@routes.post(
    "/v1/conversations/{conversation_id}/members",
    body=NewMember,
    answers={201: Conversation},
    errors=(ErrorCode.CONFLICT, ErrorCode.CHANNEL_UNAVAILABLE),
    scope="conversations:write",
    examples={
        "a user": NewMember("carla"),
        "somebody on WhatsApp": NewMember("whatsapp:+5511999998888"),
    },
)
async def add_member(call: Call, conversation_id: str, body: NewMember) -> Conversation:
    """Add a member to a group.

    Owners and admins do; only owners make others admins or owners.
    """
    name = await submitting.canonical(call, body.username)
    _check_role(name, body.role)
    append = appends.join(conversation_id, call.caller.user(), call.id("join"), name, body.role)
    await submitting.submit(call, append)
    return views.conversation(await submitting.conversation_of(call, conversation_id))


def _check_role(name: str, role: Role) -> None:
    if is_external(name) and role != "member":
        raise invalid("role", "people on channels have no role: member")


@routes.patch(
    "/v1/conversations/{conversation_id}/members/{username}",
    body=RoleChange,
    answers={200: Conversation},
    errors=(ErrorCode.CONFLICT,),
    scope="conversations:write",
    examples={"an admin": RoleChange("admin")},
)
async def change_role(
    call: Call, conversation_id: str, username: str, body: RoleChange
) -> Conversation:
    """Give a member another role; for owners."""
    _check_role(username, body.role)
    append = appends.role(conversation_id, call.caller.user(), call.id("role"), username, body.role)
    await submitting.submit(call, append)
    return views.conversation(await submitting.conversation_of(call, conversation_id))


@routes.delete(
    "/v1/conversations/{conversation_id}/members/{username}",
    answers={204: None},
    errors=(ErrorCode.CONFLICT,),
    scope="conversations:write",
)
async def remove_member(call: Call, conversation_id: str, username: str) -> None:
    """Remove a member from a group, or leave it.

    Everybody may leave, but the last owner names another first. Owners remove anybody, admins
    those without a role.
    """
    append = appends.leave(conversation_id, call.caller.user(), call.id("leave"), username)
    await submitting.submit(call, append)
