"""What programs are told of people on channels, by the feed: webhooks have the same events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chat4all_actors.edge.rest.api import GROUPS
from chat4all_actors.edge.rest.app import build
from chat4all_protocol.frames import Send, TextBody
from chat4all_protocol.ids import new_id
from tests.edge.rest.harness import Api

from .world import BEA, world

if TYPE_CHECKING:
    from trio.testing import MockClock

    from .world import World


class Feed:
    """Ana's."""

    def __init__(self, there: World) -> None:
        self._api = Api(build(there.node, GROUPS, version="1"), there.node, "ana")
        self._path = "/v1/events?types=message.*"
        self._cursor: str | None = None

    async def news(self) -> list[tuple[str, dict[str, Any]]]:
        """Types and data of what came since the last time; nothing at first."""
        path = self._path if self._cursor is None else f"{self._path}&cursor={self._cursor}"
        answer = await self._api.ask("GET", path)
        assert answer.status == 200, answer.body
        self._cursor = answer.json["next_cursor"]
        return [(event["type"], event["data"]) for event in answer.json["events"]]


async def test_a_program_is_told_that_somebody_there_received_and_read_a_message(
    autojump_clock: MockClock,
) -> None:
    async with world() as there:
        conversation, feed = await there.with_bea(), Feed(there)
        assert await feed.news() == []
        ana = await there.person("ana")
        await ana.say(Send(rid=1, conv=conversation, id=new_id(), body=TextBody("hello")))
        await there.soon()
        mark = {"conversation_id": conversation, "username": BEA, "sequence_number": 1}
        (sent, _), delivered = await feed.news()
        assert (sent, delivered) == ("message.created", ("message.delivered", mark))
        there.stage.read("bea")
        await there.soon()
        assert await feed.news() == [("message.read", mark)]


async def test_a_program_is_told_of_what_somebody_there_writes(autojump_clock: MockClock) -> None:
    async with world() as there:
        feed = Feed(there)
        assert await feed.news() == []
        there.stage.say("bea", "hello")
        await there.soon()
        (created,) = await feed.news()
        assert (created[0], created[1]["from"]) == ("message.created", BEA)
