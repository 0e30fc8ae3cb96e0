"""The feed of events: what webhooks tell, but who is there, for those who come and ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct

from chat4all_protocol.codes import ErrorCode

from ...webhooks import feed
from ...webhooks.events import wanted
from ...webhooks.source import Audience
from .errors import ApiError, invalid
from .event_data import EventData, Notification
from .models import EVENT_TYPES_PATTERN, FEED_CURSOR_PATTERN
from .operations import Answer, Routes
from .webhooks import SCOPE, whose

if TYPE_CHECKING:
    from ...config import Settings
    from .call import Call

routes = Routes("Events", "What has happened, in order, for programs that ask.")

MAX_PAGE: Final = 100
MAX_WAIT: Final = 30
"""Seconds."""


class EventPage(Struct, frozen=True):
    """Events, each conversation's in its order."""

    events: list[Notification]
    next_cursor: str
    """Where the next page begins: keep it when what is in this one is done."""
    has_more: bool
    """Whether there may be more at once; else ask again later, or with `wait`."""


class EventsQuery(Struct, frozen=True):
    """Which part of the feed: without a cursor, where it ends now."""

    cursor: (
        Annotated[
            str,
            Meta(
                pattern=FEED_CURSOR_PATTERN,
                max_length=8192,
                description="Where the page before ended: its `next_cursor`",
            ),
        ]
        | None
    ) = None
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="Events at most")] = 50
    types: (
        Annotated[
            str,
            Meta(
                pattern=EVENT_TYPES_PATTERN,
                description="Types of events, or `message.*`, separated by commas; all by default",
            ),
        ]
        | None
    ) = None
    wait: Annotated[
        float,
        Meta(ge=0, le=MAX_WAIT, description="Seconds to wait for an event while there is none"),
    ] = 0.0


def _time(settings: Settings) -> float:
    return settings.request_timeout + MAX_WAIT


@routes.get(
    "/v1/events",
    query=EventsQuery,
    answers={200: EventPage},
    errors=(ErrorCode.CONFLICT, ErrorCode.NOT_FOUND),
    scope=SCOPE,
    time=_time,
)
async def read_events(call: Call, query: EventsQuery) -> Answer:
    """Read what has happened since a cursor: the events, and ids, that a webhook is told.

    A cursor is good for an hour (`journal_kept`). What follows an older one may be gone: that is a
    409 with `cursor` in its details, never a hole. Then read what matters anew, and begin without a
    cursor.
    """
    try:
        cursor = None if query.cursor is None else feed.decode(query.cursor)
    except feed.BadCursor as error:
        raise invalid("cursor", str(error)) from None
    _, username = await whose(call)
    audience = Audience(username, wanted((query.types or "*").split(",")), 0)
    try:
        page = await call.services.webhooks.feed.page(
            audience, cursor, limit=query.limit, wait=query.wait
        )
    except feed.CursorLost:
        raise ApiError(
            ErrorCode.CONFLICT,
            "the cursor is too old: what follows it may be gone; begin without one",
            field="cursor",
            details={"cursor": "expired"},
        ) from None
    shows, limit = EventData(call.storage), call.services.settings.webhook_max_payload
    told = [await shows.show(event, limit) for event in page.events]
    more = b"true" if page.more else b"false"
    body = b'{"events":[%b],"next_cursor":"%b","has_more":%b}' % (
        b",".join(told),
        page.cursor.encode(),
        more,
    )
    return Answer(body, 200)
