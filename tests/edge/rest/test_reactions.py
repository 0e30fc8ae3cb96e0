"""Reactions over REST."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from chat4all_actors.edge.rest import reactions
from chat4all_actors.limits.gcra import RateLimiter
from chat4all_actors.limits.limits import MESSAGES
from chat4all_protocol.frames import Msg
from tests.actors.harness import person

if TYPE_CHECKING:
    from tests.edge.rest.conftest import Town

ID = "7d444840-9dc0-41d1-b245-5ffdce74fad2"
MESSAGE = f"/v1/messages/{ID}"
REACTIONS = f"{MESSAGE}/reactions"


async def say(town: Town) -> None:
    """Ana says something to Bob."""
    payload = {"type": "text", "text": "hi"}
    body = {"payload": payload, "recipient_id": "bob", "message_id": ID}
    assert (await town.ana.ask("POST", "/v1/messages", body)).status == 202


async def standing(town: Town) -> list[tuple[str, list[str]]]:
    found = await town.ana.ask("GET", REACTIONS)
    assert found.status == 200
    return [(each["emoji"], each["users"]) for each in found.json["reactions"]]


async def test_a_reaction_is_stored_and_pushed_to_who_is_connected(town: Town) -> None:
    await say(town)
    ana = await person(town.node, "ana")
    for on in (True, False):
        reacted = await town.bob.ask("POST", REACTIONS, {"emoji": "👍", "on": on})
        assert (reacted.status, reacted.body) == (204, b"")
    await trio.testing.wait_all_tasks_blocked()
    assert [(each.seq, each.kind, each.target, each.meta) for each in ana.outlet.of(Msg)] == [
        (2, "react", 1, {"emoji": "👍", "on": True}),
        (3, "react", 1, {"emoji": "👍", "on": False}),
    ]


async def test_those_that_stand_are_told_by_emoji(town: Town) -> None:
    await say(town)
    assert await standing(town) == []
    await town.ana.ask("POST", REACTIONS, {"emoji": "👍"})
    await town.bob.ask("POST", REACTIONS, {"emoji": "🎉"})
    await town.bob.ask("POST", REACTIONS, {"emoji": "👍"})
    assert await standing(town) == [("👍", ["ana", "bob"]), ("🎉", ["bob"])]
    await town.ana.ask("POST", REACTIONS, {"emoji": "👍", "on": False})
    assert await standing(town) == [("🎉", ["bob"]), ("👍", ["bob"])]


async def test_of_very_many_the_last_are_told(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactions, "LISTED", 2)
    await say(town)
    for emoji in "abc":
        await town.ana.ask("POST", REACTIONS, {"emoji": emoji})
    assert await standing(town) == [("b", ["ana"]), ("c", ["ana"])]


async def test_the_history_has_them_as_events(town: Town) -> None:
    await say(town)
    await town.bob.ask("POST", REACTIONS, {"emoji": "👍"})
    conversation = (await town.ana.ask("GET", MESSAGE)).json["conversation_id"]
    history = await town.ana.ask("GET", f"/v1/conversations/{conversation}/messages")
    _, reaction = history.json["messages"]
    assert (reaction["kind"], reaction["from"], reaction["payload"]) == ("react", "bob", None)
    assert (reaction["target"], reaction["metadata"]) == (1, {"emoji": "👍", "on": True})
    event = f"/v1/messages/{reaction['message_id']}"
    refused = await town.bob.ask("POST", f"{event}/reactions", {"emoji": "👍"})
    assert (refused.status, refused.code) == (409, "CONFLICT")


async def test_a_deleted_message_takes_none_and_shows_none(town: Town) -> None:
    await say(town)
    await town.bob.ask("POST", REACTIONS, {"emoji": "👍"})
    await town.ana.ask("DELETE", MESSAGE)
    refused = await town.bob.ask("POST", REACTIONS, {"emoji": "👍", "on": False})
    assert (refused.status, refused.code) == (409, "CONFLICT")
    assert await standing(town) == []


async def test_a_stranger_finds_no_message(town: Town) -> None:
    await say(town)
    for method, body in (("GET", None), ("POST", {"emoji": "👍"})):
        assert (await town.carla.ask(method, REACTIONS, body)).status == 404


@pytest.mark.parametrize("emoji", ["", "x" * 33, "\0", None, 7])
async def test_what_is_no_emoji_is_refused_by_its_field(town: Town, emoji: Any) -> None:
    await say(town)
    refused = await town.bob.ask("POST", REACTIONS, {"emoji": emoji})
    assert (refused.status, refused.code) == (400, "INVALID_PAYLOAD")
    assert refused.json["error"]["details"]["field"] == "emoji"


async def test_reactions_count_as_messages_for_the_rate(town: Town) -> None:
    await say(town)
    town.node.limits.limiters = dict(town.node.limits.limiters) | {MESSAGES: RateLimiter(60, 2)}
    answers = [await town.bob.ask("POST", REACTIONS, {"emoji": emoji}) for emoji in "abc"]
    assert [answer.status for answer in answers] == [204, 204, 429]
