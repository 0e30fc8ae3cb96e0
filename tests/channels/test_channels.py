"""All accounts of a node: what it is asked for, and what its faults do to the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
import trio
from msgspec.structs import replace

from chat4all_actors.channels.channels import TRIM_EVERY, disconnect
from chat4all_actors.channels.inbound import kept
from chat4all_connectors.base import Health, WebhookAnswer, WebhookCall
from chat4all_connectors.errors import WebhookRefused
from chat4all_connectors.incoming import Contact, Received
from chat4all_protocol.frames import Send, TextBody
from chat4all_protocol.ids import new_id
from tests.actors.harness import memory_with_users, running_node

from .world import ACCOUNT, BEA, said, world

if TYPE_CHECKING:
    from trio.testing import MockClock

    from chat4all_actors.channels.account import Account
    from chat4all_connectors.loopback.connector import Loopback

CALL = WebhookCall("POST", {}, {}, b"right")


class CalledBack:
    """A loopback whose provider calls back: `right` is genuine."""

    polls = False

    def __init__(self, real: Loopback) -> None:
        self._real = real
        self.broken = 0
        """Askings for health that find a defect."""

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    async def health(self) -> Health:
        if self.broken:
            self.broken -= 1
            raise RuntimeError("a defect")
        return Health("connected")

    def handle_webhook(self, call: WebhookCall) -> WebhookAnswer:
        if call.body != b"right":
            raise WebhookRefused(401, "no")
        bea = Contact(id="bea", name="Bea")
        event = Received(key="k", chat="bea", sender=bea, message="m", at=0, text="hello")
        return WebhookAnswer([event], body=b"thanks")


async def test_what_leaves_goes_out_soon_after_it_is_stored(autojump_clock: MockClock) -> None:
    async with world() as there:
        conversation = await there.with_bea()
        ana = await there.person("ana")
        await there.soon()
        await ana.say(Send(rid=1, conv=conversation, id=new_id(), body=TextBody("hello")))
        await trio.sleep(0.1)
        assert [line.text for line in there.stage.lines("bea")] == ["hello"]


async def test_a_call_of_the_provider_is_answered_when_it_is_stored(
    autojump_clock: MockClock,
) -> None:
    async with world(connector=CalledBack) as there:  # type: ignore[arg-type]
        ana = await there.person("ana")
        await there.soon()
        answer = await there.node.channels.called(ACCOUNT, CALL)
        assert answer.body == b"thanks"
        await there.node.channels.called(ACCOUNT, CALL)
        await trio.sleep(0.1)
        assert said(ana) == [(BEA, "hello")]


async def test_a_call_that_is_not_the_provider_s_is_refused(autojump_clock: MockClock) -> None:
    async with world(connector=CalledBack) as there:  # type: ignore[arg-type]
        with pytest.raises(WebhookRefused):
            await there.node.channels.called(ACCOUNT, WebhookCall("POST", {}, {}, b"wrong"))
        assert await there.pending() == 0


async def test_an_account_that_is_not_there_or_polls_is_not_called(
    autojump_clock: MockClock,
) -> None:
    async with world() as there:
        for account in ("telegram", ACCOUNT):
            assert not there.node.channels.is_called(account)
            with pytest.raises(WebhookRefused) as refused:
                await there.node.channels.called(account, CALL)
            assert refused.value.status == 404


async def test_a_defect_in_a_connector_ends_no_connection_and_is_got_over(
    autojump_clock: MockClock,
) -> None:
    made: list[CalledBack] = []

    def broken(real: Loopback) -> CalledBack:
        made.append(CalledBack(real))
        return made[0]

    async with world(connector=broken, channel_health_interval=1.0) as there:  # type: ignore[arg-type]
        conversation = await there.with_bea()
        ana = await there.person("ana")
        made[0].broken = 3
        await trio.sleep(15)
        assert made[0].broken == 0
        assert ana.outlet.closed is None
        await ana.say(Send(rid=1, conv=conversation, id=new_id(), body=TextBody("hello")))
        await trio.sleep(20)
        assert [line.text for line in there.stage.lines("bea")] == ["hello"]


async def test_what_came_to_rest_long_ago_is_forgotten(autojump_clock: MockClock) -> None:
    async with world(connector=CalledBack, channel_kept=60.0) as there:  # type: ignore[arg-type]
        await there.soon()
        await there.node.channels.called(ACCOUNT, CALL)
        await trio.sleep(2 * TRIM_EVERY)
        (event,) = kept(CalledBack(there.loopback).handle_webhook(CALL).events)
        assert await there.stores.accounts.receive(ACCOUNT, [event]) == 1


async def test_an_account_is_held_by_one_node_until_that_ends(autojump_clock: MockClock) -> None:
    storage = await memory_with_users()
    async with world(storage=storage) as there:
        await there.soon()
        account = there.account
        async with running_node(storage, accounts=[account]) as second:
            await trio.sleep(60)
            (held,) = second.statistics().channels.accounts
            assert not held.held
    async with running_node(storage, accounts=[account]) as third:
        await trio.sleep(1)
        (held,) = third.statistics().channels.accounts
        assert held.held


async def test_a_node_without_accounts_has_nothing_to_say(autojump_clock: MockClock) -> None:
    async with running_node() as node:
        await trio.sleep(100)
        assert node.channels.troubles() == []
        assert node.statistics().channels.accounts == []


async def test_an_account_that_nobody_holds_is_told(autojump_clock: MockClock) -> None:
    async with world() as there:
        await there.soon()
        there.node.channels._states = [
            replace(state, holder=None) for state in await there.stores.accounts.states()
        ]
        assert there.node.degraded() == ["channel loopback is held by no node"]


async def test_one_that_does_not_let_go_keeps_no_other_from_it(autojump_clock: MockClock) -> None:
    let_go = []

    class Connector:
        def __init__(self, name: str) -> None:
            self.name = name

        async def disconnect(self) -> None:
            let_go.append(self.name)
            raise RuntimeError("a defect")

    class Named:
        def __init__(self, name: str) -> None:
            self.name, self.connector = name, Connector(name)

    await disconnect(cast("list[Account]", [Named("a"), Named("b")]))
    assert let_go == ["a", "b"]
