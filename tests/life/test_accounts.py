"""Accounts end to end: two server processes, HTTP, and WebSockets that end when logins do."""

from __future__ import annotations

import http.client
import json
import subprocess
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import jwt
import pytest
import trio

from chat4all_storage.embedded.embedded import open_embedded
from tests.life.devices import Device
from tests.life.test_cluster import closed_with
from tests.support.server import command, environment, run_command, running_server
from tests.support.storage_servers import fetch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.server import Server

PASSWORD = "a password"
UNLIMITED = {
    "CHAT4ALL_RATE_LOGINS_PER_MINUTE": "0",
    "CHAT4ALL_RATE_LOGINS_PER_ADDRESS_PER_MINUTE": "0",
}


class Reply(NamedTuple):
    status: int
    json: Any
    headers: dict[str, str]


async def ask(
    server: Server, method: str, path: str, body: Any = None, *, token: str | None = None
) -> Reply:
    """One request on a connection of its own, in a thread."""

    def run() -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        data = None
        if body is not None:
            data = json.dumps(body)
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            said = response.read()
        finally:
            connection.close()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, json.loads(said) if said else None, found)

    return await trio.to_thread.run_sync(run, limiter=trio.CapacityLimiter(1))


async def login(server: Server, name: str) -> Any:
    reply = await ask(server, "POST", "/v1/auth/token", {"username": name, "password": PASSWORD})
    assert reply.status == 200, reply
    return reply.json


async def refresh(server: Server, token: str) -> Reply:
    return await ask(server, "POST", "/v1/auth/token", {"refresh_token": token})


class Pair(NamedTuple):
    one: Server
    other: Server
    dsn: str
    nursery: trio.Nursery

    async def device(self, server: Server, access_token: str) -> Device:
        """A connected WebSocket."""
        device = Device(self.nursery, server.port)
        await device.present(access_token)
        return device


@pytest.fixture
async def pair(tmp_path: Path, database: str) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(open_embedded(tmp_path / "redis", postgres=False))
        flags = ["--postgres", database, "--redis", redis.redis_url]
        one, other = [
            await stack.enter_async_context(running_server(tmp_path / name, *flags, env=UNLIMITED))
            for name in ("one", "other")
        ]
        await run_command("user", "add", "ana", "bob", "--password", PASSWORD, *flags[:2])
        async with trio.open_nursery() as nursery:
            yield Pair(one, other, database, nursery)
            nursery.cancel_scope.cancel()


async def test_fifty_refreshes_at_once_on_two_nodes_have_one_successor(pair: Pair) -> None:
    first = await login(pair.one, "ana")
    replies: list[Reply] = []

    async def one(server: Server) -> None:
        replies.append(await refresh(server, first["refresh_token"]))

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(one, (pair.one, pair.other)[number % 2])
    assert {reply.status for reply in replies} == {200}
    (successor,) = {reply.json["refresh_token"] for reply in replies}
    assert (await refresh(pair.other, successor)).status == 200


async def test_a_replay_closes_sockets_on_the_other_node(pair: Pair) -> None:
    first = await login(pair.one, "ana")
    second = (await refresh(pair.one, first["refresh_token"])).json
    await refresh(pair.one, second["refresh_token"])
    device = await pair.device(pair.other, first["access_token"])
    bystander = await login(pair.one, "ana")
    assert (await refresh(pair.one, first["refresh_token"])).status == 401
    replayed = trio.current_time()
    assert await closed_with(device) == 3507
    assert trio.current_time() - replayed < 2
    await device.cut()
    for server in (pair.one, pair.other):
        token = second["access_token"]
        assert (await ask(server, "GET", "/v1/users/me", token=token)).status == 401
    token = bystander["access_token"]
    assert (await ask(pair.other, "GET", "/v1/users/me", token=token)).status == 200
    acts = fetch_acts(await trio.to_thread.run_sync(fetch, pair.dsn, ACTS))
    assert "token.replayed" in acts


ACTS = "SELECT act FROM audit ORDER BY id"


def fetch_acts(rows: list[Any]) -> list[str]:
    return [row["act"] for row in rows]


async def test_logging_out_closes_sockets_on_every_node(pair: Pair) -> None:
    tokens = await login(pair.one, "ana")
    device = await pair.device(pair.other, tokens["access_token"])
    other = await pair.device(pair.other, (await login(pair.other, "bob"))["access_token"])
    path = "/v1/auth/logout"
    assert (await ask(pair.one, "POST", path, token=tokens["access_token"])).status == 204
    ended = trio.current_time()
    assert await closed_with(device) == 3507
    assert trio.current_time() - ended < 2
    assert (await refresh(pair.other, tokens["refresh_token"])).status == 401
    await device.cut()
    await other.cut()


async def test_logins_beyond_the_queue_are_told_when_to_come_back(
    tmp_path: Path, database: str
) -> None:
    env = UNLIMITED | {"CHAT4ALL_BCRYPT_COST": "10", "CHAT4ALL_MAX_PASSWORD_CHECKS": "5"}
    async with running_server(tmp_path, "--postgres", database, env=env) as server:
        await run_command("user", "add", "ana", "--password", PASSWORD, "--postgres", database)
        replies: list[Reply] = []
        body = {"username": "ana", "password": PASSWORD}

        async def one() -> None:
            replies.append(await ask(server, "POST", "/v1/auth/token", body))

        async with trio.open_nursery() as nursery:
            for _ in range(60):
                nursery.start_soon(one)
    assert {reply.status for reply in replies} == {200, 503}
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in replies if reply.status == 503)


async def test_clients_and_keys_are_managed_from_the_shell(tmp_path: Path, database: str) -> None:
    flags = ["--postgres", database]
    added = json.loads(
        await run_command(
            "client", "add", "bot", "--scope", "presence:read act_as", "--json", *flags
        )
    )
    fixed = ("--id", "k6", "--secret", "a secret that is known")
    printed = await run_command("client", "add", "k6", *fixed, *flags)
    assert printed.split(maxsplit=1) == ["k6", "a secret that is known\n"]
    again = await trio.to_thread.run_sync(
        lambda: subprocess.run(
            command("client", "add", "k6", *flags),
            env=environment(),
            capture_output=True,
            text=True,
        )
    )
    assert (again.returncode, again.stdout) == (1, "")
    assert "taken" in again.stderr
    listed = await run_command("client", "list", *flags)
    assert [line.split()[0] for line in listed.splitlines()] == ["bot", "k6"]
    eddsa = [*flags, "--jwt-algorithm", "EdDSA"]
    async with running_server(tmp_path, *eddsa) as server:
        shown = {name: added[name] for name in ("client_id", "client_secret")}
        tokens = (await ask(server, "POST", "/auth/token", shown)).json
        assert tokens["scope"] == "presence:read act_as"
        (published,) = (await ask(server, "GET", "/.well-known/jwks.json")).json["keys"]
        claims = jwt.decode(
            tokens["access_token"],
            jwt.PyJWK(published),
            algorithms=["EdDSA"],
            audience="chat4all",
        )
        assert claims["name"] == "client:bot"
        rotated = await run_command("keys", "rotate", "--json", *eddsa)
        states = [json.loads(line)["state"] for line in rotated.splitlines()]
        assert states == ["retiring", "waiting"]
        while len((await ask(server, "GET", "/.well-known/jwks.json")).json["keys"]) < 2:
            pass
        await run_command("client", "remove", "bot", *flags)
        token = tokens["access_token"]
        while (await ask(server, "GET", "/v1/presence?users=ana", token=token)).status != 401:
            pass
        assert (await ask(server, "POST", "/auth/token", shown)).status == 401
