"""The feed that is pulled, and its cursors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from chat4all_actors.webhooks.events import Event, wanted
from chat4all_actors.webhooks.feed import BadCursor, CursorLost, decode
from chat4all_actors.webhooks.source import Audience
from tests.storage.builders import join
from tests.webhooks.world import World

if TYPE_CHECKING:
    from trio.testing import MockClock

    from chat4all_actors.webhooks.feed import Page
    from chat4all_actors.webhooks.service import WebhookService

ALL = wanted(["*"])
SOON = 1.0


class Reader:
    """Somebody who reads from where it stands."""

    def __init__(self, service: WebhookService, user: str | None = "ann", **fields: Any) -> None:
        self._service = service
        self._audience = Audience(user, fields.get("types", ALL), 0)
        self.cursor: str | None = None

    async def page(self, limit: int = 100, wait: float = 0.0) -> Page:
        cursor = None if self.cursor is None else decode(self.cursor)
        page = await self._service.feed.page(self._audience, cursor, limit=limit, wait=wait)
        self.cursor = page.cursor
        return page

    async def all(self, limit: int = 100) -> list[Event]:
        """Everything that follows, page by page."""
        found: list[Event] = []
        while True:
            page = await self.page(limit)
            found += page.events
            if not page.more:
                return found


def places(events: list[Event]) -> list[tuple[str, int]]:
    return [(event.type, event.seq) for event in events]


@pytest.fixture
async def world(autojump_clock: MockClock) -> World:
    return World(journal_kept=3600.0)


async def test_it_begins_where_it_ends_now(autojump_clock: MockClock, world: World) -> None:
    group = await world.group("ann", "bob")
    await world.say(group, "ann", "before")
    await trio.sleep(SOON)
    async with world.node() as service:
        reader = Reader(service)
        assert (await reader.page()).events == []
        await world.say(group, "ann", "a", "b")
        await trio.sleep(SOON)
        assert places(await reader.all()) == [("message.created", 2), ("message.created", 3)]
        assert await reader.all() == []


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_pages_of_any_size_have_everything_once_and_in_order(
    autojump_clock: MockClock, limit: int
) -> None:
    world = World(2)
    async with world.node() as service:
        reader = Reader(service, None)
        await reader.page()
        groups = [await world.group("ann", "bob") for _ in range(4)]
        for group in groups:
            await world.say(group, "ann", "a", "b", "c", "d", "e")
            await world.receives(group, "bob", 2)
            await world.reads(group, "bob", 4)
        await trio.sleep(SOON)
        found = await reader.all(limit)
    for group in groups:
        assert places([event for event in found if event.key == group]) == [
            ("conversation.created", 0),
            *(("message.created", seq) for seq in range(1, 6)),
            ("message.delivered", 2),
            ("message.delivered", 4),
            ("message.read", 4),
        ]
    assert len({event.id for event in found}) == len(found)


async def test_a_page_ends_in_the_midst_of_a_commit_and_goes_on_there(
    autojump_clock: MockClock, world: World
) -> None:
    group = await world.group("ann")
    async with world.node() as service:
        reader = Reader(service)
        await reader.page()
        await world.say(group, "ann", *"abcdefg")
        await trio.sleep(SOON)
        first = await reader.page(3)
        assert first.more
        await world.say(group, "ann", "h")
        await trio.sleep(SOON)
        rest = await reader.all(3)
    assert [event.seq for event in first.events + rest] == list(range(1, 9))


async def test_a_user_reads_only_what_it_may_and_from_when_it_came(
    autojump_clock: MockClock, world: World
) -> None:
    async with world.node() as service:
        reader = Reader(service)
        await reader.page()
        theirs = await world.group("bob", "carl")
        await world.say(theirs, "bob")
        await trio.sleep(SOON)
        assert await reader.all() == []
        await world.say(theirs, "bob", "before she comes")
        await world.shard.commit([join(theirs, "bob", "ann")], [])
        await world.say(theirs, "bob", "welcome")
        await trio.sleep(SOON)
        assert [event.seq for event in await reader.all()] == [3, 4]


async def test_only_what_was_asked_for_is_in_it(autojump_clock: MockClock, world: World) -> None:
    async with world.node() as service:
        reader = Reader(service, types=wanted(["conversation.*"]))
        await reader.page()
        group = await world.group("ann")
        await world.say(group, "ann")
        await trio.sleep(SOON)
        assert places(await reader.all()) == [("conversation.created", 0)]


async def test_who_waits_is_answered_when_something_comes(
    autojump_clock: MockClock, world: World
) -> None:
    group = await world.group("ann")
    async with world.node() as service:
        reader = Reader(service)
        await reader.page()
        began = trio.current_time()
        async with trio.open_nursery() as nursery:

            async def later() -> None:
                await trio.sleep(10)
                await world.say(group, "ann")

            nursery.start_soon(later)
            page = await reader.page(wait=30)
        assert places(page.events) == [("message.created", 1)]
        assert 10 <= trio.current_time() - began <= 12
        assert (await reader.page(wait=5)).events == []
        assert trio.current_time() - began >= 15


async def test_beyond_those_who_may_wait_all_are_answered_at_once(
    autojump_clock: MockClock,
) -> None:
    world = World(max_feed_waits=0)
    async with world.node() as service:
        reader = Reader(service)
        await reader.page()
        began = trio.current_time()
        assert (await reader.page(wait=30)).events == []
        assert trio.current_time() == began


async def test_a_cursor_holds_over_nodes_and_for_as_long_as_the_journal_is_kept(
    autojump_clock: MockClock, world: World
) -> None:
    group = await world.group("ann")
    async with world.node() as service:
        reader = Reader(service)
        await reader.page()
    await world.say(group, "ann")
    await trio.sleep(3000)
    async with world.node() as service:
        again = Reader(service)
        again.cursor = reader.cursor
        assert places(await again.all()) == [("message.created", 1)]
        late = Reader(service)
        late.cursor = reader.cursor
        await trio.sleep(600)
        with pytest.raises(CursorLost):
            await late.page()
        assert await again.all() == []  # it has read on


async def test_a_page_has_no_more_bytes_than_allowed_but_one_event(
    autojump_clock: MockClock,
) -> None:
    world = World(max_page=64 * 1024)
    group = await world.group("ann")
    async with world.node() as service:
        reader = Reader(service)
        await reader.page()
        for size in (40_000, 40_000, 100_000, 10):
            await world.say(group, "ann", "x" * size)
        await trio.sleep(SOON)
        pages = []
        while page := (await reader.page()).events:
            pages.append([event.seq for event in page])
    assert pages == [[1], [2], [3], [4]]


def test_what_was_not_told_here_is_no_cursor() -> None:
    for text in ("", "x", "abc", "AAAA", "kQ", "!!!!", "a" * 5000):
        with pytest.raises(BadCursor):
            decode(text)
