"""Reactions to messages: put one, take it back, and see which stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct

from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.frames import Emoji

from ...conversation import appends
from . import submitting
from .operations import Routes

if TYPE_CHECKING:
    from .call import Call

routes = Routes("Reactions", "React to messages.")

LISTED: Final = 1000
"""Of the reactions to a message, the last ones are told."""


class NewReaction(Struct, frozen=True):
    """A reaction to a message, or that it is taken back."""

    emoji: Emoji
    on: bool = True
    """False takes it back."""


class Reactions(Struct, frozen=True):
    """Who has reacted alike, in the order in which they did."""

    emoji: Emoji
    users: list[str]


class ReactionList(Struct, frozen=True):
    """The reactions to a message that stand, up to 1,000; the one that was put first is first."""

    reactions: Annotated[list[Reactions], Meta(max_length=LISTED)]


@routes.post(
    "/v1/messages/{message_id}/reactions",
    body=NewReaction,
    answers={204: None},
    errors=(ErrorCode.CONFLICT,),
    scope="messages:write",
    examples={"a thumb up": NewReaction("👍"), "taken back": NewReaction("👍", on=False)},
)
async def react(call: Call, message_id: str, body: NewReaction) -> None:
    """React to a message, or take a reaction back.

    A member has at most one of each emoji on a message: the last request about it counts. In the
    history it is an event of kind `react`, with `emoji` and `on` in its `metadata`.
    """
    user = call.caller.user()
    event = await submitting.message_of(call, user, message_id)
    call.spend_message(user)
    id_ = call.id("react")
    await submitting.submit(
        call, appends.react(event.conversation, user, id_, event.seq, body.emoji, on=body.on)
    )


@routes.get(
    "/v1/messages/{message_id}/reactions", answers={200: ReactionList}, scope="messages:read"
)
async def list_reactions(call: Call, message_id: str) -> ReactionList:
    """Tell which reactions to a message stand; a deleted one has none."""
    user = call.caller.user()
    event = await submitting.event_of(call, user, message_id)
    if event.deleted:
        return ReactionList([])
    alike: dict[str, list[str]] = {}
    for each in await call.storage.shards.reactions(event.conversation, event.seq, LISTED):
        alike.setdefault(each.emoji, []).append(each.sender)
    return ReactionList([Reactions(emoji, users) for emoji, users in alike.items()])
