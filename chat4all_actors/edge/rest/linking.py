"""Who the caller is on channels: proved by a code that is sent there."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct

from chat4all_protocol.codes import ErrorCode
from chat4all_storage.ports.audit import user_subject

from .accounting import actor_of, once, the_user
from .errors import invalid, not_found
from .models import moment
from .operations import Answer, Routes
from .rules import TEXT, any_of, way

if TYPE_CHECKING:
    from chat4all_storage.ports.contacts import Link

    from .call import Call

routes = Routes("Links", "Who the caller is on other messengers.")

CODE_PATTERN: Final = r"\A[0-9]{6}\Z"
LONGEST_ADDRESS: Final = 256


class ChannelLinkRequest(Struct, frozen=True):
    """Where a code is to be sent, or the code that came."""

    address: Annotated[str, Meta(min_length=1, max_length=LONGEST_ADDRESS)] | None = None
    """`channel:identity`, as members of conversations are called. With a code: where it came."""
    code: Annotated[str, Meta(pattern=CODE_PATTERN)] | None = None


class ChannelLink(Struct, frozen=True):
    """Somebody on a channel who the caller says to be."""

    channel: str
    """The account's name: `telegram`, or `telegram:support`."""
    address: str
    verified: bool
    """Whether the code was told: it counts from then on."""
    verified_at: datetime | None


class ChannelLinks(Struct, frozen=True):
    """All of the caller, by channel."""

    channels: list[ChannelLink]


@routes.get("/v1/users/me/channels", answers={200: ChannelLinks})
async def list_links(call: Call) -> ChannelLinks:
    """List who the caller is on channels, those that wait for a code too."""
    found = await call.services.channels.linking.of(the_user(call).username)
    return ChannelLinks([_shown(link) for link in found])


@routes.put(
    "/v1/users/me/channels/{channel}",
    body=ChannelLinkRequest,
    answers={200: ChannelLink, 202: ChannelLink},
    errors=(ErrorCode.CONFLICT, ErrorCode.CHANNEL_UNAVAILABLE),
    rules=any_of(way(address=TEXT), way(code=TEXT)),
    examples={
        "ask for a code": ChannelLinkRequest("telegram:12345"),
        "tell the code": ChannelLinkRequest(code="492039"),
    },
)
async def link_channel(call: Call, body: ChannelLinkRequest, channel: str) -> Answer:
    """Link the caller to somebody on a channel, whom the caller proves to be.

    With an address a code is sent there (202); with the code the link counts (200). From then on
    what that person writes on the channel is the caller's, and messages that are sent to this
    channel, or to all, arrive there. A user has one link on a channel, and a person there one user.
    """
    user, linking, actor = the_user(call), call.services.channels.linking, actor_of(call)
    if body.address is None and body.code is None:
        raise invalid("address", "address or code is required")

    async def act() -> Answer:
        if body.code is not None:
            link = await linking.verify(user.username, channel, body.code, actor, body.address)
        else:
            assert body.address is not None  # one of them is given
            link = await linking.ask(user.username, channel, body.address)
        return Answer(_shown(link), 202 if link.verified_at is None else 200)

    return await once(call, f"link {channel}", body, act, scope=user_subject(user.user_id))


@routes.delete("/v1/users/me/channels/{channel}", answers={204: None})
async def unlink_channel(call: Call, channel: str) -> None:
    """End the link of the caller to a channel."""
    linking = call.services.channels.linking
    if not await linking.end(the_user(call).username, channel, actor_of(call)):
        raise not_found("there is no such link")


def _shown(link: Link) -> ChannelLink:
    at = link.verified_at
    return ChannelLink(
        link.channel, link.address, at is not None, None if at is None else moment(at)
    )
