"""The fake tells what happens as Telegram does, and out of order when it is asked to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from chat4all_connectors.testing.http_server import Response
from tests.connectors.telegram.scenes import ANA, SECRET, Scene, open_scene

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.xdist_group("telegram")
BOB = 8


@pytest.fixture
async def scene(fake: str) -> AsyncIterator[Scene]:
    async with open_scene(fake) as opened:
        await opened.people.user(BOB, "Bob")
        yield opened


async def told(scene: Scene) -> list[str]:
    await scene.people.settled()
    return [text_of(json.loads(call.body)) for call in scene.callback.take()]


def text_of(update: dict[str, Any]) -> str:
    return str(update["message"]["text"])


async def test_each_call_has_the_secret(scene: Scene) -> None:
    await scene.people.say(ANA, "1")
    await scene.people.settled()
    [call] = scene.callback.take()
    assert call.headers["x-telegram-bot-api-secret-token"] == SECRET


async def test_what_is_refused_comes_again_before_what_was_said_after_it(scene: Scene) -> None:
    scene.callback.answers += [Response(500), Response(503)]
    await scene.people.say(ANA, "1")
    await scene.people.say(ANA, "2")
    assert await told(scene) == ["1", "1", "1", "2"]
    attempts = (await scene.people.state())["attempts"][-4:]
    assert [attempt["status"] for attempt in attempts] == [500, 503, 200, 200]


async def test_a_chat_that_is_refused_holds_back_no_other(scene: Scene) -> None:
    before = len((await scene.people.state())["attempts"])
    scene.callback.answers.append(Response(500, headers={"Retry-After": "3600"}))
    for number, person in enumerate((ANA, BOB), 1):
        await scene.people.say(person, "hello")
        while len((await scene.people.state())["attempts"]) < before + number:
            pass
    updates = [json.loads(call.body)["message"] for call in scene.callback.take()]
    assert [update["from"]["id"] for update in updates] == [ANA, BOB]
    assert (await scene.people.state())["pending"] == 1


async def test_what_is_held_back_comes_later_and_in_any_order(scene: Scene) -> None:
    await scene.people.hold()
    for text in ("1", "2", "3"):
        await scene.people.say(ANA, text)
    assert await told(scene) == []
    await scene.people.release(reverse=True)
    assert await told(scene) == ["3", "2", "1"]


async def test_what_is_told_twice_is_the_same_update(scene: Scene) -> None:
    await scene.people.twice()
    await scene.people.say(ANA, "1")
    await scene.people.say(ANA, "2")
    await scene.people.settled()
    numbers = [json.loads(call.body)["update_id"] for call in scene.callback.take()]
    assert numbers == [numbers[0], numbers[0], numbers[0] + 1]


async def test_what_happens_without_a_webhook_waits_for_one(scene: Scene) -> None:
    await scene.people.webhook("")
    await scene.people.say(ANA, "1")
    assert (await scene.people.state())["pending"] == 1
    await scene.telegram.connect()
    assert await told(scene) == ["1"]


async def test_reactions_in_a_group_are_told_to_administrators(scene: Scene) -> None:
    for group, admin in ((-1, False), (-2, True)):
        await scene.people.group(group, "Friends", [ANA], admin=admin)
        said = await scene.people.say(ANA, "look", chat=group)
        await scene.people.react(ANA, said, "👍", chat=group)
    await scene.people.settled()
    updates = [json.loads(call.body) for call in scene.callback.take()]
    reactions = [one["message_reaction"] for one in updates if "message_reaction" in one]
    assert [reaction["chat"]["id"] for reaction in reactions] == [-2]
