"""Two server processes on one database and one Redis: which of them a client uses is all one."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, TypeVar

import pytest
import trio
from trio_websocket import ConnectionClosed

from chat4all_protocol.frames import Conv, Create, Error, Msg, Send, Sent, TextBody
from chat4all_protocol.ids import new_id
from chat4all_storage.embedded.embedded import open_embedded
from tests.life.devices import Device
from tests.support.server import Server, run_command, running_server, token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from chat4all_storage.embedded.embedded import EmbeddedServers

F = TypeVar("F")

ANA, BOB = "ana", "bob"


class Pair:
    """Two nodes."""

    def __init__(
        self, one: Server, other: Server, redis: EmbeddedServers, dsn: str, nursery: trio.Nursery
    ) -> None:
        self.nodes = (one, other)
        self.redis = redis
        self.dsn = dsn
        self.clients: list[Device] = []
        self._nursery = nursery

    async def client(self, node: int, user: str, device: str = "device") -> Device:
        client = self.device(node)
        await client.connect(user, device)
        return client

    def device(self, node: int) -> Device:
        """One that is not open yet."""
        self.clients.append(Device(self._nursery, self.nodes[node].port))
        return self.clients[-1]

    async def health(self, node: int) -> dict[str, object]:
        url = self.nodes[node].url + "/health/ready"
        answer = await trio.to_thread.run_sync(lambda: urllib.request.urlopen(url).read())
        found: dict[str, object] = json.loads(answer)
        return found

    async def until(self, status: str) -> list[dict[str, object]]:
        """Wait until both nodes say that they are so."""
        while True:
            found = [await self.health(0), await self.health(1)]
            if all(health["status"] == status for health in found):
                return found


@pytest.fixture
async def pair(tmp_path: Path, database: str) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(open_embedded(tmp_path / "redis", postgres=False))
        flags = ["--postgres", database, "--redis", redis.redis_url]
        one, other = [
            await stack.enter_async_context(running_server(tmp_path / name, *flags))
            for name in ("one", "other")
        ]
        await run_command("user", "add", ANA, BOB, "--password", "a password", *flags[:2])
        async with trio.open_nursery() as nursery:
            pair = Pair(one, other, redis, database, nursery)
            yield pair
            for client in pair.clients:
                await client.cut()
            nursery.cancel_scope.cancel()


async def next_of(client: Device, kind: type[F]) -> F:
    """The next frame of this kind; others may come before it."""
    while True:
        frame = await client.receive()
        if isinstance(frame, kind):
            return frame


async def begun(ana: Device, bob: Device) -> str:
    """A conversation that ana has opened, when bob knows of it."""
    await ana.send(Create(rid=1, type="private", members=[BOB]))
    conversation = (await next_of(ana, Conv)).conv
    assert (await next_of(bob, Conv)).conv == conversation
    return conversation


async def say(client: Device, conversation: str, text: str) -> int:
    """Send a text; its number."""
    await client.send(Send(rid=9, conv=conversation, id=new_id(), body=TextBody(text)))
    return (await next_of(client, Sent)).seq


async def closed_with(client: Device) -> int | None:
    """The code with which the server closes the connection."""
    try:
        while True:
            await client.receive()
    except ConnectionClosed as closed:
        return None if closed.reason is None else closed.reason.code


async def test_what_one_node_stores_the_other_delivers_in_order(pair: Pair) -> None:
    ana, bob = await pair.client(0, ANA), await pair.client(1, BOB)
    conversation = await begun(ana, bob)
    for number in range(1, 21):
        speaker, listener = (ana, bob) if number % 2 else (bob, ana)
        assert await say(speaker, conversation, str(number)) == number
        heard = await next_of(listener, Msg)
        assert (heard.seq, heard.body) == (number, TextBody(str(number)))


async def test_without_redis_messages_still_arrive_and_health_says_so(pair: Pair) -> None:
    ana, bob = await pair.client(0, ANA), await pair.client(1, BOB)
    conversation = await begun(ana, bob)
    await pair.until("ok")
    os.kill(pair.redis.pids["redis"], signal.SIGSTOP)
    try:
        (health, _) = await pair.until("degraded")
        assert "Redis" in json.dumps(health["reasons"])
        await say(ana, conversation, "can you hear me")
        assert (await next_of(bob, Msg)).body == TextBody("can you hear me")
    finally:
        os.kill(pair.redis.pids["redis"], signal.SIGCONT)
    await pair.until("ok")
    await say(bob, conversation, "all is well")
    assert (await next_of(ana, Msg)).body == TextBody("all is well")


async def test_a_device_that_moves_to_the_other_node_ends_its_former_session(pair: Pair) -> None:
    await pair.until("ok")
    former = await pair.client(0, ANA, "phone")
    other = await pair.client(0, ANA, "laptop")
    await pair.client(1, ANA, "phone")
    assert await closed_with(former) == 3504
    await other.send(Create(rid=1, type="private", members=[BOB]))
    assert await next_of(other, Conv)


async def test_a_revocation_ends_the_sessions_on_every_node_and_the_tokens(pair: Pair) -> None:
    sessions = [await pair.client(0, ANA, "phone"), await pair.client(1, ANA, "laptop")]
    bob = await pair.client(1, BOB)
    conversation = await begun(sessions[0], bob)
    revoked = await run_command("user", "revoke", ANA, "--json", "--postgres", pair.dsn)
    assert json.loads(revoked)["username"] == ANA
    assert [await closed_with(session) for session in sessions] == [3507, 3507]
    assert await say(bob, conversation, "she is gone") == 1


async def test_a_token_that_was_revoked_is_refused(pair: Pair) -> None:
    probe = await pair.client(1, ANA)
    access = token(ANA)
    await run_command("user", "revoke", ANA, "--postgres", pair.dsn)
    assert await closed_with(probe) == 3507
    client = pair.device(1)
    refused = await client.present(access)
    assert isinstance(refused, Error)
    assert refused.code == "UNAUTHENTICATED"
    assert await client.closed() == 3507
