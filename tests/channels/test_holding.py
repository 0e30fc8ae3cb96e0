"""An account while it is held: connected, watched, polled; told to all nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_actors.channels.inbound import kept
from chat4all_connectors.base import Health, Identity, Polled
from chat4all_connectors.errors import Misconfigured, Refused, SendError, Throttled, Transient
from chat4all_connectors.loopback.stage import Fault
from chat4all_protocol.frames import Send, TextBody
from chat4all_protocol.ids import new_id
from tests.actors.harness import memory_with_users

from .world import ACCOUNT, BEA, said, world

if TYPE_CHECKING:
    from trio.testing import MockClock

    from chat4all_connectors.loopback.connector import Loopback
    from chat4all_connectors.outgoing import Accepted, Message

    from .world import World


class Moody:
    """A loopback whose provider has its moods."""

    def __init__(self, real: Loopback) -> None:
        self._real = real
        self.connects: list[SendError] = []
        """What connecting meets, the first first."""
        self.polled: list[SendError] = []
        self.state = Health("connected")
        self.connected = 0
        self.disconnected = 0
        self.asked = 0
        self.takes = 0.0
        """Seconds for each call that sends."""

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    async def connect(self) -> Identity:
        if self.connects:
            raise self.connects.pop(0)
        self.connected += 1
        return await self._real.connect()

    async def disconnect(self) -> None:
        self.disconnected += 1

    async def send_message(self, message: Message) -> Accepted:
        await trio.sleep(self.takes)
        return await self._real.send_message(message)

    async def health(self) -> Health:
        self.asked += 1
        return self.state

    async def poll(self, cursor: str | None) -> Polled:
        if self.polled:
            raise self.polled.pop(0)
        return await self._real.poll(cursor)


class Moods:
    """Makes one connector, and keeps it."""

    def __init__(self, *connects: SendError, polled: tuple[SendError, ...] = ()) -> None:
        self._connects, self._polled = connects, polled
        self.made: Moody

    def __call__(self, real: Loopback) -> Moody:
        self.made = Moody(real)
        self.made.connects += self._connects
        self.made.polled += self._polled
        return self.made


async def state(there: World) -> tuple[str, str]:
    (found,) = await there.stores.accounts.states()
    return found.state, found.detail


async def test_an_account_is_held_connected_and_told_so(autojump_clock: MockClock) -> None:
    moods = Moods()
    async with world(connector=moods) as there:  # type: ignore[arg-type]
        await there.soon()
        assert await state(there) == ("connected", "loopback")
        (found,) = await there.stores.accounts.states()
        assert found.holder is not None
        assert found.holder.startswith(there.node.node_id)
        (statistics,) = there.node.statistics().channels.accounts
        assert statistics.held
    assert moods.made.disconnected == 1


async def test_it_is_connected_when_the_provider_answers(autojump_clock: MockClock) -> None:
    moods = Moods(Transient("away"), Throttled("slowly", retry_after=20.0))
    async with world(connector=moods) as there:  # type: ignore[arg-type]
        await trio.sleep(0.1)
        assert await state(there) == ("degraded", "away")
        await trio.sleep(20)
        assert moods.made.connected == 0
        await trio.sleep(2)
        assert moods.made.connected == 1
        assert (await state(there))[0] == "connected"


async def test_what_came_in_before_is_worked_on_though_the_provider_is_away(
    autojump_clock: MockClock,
) -> None:
    moods = Moods(*[Transient("away")] * 100)
    async with world(connector=moods) as there:  # type: ignore[arg-type]
        ana = await there.person("ana")
        there.stage.say("bea", "hello")
        polled = await there.loopback.poll(None)
        await there.stores.accounts.receive(ACCOUNT, kept(polled.events))
        await there.soon()
        assert said(ana) == [(BEA, "hello")]


async def test_an_account_that_can_not_be_used_is_dead_and_keeps_what_waits(
    autojump_clock: MockClock,
) -> None:
    moods = Moods()
    async with world(connector=moods, channel_health_interval=60.0) as there:  # type: ignore[arg-type]
        conversation = await there.with_bea()
        ana = await there.person("ana")
        there.stage.revoked = True
        moods.made.state = Health("dead", "the token is not taken")
        await ana.say(Send(rid=1, conv=conversation, id=new_id(), body=TextBody("hello")))
        await there.soon()
        assert (await state(there))[0] == "dead"
        await trio.sleep(70)
        assert await state(there) == ("dead", "the token is not taken")
        assert [each.state for each in await there.progress(conversation, 1)] == ["queued"]
        assert any("loopback is dead" in reason for reason in there.node.degraded())
        there.stage.revoked = False
        moods.made.state = Health("connected")
        await trio.sleep(70)
        assert [line.text for line in there.stage.lines("bea")] == ["hello"]
        assert (await state(there))[0] == "connected"
        await trio.sleep(20)
        assert there.node.degraded() == []


async def test_polling_goes_on_after_the_provider_failed(autojump_clock: MockClock) -> None:
    moods = Moods(polled=(Transient("away"), Misconfigured("no")))
    async with world(connector=moods) as there:  # type: ignore[arg-type]
        ana = await there.person("ana")
        there.stage.say("bea", "hello")
        await trio.sleep(0.5)
        assert await state(there) == ("degraded", "away")
        await trio.sleep(1)
        assert (await state(there))[0] == "dead"
        await trio.sleep(3)
        assert (await state(there))[0] == "connected"
        assert said(ana) == [(BEA, "hello")]


async def test_a_provider_that_fails_shows_in_the_state(autojump_clock: MockClock) -> None:
    async with world(channel_health_interval=30.0, channel_breaker_failures=2) as there:
        conversation = await there.with_bea()
        ana = await there.person("ana")
        there.stage.faults.extend([Fault(Transient("no"))] * 100)
        for number in range(4):
            await ana.say(
                Send(rid=number + 1, conv=conversation, id=new_id(), body=TextBody("hello"))
            )
        await trio.sleep(40)
        assert await state(there) == ("degraded", "the provider fails")


async def test_a_health_that_wants_attention_is_told(autojump_clock: MockClock) -> None:
    moods = Moods()
    async with world(connector=moods) as there:  # type: ignore[arg-type]
        await there.soon()
        moods.made.state = Health("token_expiring", "in 3 days")
        await trio.sleep(80)
        assert await state(there) == ("token_expiring", "in 3 days")
        assert "channel loopback is token expiring: in 3 days" in there.node.degraded()


async def test_what_is_sent_goes_out_though_the_provider_will_not_call_back(
    autojump_clock: MockClock,
) -> None:
    moods = Moods(*[Refused("no such address")] * 100)
    async with world(connector=moods) as there:  # type: ignore[arg-type]
        conversation = await there.with_bea()
        ana = await there.person("ana")
        await ana.say(Send(rid=1, conv=conversation, id=new_id(), body=TextBody("hello")))
        await there.soon()
        assert [line.text for line in there.stage.lines("bea")] == ["hello"]
        assert await state(there) == ("degraded", "no such address")


async def test_a_call_that_is_under_way_may_end_when_the_node_stops(
    autojump_clock: MockClock,
) -> None:
    storage = await memory_with_users()
    moods = Moods()
    async with world(connector=moods, storage=storage) as there:  # type: ignore[arg-type]
        conversation = await there.with_bea()
        ana = await there.person("ana")
        await there.soon()
        moods.made.takes = 1.0
        await ana.say(Send(rid=1, conv=conversation, id=new_id(), body=TextBody("hello")))
        await trio.sleep(0.5)
        assert [each.state for each in await there.progress(conversation, 1)] == ["sending"]
    assert [each.state for each in await there.progress(conversation, 1)] == ["sent"]


async def test_a_call_that_hangs_does_not_keep_the_node_from_stopping(
    autojump_clock: MockClock,
) -> None:
    storage = await memory_with_users()
    moods = Moods()
    async with world(connector=moods, storage=storage) as there:  # type: ignore[arg-type]
        conversation = await there.with_bea()
        ana = await there.person("ana")
        await there.soon()
        moods.made.takes = 1000.0
        await ana.say(Send(rid=1, conv=conversation, id=new_id(), body=TextBody("hello")))
        await trio.sleep(0.5)
        began = trio.current_time()
    assert trio.current_time() - began < 60
    assert [each.state for each in await there.progress(conversation, 1)] == ["sending"]
