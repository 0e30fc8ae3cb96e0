"""Providers call back: verified over the raw bytes, answered when what they tell is stored."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from chat4all_actors.channels.account import Account
from chat4all_actors.edge.rest.api import GROUPS
from chat4all_actors.edge.rest.app import build
from chat4all_connectors.base import WebhookAnswer, WebhookCall
from chat4all_connectors.errors import WebhookRefused
from chat4all_connectors.incoming import Contact, Received
from chat4all_connectors.loopback.connector import Loopback
from chat4all_storage.ports.errors import Unavailable
from tests.actors.harness import memory_with_users, running_node
from tests.edge.rest.harness import Api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from chat4all_storage.storage import Storage

PATH = "/v1/channels/pager/webhook"
FURTHER = "/v1/channels/pager/second/webhook"


class Pager(Loopback):
    """Calls back with whatever bytes, but must say `right` in a field."""

    def __init__(self, *, polls: bool = False) -> None:
        super().__init__()
        self._polls = polls
        self.calls: list[WebhookCall] = []
        self.refuses: int | None = None

    @property
    def polls(self) -> bool:
        return self._polls

    def handle_webhook(self, call: WebhookCall) -> WebhookAnswer:
        self.calls.append(call)
        if self.refuses is not None:
            raise WebhookRefused(self.refuses, "not so")
        if call.method == "GET":
            return WebhookAnswer(body=call.query.get("challenge", "").encode())
        if call.headers.get("x-signature") != "right":
            raise WebhookRefused(401, "the signature is another one")
        event = Received(
            key="k1", chat="bea", sender=Contact(id="bea"), message="m", at=0, text="hello"
        )
        return WebhookAnswer([event], status=202, body=b"<ok/>", media_type="application/xml")


class House:
    """A node with three accounts, and somebody who calls."""

    def __init__(self, storage: Storage, api: Api, pagers: dict[str, Pager]) -> None:
        self.storage = storage
        self.api = api
        self.pagers = pagers

    async def received(self, account: str = "pager") -> int:
        return len(await self.storage.channels.accounts.pending(account, 100))


@asynccontextmanager
async def house(**settings: Any) -> AsyncIterator[House]:
    storage = await memory_with_users()
    pagers = {"pager": Pager(), "pager:second": Pager(), "pager:polled": Pager(polls=True)}
    accounts = [Account(name=name, connector=pager) for name, pager in pagers.items()]
    # Somebody else holds them: what comes in stays to be looked at.
    for name in pagers:
        await storage.channels.accounts.hold(name, "another node", 3600)
    async with running_node(storage, accounts=accounts, **settings) as node:
        yield House(storage, Api(build(node, GROUPS, version="1"), node, None), pagers)


async def test_what_is_told_is_stored_before_the_answer(autojump_clock: MockClock) -> None:
    async with house() as there:
        reply = await there.api.ask("POST", PATH, data=b"\x00\xff any bytes", X_Signature="right")
        assert (reply.status, reply.body) == (202, b"<ok/>")
        assert reply.headers["content-type"].startswith("application/xml")
        assert await there.received() == 1
        (call,) = there.pagers["pager"].calls
        assert call.body == b"\x00\xff any bytes"
        assert call.headers["x-signature"] == "right"


async def test_a_provider_may_ask_whether_the_address_is_ours(autojump_clock: MockClock) -> None:
    async with house() as there:
        reply = await there.api.ask("GET", f"{PATH}?challenge=a%20b&empty=")
        assert (reply.status, reply.body) == (200, b"a b")
        assert reply.headers["content-type"].startswith("text/plain")
        assert there.pagers["pager"].calls[0].query == {"challenge": "a b", "empty": ""}


async def test_a_further_account_has_a_path_of_its_own(autojump_clock: MockClock) -> None:
    async with house() as there:
        await there.api.ask("POST", FURTHER, data=b"x", X_Signature="right")
        assert await there.received("pager:second") == 1
        assert await there.received("pager") == 0


async def test_what_is_not_the_provider_s_is_refused_in_our_format(
    autojump_clock: MockClock,
) -> None:
    async with house() as there:
        reply = await there.api.ask("POST", PATH, data=b"x", X_Signature="wrong")
        assert (reply.status, reply.code) == (401, "UNAUTHENTICATED")
        assert await there.received() == 0


@pytest.mark.parametrize(
    "path",
    [
        "/v1/channels/telegram/webhook",
        "/v1/channels/pager/third/webhook",
        "/v1/channels/pager/polled/webhook",
        "/v1/channels/PAGER/webhook",
        "/v1/channels/pager:second/webhook",
        "/v1/channels/pager:second/x/webhook",
    ],
)
async def test_an_account_that_is_not_there_or_polls_is_not_found(
    autojump_clock: MockClock, path: str
) -> None:
    async with house() as there:
        replies = [
            await there.api.ask("POST", path, data=b"x", X_Signature="right"),
            await there.api.ask("GET", path),
        ]
        assert [(reply.status, reply.code) for reply in replies] == [(404, "NOT_FOUND")] * 2
        assert not any(pager.calls for pager in there.pagers.values())


async def test_a_parameter_that_is_given_twice_is_refused(autojump_clock: MockClock) -> None:
    async with house() as there:
        reply = await there.api.ask("GET", f"{PATH}?token=a&token=b")
        assert (reply.status, reply.field) == (400, "token")


async def test_while_nothing_can_be_stored_the_provider_is_to_call_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house() as there:

        async def away(*_: Any) -> int:
            raise Unavailable("away")

        monkeypatch.setattr(there.storage.channels.accounts, "receive", away)
        reply = await there.api.ask("POST", PATH, data=b"x", X_Signature="right")
        assert reply.status == 503
        assert "retry-after" in reply.headers


async def test_a_call_may_be_as_large_as_is_set(autojump_clock: MockClock) -> None:
    async with house(channel_callback_max_body=64 * 1024) as there:
        most = b"x" * 64 * 1024
        assert (await there.api.ask("POST", PATH, data=most, X_Signature="right")).status == 202
        reply = await there.api.ask("POST", PATH, data=most + b"x", X_Signature="right")
        assert (reply.status, reply.code) == (413, "TOO_LARGE")


async def test_calls_have_a_rate_of_their_own(autojump_clock: MockClock) -> None:
    limits = {"rate_channel_callbacks_per_minute": 1, "rate_channel_callbacks_burst": 2}
    async with house(**limits, rate_requests_per_minute=1, rate_requests_burst=1) as there:
        statuses = [(await there.api.ask("POST", PATH, data=b"x")).status for _ in range(3)]
        assert statuses == [401, 401, 429]
        assert (await there.api.ask("GET", "/v1/auth/jwks")).status != 429


async def test_of_large_calls_only_some_are_read_at_once(autojump_clock: MockClock) -> None:
    async with house(channel_max_large_callbacks=1) as there:
        places = there.api.node.limits.large_callbacks
        large, size = b"x" * (64 * 1024 + 1), str(64 * 1024 + 1)
        fields = {"X_Signature": "right", "Content_Length": size}
        assert places.enter("192.0.2.1")
        reply = await there.api.ask("POST", PATH, data=large, **fields)
        assert (reply.status, reply.code) == (503, "UNAVAILABLE")
        assert "retry-after" in reply.headers
        small = await there.api.ask("POST", PATH, data=b"x", X_Signature="right")
        assert small.status == 202
        places.leave("192.0.2.1")
        for _ in range(2):
            reply = await there.api.ask("POST", PATH, data=large, **fields)
            assert reply.status == 202


async def test_a_method_that_a_provider_does_not_use_is_told(autojump_clock: MockClock) -> None:
    async with house() as there:
        there.pagers["pager"].refuses = 405
        reply = await there.api.ask("POST", PATH, data=b"x")
        assert (reply.status, reply.headers["allow"]) == (405, "GET")


async def test_a_status_of_a_connector_s_own_is_a_bad_request(autojump_clock: MockClock) -> None:
    async with house() as there:
        there.pagers["pager"].refuses = 418
        assert (await there.api.ask("POST", PATH, data=b"x")).status == 400
