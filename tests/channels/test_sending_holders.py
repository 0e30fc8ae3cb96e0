"""What is sent when its holder dies, at each point, or loses the account."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_connectors.loopback.connector import Loopback
from chat4all_storage.ports.errors import Unavailable
from tests.channels.scene import ACCOUNT, Scene

if TYPE_CHECKING:
    import pytest
    from trio.testing import MockClock

    from chat4all_connectors.outgoing import Accepted, Message


class Hanging(Loopback):
    """Whose calls that send never return."""

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self.stage = scene.stage
        self.called = trio.Event()

    async def send_message(self, message: Message) -> Accepted:
        self.called.set()
        await trio.sleep_forever()
        raise AssertionError


async def test_a_holder_that_dies_before_the_call_is_made_has_sent_nothing_and_begins_anew(
    autojump_clock: MockClock,
) -> None:
    scene, seq = await Scene.where_was_said()
    await scene.stores.accounts.hold(ACCOUNT, "dead", 10)
    await trio.sleep(11)
    async with scene.sending("heir"):
        await trio.sleep(2)
    assert await scene.states(seq) == ["sent"]


async def test_one_that_dies_in_the_call_leaves_it_unknown_and_its_heir_goes_on_behind_it(
    autojump_clock: MockClock,
) -> None:
    scene, seq = await Scene.where_was_said()
    await scene.say("next")
    await scene.route()
    hanging = Hanging(scene)
    async with scene.sending("dead", connector=hanging):
        await hanging.called.wait()
    assert await scene.states(seq) == ["sending"]
    await trio.sleep(3601)
    async with scene.sending("heir"):
        await trio.sleep(2)
    assert await scene.states(seq) == ["unknown"]
    assert scene.texts() == ["next"]


async def test_who_has_lost_the_account_in_the_call_changes_nothing_any_more(
    autojump_clock: MockClock,
) -> None:
    scene, seq = await Scene.where_was_said()
    hanging = Hanging(scene)
    async with scene.sending("late", connector=hanging) as late:
        await hanging.called.wait()
        await trio.sleep(3601)
        assert await scene.stores.accounts.hold(ACCOUNT, "heir", 3600)
        await scene.say("next")
        await scene.route()
        late.nudge()
        await trio.sleep(10)
        assert await scene.states(seq) == ["unknown"]
        assert await scene.states(seq + 1) == ["queued"]


async def test_one_that_dies_before_it_has_noted_what_was_sent_leaves_it_unknown(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, seq = await Scene.where_was_said()

    async def away(*_: object) -> None:
        raise Unavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(scene.stores.deliveries, "finish", away)
        async with scene.sending("dead"):
            await trio.sleep(5)
    assert scene.texts() == ["hello"]
    await trio.sleep(3601)
    async with scene.sending("heir"):
        await trio.sleep(60)
    assert await scene.states(seq) == ["unknown"]
    assert scene.texts() == ["hello"]
