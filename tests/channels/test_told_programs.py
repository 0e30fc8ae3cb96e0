"""What programs are told of people on channels, by the feed: webhooks have the same events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chat4all_actors.edge.rest.api import GROUPS
from chat4all_actors.edge.rest.app import build
from chat4all_connectors.errors import Refused
from chat4all_connectors.incoming import Receipt
from chat4all_connectors.loopback.settings import LoopbackSettings
from chat4all_connectors.loopback.stage import Fault
from chat4all_protocol.frames import Send, TextBody
from chat4all_protocol.ids import new_id
from tests.edge.rest.harness import Api

from .world import ACCOUNT, BEA, world

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


async def said(there: World, conversation: str) -> str:
    """A message of Ana's that had its time to go out; its id."""
    ana, id_ = await there.person("ana"), new_id()
    await ana.say(Send(rid=1, conv=conversation, id=id_, body=TextBody("hello")))
    await there.soon()
    return id_


async def test_a_program_is_told_that_somebody_there_received_and_read_a_message(
    autojump_clock: MockClock,
) -> None:
    async with world() as there:
        conversation, feed = await there.with_bea(), Feed(there)
        assert await feed.news() == []
        await said(there, conversation)
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


async def test_a_program_is_told_of_a_message_that_does_not_go_out(
    autojump_clock: MockClock,
) -> None:
    async with world() as there:
        conversation, feed = await there.with_bea(), Feed(there)
        assert await feed.news() == []
        there.stage.faults.append(Fault(Refused("too rude")))
        id_ = await said(there, conversation)
        _, failed = await feed.news()
        assert failed == ("message.failed", failure(conversation, id_, "too rude"))


async def test_a_program_is_told_once_of_a_message_that_fails_after_it_went_out(
    autojump_clock: MockClock,
) -> None:
    async with world(loopback=LoopbackSettings(delivers=False)) as there:
        conversation, feed = await there.with_bea(), Feed(there)
        assert await feed.news() == []
        id_ = await said(there, conversation)
        for key in ("one", "two"):
            there.stage.tell(
                Receipt(
                    key=key,
                    chat="bea",
                    status="failed",
                    at=there.stage.now(),
                    message=there.stage.lines("bea")[0].id,
                    reason="too late",
                )
            )
            await there.soon()
        _, *rest = await feed.news()
        assert rest == [("message.failed", failure(conversation, id_, "too late"))]


def failure(conversation: str, id_: str, reason: str) -> dict[str, Any]:
    return {
        "conversation_id": conversation,
        "message_id": id_,
        "sequence_number": 1,
        "username": BEA,
        "channel": ACCOUNT,
        "reason": reason,
    }
