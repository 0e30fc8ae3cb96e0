"""What programs are told by: who may have changed, and what others may see of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat4all_actors.webhooks.events import Presence
from chat4all_protocol.frames import Create, Mode
from tests.actors.harness import person, running_node

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_whoever_listens_hears_of_users_whom_nobody_watches(mock_clock: MockClock) -> None:
    async with running_node() as node:
        heard: list[str] = []
        node.presence.listen(heard.extend)
        ana = await person(node, "ana")
        assert set(heard) == {"ana"}
        assert node.presence.shown("ana") == Presence("online", None)
        assert node.presence.shown("bob").status == "offline"
        heard.clear()
        await ana.say(Mode(rid=1, background=True))
        assert set(heard) == {"ana"}
        assert node.presence.shown("ana").status == "away"
        await ana.say(Mode(rid=2, invisible=True))
        assert node.presence.shown("ana") == Presence("offline", None)


async def test_acquaintances_share_a_conversation(mock_clock: MockClock) -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        await ana.say(Create(rid=1, type="private", members=["bob"]))
        assert await node.presence.acquaintances("ana", ["bob", "carla"]) == {"bob"}
